"""Collect remarks about images that were read: one sentence per kind, never one per image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from convnet_galaxies.data.listing import MOST_NAMED
from convnet_galaxies.data.preprocess import Preprocess, is_constant, is_grey, refuse_scale
from convnet_galaxies.data.reading import ImageInfo
from convnet_galaxies.errors import InputError

FACTS = ("bands", "order", "scale")
"""Kinds of remarks that tell how images were read; all other kinds are warnings."""


@dataclass
class InputNotes:
    """Counts by kind of remark and its text, and the first names of each.

    window_px: gives the side of the input square, in source pixels of a scale (arcsec per pixel or None); None if the
        whole image is resampled to it.
    strange: the familiarity below which an image is unlike the known images of the run.
    earlier: warnings of the folder, zip or pack that the images come from; joined: on files of one band there, or how
        the images of a pack were read.
    """

    window_px: Callable[[float | None], float | None] | None = None
    strange: float = 0.0
    earlier: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    images: int = 0
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    names: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    largest_masked: float = 0.0

    def add(
        self,
        ids: Sequence[str],
        pixels: np.ndarray,
        infos: Sequence[ImageInfo | None],
        familiarity: np.ndarray | None = None,
    ) -> None:
        """Take in a block: uint8 [n, h, w, bands], what the images were before (None: unknown), familiarity [n]."""
        self.images += len(ids)
        constant = is_constant(pixels)
        self._count("constant", "of a single value, so their predictions are meaningless", ids, constant)
        if pixels.shape[3] > 1:
            grey = is_grey(pixels) & ~constant
            self._count("grey", "without colour, which the network expects", ids, grey)
        for name, info in zip(ids, infos, strict=True):
            if info is not None:
                self._add_info(name, info)
        if familiarity is not None:
            self.add_familiarity(ids, familiarity)

    def add_familiarity(self, ids: Sequence[str], familiarity: np.ndarray) -> None:
        """Take in the familiarity [n] of images, where it was not yet known to `add`."""
        text = f"unlike all known images of the run (familiarity below {self.strange:g})"
        self._count("strange", text, ids, familiarity < self.strange)

    def warnings(self) -> list[str]:
        """Return the warnings, one sentence per kind, in a fixed order."""
        return [*self.earlier, *self._sentences(facts=False)]

    def facts(self) -> list[str]:
        """Return one sentence for each way in which images were read."""
        return [*self.joined, *self._sentences(facts=True)]

    def _add_info(self, name: str, info: ImageInfo) -> None:
        window = self.window_px(info.pixel_scale_arcsec) if self.window_px is not None else None
        if window is not None and info.side_px < window:
            self._count_one(
                "small", f"smaller than the {window:.0f} px of the network input and were padded with zeros", name
            )
        if info.unit == "guessed":
            text = "linear without a zero point, so their brightness was guessed from their noise (--zero-point)"
            self._count_one("guessed", text, name)
        if info.masked_fraction > 0:
            self.largest_masked = max(self.largest_masked, info.masked_fraction)
            self._count_one("filled", "with missing pixels, which were filled with sky", name)
        for kind, text in info.remarks:
            self._count_one(kind, text, name)

    def _count(self, kind: str, text: str, ids: Sequence[str], mask: np.ndarray) -> None:
        for row in np.flatnonzero(mask):
            self._count_one(kind, text, ids[int(row)])

    def _count_one(self, kind: str, text: str, name: str) -> None:
        key = kind, text
        self.counts[key] = self.counts.get(key, 0) + 1
        names = self.names.setdefault(key, [])
        if len(names) < MOST_NAMED:
            names.append(name)

    def _sentences(self, *, facts: bool) -> list[str]:
        order = ("small", "grey", "guessed", "implausible", "contradicted", "filled", "constant", "strange", *FACTS)
        found = []
        for key in sorted(self.counts, key=lambda key: order.index(key[0])):
            kind, text = key
            # Known images fall below the limit by definition in that share; a warning needs clearly more than those.
            enough = 3 * self.strange * self.images if kind == "strange" else 0
            if (kind in FACTS) == facts and self.counts[key] > enough:
                more = f" (at most {self.largest_masked:.1%} of an image)" if kind == "filled" else ""
                found.append(f"{self.counts[key]:,} of {self.images:,} images are {text}{more}: {self._name(key)}.")
        return found

    def _name(self, key: tuple[str, str]) -> str:
        names, rest = self.names[key], self.counts[key] - len(self.names[key])
        return ", ".join(names) + (f" and {rest:,} more" if rest else "")


def require_scale(pixel_scale_arcsec: float | None, preprocess: Preprocess) -> None:
    """Raise InputError unless images of this scale fit the run; None passes."""
    if pixel_scale_arcsec is None:
        return
    own = preprocess.pixel_scale_arcsec
    if own is None or preprocess.crop_px is None:
        raise InputError(
            f"--pixel-scale: the run was trained on {preprocess} of unknown scale, so no scale can be brought to it",
            "leave out --pixel-scale",
        )
    if expected := refuse_scale(pixel_scale_arcsec, own):
        raise InputError(
            f'--pixel-scale: found {pixel_scale_arcsec:g}"/px, {expected}',
            "resample the images to a scale in this range",
        )
