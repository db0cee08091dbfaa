"""What to say of images that a run was not made for: one sentence a kind, never one an image."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from convnet_galaxies.data.preprocess import Preprocess, Source, is_constant, is_grey
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.predict.familiarity import STRANGE

SCALE_RANGE = (0.5, 2.2)
"""Scales that an image may have, in those of the run: objects in it look between half and twice their size."""

NAMED = 3


@dataclass
class InputNotes:
    """Counts by kind, and the first names of each.

    window_px: side of the square that the net sees, in source pixels; None where the whole image is shrunk to it.
    """

    window_px: float | None = None
    images: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def look(
        self, ids: Sequence[str], pixels: np.ndarray, sources: Sequence[Source | None], familiarity: np.ndarray | None
    ) -> None:
        """Take in a block: uint8 [n, h, w, bands], what the images were before, familiarity [n]."""
        self.images += len(ids)
        constant = is_constant(pixels)
        self._count("constant", ids, constant)
        if pixels.shape[3] > 1:
            self._count("grey", ids, is_grey(pixels) & ~constant)
        known = [source or Source(side_px=sys.maxsize) for source in sources]
        if self.window_px is not None:
            self._count("small", ids, np.array([source.side_px < self.window_px for source in known], bool))
        self._count("guessed", ids, np.array([source.unit == "guessed" for source in known], bool))
        if familiarity is not None:
            self._count("strange", ids, familiarity < STRANGE)

    def sentences(self) -> list[str]:
        """One sentence for each kind that occurred."""
        window = f"{self.window_px:.0f} px that the net sees" if self.window_px else "net's window"
        texts = {
            "small": f"smaller than the {window} and were padded with zeros",
            "grey": "without colour, which the net expects",
            "guessed": "linear without a zero point, so their brightness was guessed from their noise (--zero-point)",
            "constant": "of one value everywhere, so their predictions mean nothing",
            "strange": f"unlike anything that the run knows (familiarity below {STRANGE:g})",
        }
        found = []
        for kind, text in texts.items():
            count = self.counts.get(kind, 0)
            # Known images fall below STRANGE by definition in that share; a warning needs clearly more than those.
            if count > (3 * STRANGE * self.images if kind == "strange" else 0):
                found.append(f"{count:,} of {self.images:,} images are {text}: {self._name(kind)}.")
        return found

    def _count(self, kind: str, ids: Sequence[str], mask: np.ndarray) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + int(mask.sum())
        names = self.names.setdefault(kind, [])
        names += [ids[row] for row in np.flatnonzero(mask)[: NAMED - len(names)]]

    def _name(self, kind: str) -> str:
        names, rest = self.names[kind], self.counts[kind] - len(self.names[kind])
        return ", ".join(names) + (f" and {rest:,} more" if rest else "")


def require_scale(pixel_scale_arcsec: float | None, preprocess: Preprocess) -> None:
    """Raises InputError or UsageError unless images of this scale can be shown to a run; None passes."""
    if pixel_scale_arcsec is None:
        return
    if not np.isfinite(pixel_scale_arcsec) or pixel_scale_arcsec <= 0:
        raise UsageError(
            f"--pixel-scale: found {pixel_scale_arcsec:g}, expected arcsec a pixel above 0", "give e.g. 0.263"
        )
    own = preprocess.pixel_scale_arcsec
    if own is None or preprocess.crop_px is None:
        raise InputError(
            f"--pixel-scale: the run was trained on {preprocess} of unknown scale, so no scale can be brought to it",
            "leave out --pixel-scale",
        )
    low, high = (round(factor * own, 2 if own > 0.05 else 4) for factor in SCALE_RANGE)
    if not low <= pixel_scale_arcsec <= high:
        raise InputError(
            f'--pixel-scale: found {pixel_scale_arcsec:g}"/px, expected {low:g} to {high:g}, since the run was trained '
            f'at {own:g}"/px',
            "resample the images to a scale in this range",
        )
