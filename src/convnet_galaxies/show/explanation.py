"""Pictures of what in an image an answer rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from scipy.ndimage import gaussian_filter

from convnet_galaxies.data.output import new_file
from convnet_galaxies.errors import UsageError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.explain import Explanation
from convnet_galaxies.show.canvas import COLORS, draw_images

AGAINST, FOR = COLORS[0], COLORS[1]
SMOOTHED_BY = 1 / 60
"""Scale of the Gaussian that smooths a drawn map, as a fraction of the side: gradients differ from pixel to pixel."""
FORMATS = (".png", ".svg", ".pdf", ".fits")
LARGEST_QUANTILE = 0.995
"""Quantile of the size of a map that gets the full colour."""


def tint_map(attributions: np.ndarray) -> np.ndarray:
    """Return a map, float [h, w], as a layer to lay over its image: uint8 [h, w, 4].

    Vermilion speaks for the answer, blue against it; the opacity grows with the size.
    """
    level = _level(attributions)
    colours = np.array([[int(one[k : k + 2], 16) for k in (1, 3, 5)] for one in (AGAINST, FOR)], np.uint8)
    layer = np.zeros((*level.shape, 4), np.uint8)
    layer[..., :3] = colours[(level > 0).astype(int)]
    layer[..., 3] = (235 * np.abs(level)).round().astype(np.uint8)
    return layer


def draw_explanation(
    pixels: np.ndarray, found: Explanation, name: str, output: StrPath, *, force: bool = False
) -> None:
    """Write an image with its map beside it (.png, .svg, .pdf), or the map itself (.fits, first row at the bottom).

    pixels: uint8 [h, w, bands]. name: of the image. Raises UsageError for another ending, and OutputExistsError unless
    force.
    """
    output = Path(output)
    check_ending(output)
    if output.suffix.lower() == ".fits":
        _write_fits(found, name, output, force=force)
        return
    picture = pixels[..., :3] if pixels.shape[-1] >= 3 else np.repeat(pixels[..., :1], 3, axis=-1)
    grey = np.repeat((picture @ np.array([0.3, 0.59, 0.11])).round().astype(np.uint8)[..., None], 3, axis=-1)
    largest = _largest(found.map)
    with draw_images(2) as drawing:
        left, right = drawing.axes
        left.imshow(picture)
        left.set_title(name if len(name) <= 40 else f"{name[:39]}…")
        right.imshow(grey)
        right.imshow(tint_map(found.map))
        right.set_title(f"{found.target}: {found.unit} {found.answer:.3g}, of empty sky {found.empty_answer:.3g}")
        colours = LinearSegmentedColormap.from_list("speaks", [AGAINST, "#F4F6F8", FOR])
        bar: Any = drawing.canvas.colorbar(
            ScalarMappable(Normalize(-largest, largest), colours), ax=right, fraction=0.046, pad=0.03
        )
        bar.set_label("against        for", fontsize=8)
        with new_file(output, force=force) as temporary:
            temporary.write_bytes(drawing.render(output.suffix.lower()[1:]))


def check_ending(output: Path) -> None:
    """Raise UsageError unless the ending is one of FORMATS."""
    if output.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{output}: found the ending {output.suffix or 'none'!r}, expected one of {', '.join(FORMATS)}",
            "name the file so",
        )


def _smooth(attributions: np.ndarray) -> np.ndarray:
    return gaussian_filter(attributions.astype(float), SMOOTHED_BY * attributions.shape[0])


def _largest(attributions: np.ndarray) -> float:
    return max(float(np.quantile(np.abs(_smooth(attributions)), LARGEST_QUANTILE)), 1e-12)


def _level(attributions: np.ndarray) -> np.ndarray:
    return np.clip(_smooth(attributions) / _largest(attributions), -1, 1)


def _write_fits(found: Explanation, name: str, output: Path, *, force: bool) -> None:
    from astropy.io import fits

    image = fits.PrimaryHDU(np.ascontiguousarray(found.map[::-1]))
    cards = {
        "OBJECT": name.encode("ascii", "replace").decode()[:60],
        "TARGET": found.target,
        "METHOD": found.method,
        "ANSWER": found.answer,
        "EMPTY": found.empty_answer,
    }
    image.header.update(cards)
    with new_file(output, force=force) as temporary:
        image.writeto(temporary, overwrite=True)
