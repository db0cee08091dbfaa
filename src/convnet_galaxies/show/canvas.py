"""The look of every drawing: size, colours that the colour-blind tell apart, and SVG bytes that do not change."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from convnet_galaxies.blocks import Plot

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito 2008, the strongest first."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)), "-", (0, (5, 1.5)), "-")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#8A929B"

WIDTH_IN, HEIGHT_IN = 4.7, 3.5
_STYLE: Any = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#57606A",
    "axes.labelcolor": "#1B1F24",
    "axes.titlesize": 9,
    "axes.grid": True,
    "grid.color": "#E4E8EC",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.color": "#57606A",
    "ytick.color": "#57606A",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.7,
    "lines.markersize": 5,
    "svg.hashsalt": "convnet-galaxies",
    "svg.fonttype": "path",
}


class Drawing:
    """One pair of axes and, when it is finished, its SVG."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = b""

    def legend(self, place: str) -> None:
        """A legend at a place within the axes; above them when it is long."""
        handles, labels = self.axes.get_legend_handles_labels()
        if len(labels) > 3:
            options: Any = {"loc": "outside upper left", "ncols": 2, "fontsize": 7}
            self.axes.figure.legend(handles, labels, **options)
        elif labels:
            options = {"loc": place}
            self.axes.legend(**options)

    def plot(self, alt: str, caption: str) -> Plot:
        """Return the finished drawing with its words."""
        return Plot(self.svg, alt, caption)


@contextmanager
def draw(x_label: str, y_label: str, *, height_in: float = HEIGHT_IN) -> Iterator[Drawing]:
    """Axes to draw on; when the block ends the SVG is made. Equal drawings give equal bytes."""
    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(figsize=(WIDTH_IN, height_in), layout="constrained")
        axes = canvas.add_subplot()
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        drawing = Drawing(axes)
        yield drawing
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        drawing.svg = buffer.getvalue()


class ImageDrawing:
    """Several images side by side. axes: one per image, without ticks; canvas: matplotlib's figure."""

    def __init__(self, canvas: Canvas, axes: list[Axes]) -> None:
        self.canvas, self.axes = canvas, axes

    def render(self, form: str) -> bytes:
        """Return the drawing as bytes of a format: png, svg or pdf. Equal drawings give equal bytes."""
        buffer = io.BytesIO()
        dates: dict[str, Any] = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}
        self.canvas.savefig(buffer, format=form, dpi=160, metadata=dates.get(form))
        return buffer.getvalue()


@contextmanager
def draw_images(count: int) -> Iterator[ImageDrawing]:
    """Axes for so many images side by side; render them before the block ends."""
    with matplotlib.rc_context({**_STYLE, "axes.grid": False}):
        canvas = Canvas(figsize=(HEIGHT_IN * count, HEIGHT_IN), layout="constrained")
        axes = [canvas.add_subplot(1, count, place + 1) for place in range(count)]
        for one in axes:
            one.set_axis_off()
        yield ImageDrawing(canvas, axes)


def line_style(number: int) -> dict[str, Any]:
    """Return colour and dashes of the curve of a number; they repeat after seven."""
    return {"color": COLORS[number % len(COLORS)], "linestyle": DASHES[number % len(DASHES)]}
