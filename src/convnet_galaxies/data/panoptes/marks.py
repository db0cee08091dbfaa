"""Places of marks: on which image, in which pixels, inside it or not."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any, Literal

import numpy as np
import pandas as pd

from convnet_galaxies.data.panoptes.annotations import Mark
from convnet_galaxies.data.panoptes.reasons import NO_SIZE, OTHER_IMAGE, OUTSIDE, OUTSIDE_NATURAL

Pixels = Literal["natural", "client"]

INSIDE = 0
_REASONS = {1: OUTSIDE, 2: OUTSIDE_NATURAL, 3: NO_SIZE}
_MANY = 0.02


class Marks:
    """Marks so far. Each keeps a verdict: 0 inside its image, else the number of the reason why it does not count.

    pixels: ``natural`` are those of the image itself, in which Zooniverse stores marks; ``client`` those of the
    volunteer's screen.
    """

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.row = array("i")
        self._x, self._y = array("d"), array("d")
        self._frame, self._tool, self._verdict = array("h"), array("h"), array("b")

    def add(self, row: int, mark: Mark, metadata: Any) -> None:
        """Add a mark of a kept row; metadata: parsed cell, which has the sizes of the subject's images."""
        x, y, verdict = self._judge(mark, metadata)
        self.row.append(row)
        self._x.append(x)
        self._y.append(y)
        self._frame.append(mark.frame)
        self._tool.append(mark.tool)
        self._verdict.append(verdict)

    def _judge(self, mark: Mark, metadata: Any) -> tuple[float, float, int]:
        x, y, size = mark.x, mark.y, find_size(metadata, mark.frame)
        in_client_px = self.pixels == "client"
        if size is None:
            return x, y, 3 if in_client_px else INSIDE if x >= -0.5 and y >= -0.5 else 1
        client_width, client_height, width, height = size
        if in_client_px:
            if not client_width or not client_height:
                return x, y, 3
            x, y = x * width / client_width, y * height / client_height
        # As for clicks of Space Warps: on the border they come as the size of the image itself.
        if -0.5 <= x <= width and -0.5 <= y <= height:
            return x, y, INSIDE
        return x, y, 2 if not in_client_px and 0 <= x <= client_width and 0 <= y <= client_height else 1

    def table(self, at: np.ndarray, counts: np.ndarray, frame: int | None) -> tuple[pd.DataFrame, Counter[str]]:
        """Return row, x_px, y_px, frame, tool of the marks that count, and how many do not by reason.

        at: int [marks], the row of each; counts: bool [marks], whether it counts; frame: of the image; None for all.
        """
        columns = {
            "row": at,
            "x_px": np.frombuffer(self._x, np.float64) if len(at) else np.empty(0),
            "y_px": np.frombuffer(self._y, np.float64) if len(at) else np.empty(0),
            "frame": np.array(self._frame, np.int16),
            "tool": np.array(self._tool, np.int16),
        }
        verdict = np.array(self._verdict, np.int8)
        other = np.zeros(len(at), bool) if frame is None else columns["frame"] != frame
        lost = {OTHER_IMAGE: int((counts & other).sum())}
        for code, reason in _REASONS.items():
            lost[reason] = int((counts & ~other & (verdict == code)).sum())
        good = counts & ~other & (verdict == INSIDE)
        table = pd.DataFrame({name: values[good] for name, values in columns.items()})
        return table.sort_values("row", kind="stable", ignore_index=True), Counter({k: n for k, n in lost.items() if n})

    def remark(self, lost: Counter[str], good: int) -> list[str]:
        """Return a remark where the marks seem to be in pixels of the screen."""
        if lost[OUTSIDE_NATURAL] <= max(lost[OUTSIDE], _MANY * good):
            return []
        return [
            f"{lost[OUTSIDE_NATURAL]:,} {OUTSIDE_NATURAL}: if they are in pixels of the screen, pass --pixels client"
        ]


def find_size(metadata: Any, frame: int) -> tuple[float, float, float, float] | None:
    """Return client width and height, natural width and height of one image of a subject; None where unknown."""
    try:
        sizes = metadata.get("subject_dimensions") or metadata["subjectDimensions"]
        size = sizes[frame]
        width, height = float(size["naturalWidth"]), float(size["naturalHeight"])
        client = float(size.get("clientWidth") or 0), float(size.get("clientHeight") or 0)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None
    return (*client, width, height) if width > 0 and height > 0 else None
