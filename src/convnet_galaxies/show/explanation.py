"""Pictures of what in an image an answer rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

from convnet_galaxies.data.output import new_file
from convnet_galaxies.errors import UsageError
from convnet_galaxies.inspection.tint import AGAINST, FOR, find_scale, tint_map
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.explain import Explanation
from convnet_galaxies.show.canvas import draw_images

FORMATS = (".png", ".svg", ".pdf", ".fits")


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
    largest = find_scale(found.map)
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
