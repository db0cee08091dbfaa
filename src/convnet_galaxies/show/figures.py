"""Drawings of a net's scores: ROC, purity in a survey, reliability, selection, learning, confusion, questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from convnet_galaxies.blocks import Plot
from convnet_galaxies.measure.calibration import Reliability
from convnet_galaxies.measure.confusion import FlavorScores
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.selection import Selection, SurveyCurve
from convnet_galaxies.show.canvas import COLORS, GREY, MARKERS, draw, line_style


def plot_roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Plot:
    """Plot ROC on a logarithmic axis; TPR0 and TPR10 are marked. curves: name to truth bool [n] and
    probability
    [n]."""
    with draw("false positive rate", "completeness (true positive rate)") as drawing:
        axes, words, least = drawing.axes, [], 1.0
        for number, (name, (truth, probability)) in enumerate(curves.items()):
            rate, found, _ = roc_curve(truth, probability)
            others = int((~truth).sum())
            edge = 0.5 / others
            least = min(least, edge)
            axes.step(np.maximum(rate, edge), found, where="post", label=name, **line_style(number))
            for label, allowed, marker in (("TPR0", 0, "o"), ("TPR10", 9, "s")):
                below = rate * others <= allowed + 1e-9
                value = float(found[below].max())
                axes.plot(
                    max(allowed / others, edge),
                    value,
                    marker,
                    color=COLORS[number % len(COLORS)],
                    zorder=3,
                    clip_on=False,
                )
                words.append(f"{name}: {label} {value:.3f}")
                if len(curves) == 1 and allowed < others:
                    axes.annotate(
                        f"{label} {value:.2f}",
                        (max(allowed / others, edge), value),
                        xytext=(7, 4 if value < 0.1 else -11),
                        textcoords="offset points",
                        fontsize=8,
                    )
        chance = np.geomspace(least, 1, 100)
        axes.plot(chance, chance, color=GREY, linewidth=1, linestyle=":", label="chance")
        axes.set_xscale("log")
        axes.set_xlim(least, 1)
        axes.set_ylim(0, 1.02)
        drawing.legend("lower right")
    return drawing.plot(
        "ROC curve. " + "; ".join(words),
        "ROC on a logarithmic axis; its left edge is no false positive. Circle: TPR0, the completeness before the "
        "first false positive; square: TPR10, before the tenth.",
    )


def plot_survey(curves: Mapping[str, SurveyCurve]) -> Plot:
    """Plot completeness against purity at a survey's prevalence, with bands."""
    first = next(iter(curves.values()))
    with draw("purity", "completeness") as drawing:
        for number, (name, curve) in enumerate(curves.items()):
            style = line_style(number)
            drawing.axes.plot(curve.purity, curve.completeness, label=name, **style)
            if len(curves) <= 2:
                drawing.axes.fill_betweenx(
                    curve.completeness,
                    curve.purity_low,
                    curve.purity_high,
                    color=style["color"],
                    alpha=0.15,
                    linewidth=0,
                )
        drawing.axes.set_xlim(-0.02, 1.02)
        drawing.axes.set_ylim(0, 1.02)
        drawing.legend("upper right")
    best = {name: float(curve.completeness[curve.purity >= 0.15].max(initial=0)) for name, curve in curves.items()}
    return drawing.plot(
        "Completeness against purity. "
        + "; ".join(f"{n}: completeness {b:.2f} at 15 % purity" for n, b in best.items()),
        f"Completeness against purity in a survey with {first.n_lenses:,.0f} lenses among {first.n_fields:,} images; "
        f"bands: {100 * first.level:.0f} % intervals, which stay wide until thousands of non-lenses are held out.",
    )


def plot_reliability(found: Mapping[str, Reliability]) -> Plot:
    """Plot the fraction of lenses against predicted probability, with intervals."""
    with draw("mean predicted probability", "fraction of lenses") as drawing:
        drawing.axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="perfect")
        for number, (name, one) in enumerate(found.items()):
            values = np.array([figure.value for figure in one.observed])
            reach = [
                np.maximum(0, [figure.value - figure.low for figure in one.observed]),
                np.maximum(0, [figure.high - figure.value for figure in one.observed]),
            ]
            style: Any = {"color": COLORS[number % len(COLORS)], "marker": MARKERS[number % len(MARKERS)]}
            drawing.axes.errorbar(one.predicted, values, yerr=reach, linestyle="none", capsize=2, label=name, **style)
        drawing.axes.set_xlim(-0.02, 1.02)
        drawing.axes.set_ylim(-0.02, 1.02)
        drawing.legend("upper left")
    words = [
        f"{name}: expected calibration error {one.expected_calibration_error.value:.3f}"
        f" ({one.error_if_perfect:.3f} would be that of perfect probabilities)"
        for name, one in found.items()
    ]
    return drawing.plot(
        "Reliability diagram. " + "; ".join(words), "Reliability in bins of equal counts. " + "; ".join(words) + "."
    )


def plot_selection(selection: Selection, label: str, threshold: float) -> Plot:
    """Plot completeness in bins of a property that has edges."""
    assert selection.edges is not None
    edges = np.array(selection.edges)
    with draw(label, "completeness") as drawing:
        values = np.array([figure.value for figure in selection.completeness])
        reach = [
            [figure.value - figure.low for figure in selection.completeness],
            [figure.high - figure.value for figure in selection.completeness],
        ]
        drawing.axes.errorbar(
            (edges[1:] + edges[:-1]) / 2,
            values,
            xerr=np.diff(edges) / 2,
            yerr=np.maximum(0, reach),
            fmt="o",
            color=COLORS[0],
            capsize=2,
            elinewidth=1,
        )
        drawing.axes.set_ylim(-0.02, 1.05)
    words = ", ".join(
        f"{name}: {v:.2f} of {n}" for name, v, n in zip(selection.names, values, selection.counts, strict=True)
    )
    return drawing.plot(
        f"Completeness against {label}. {words}",
        f"Completeness of held-out lenses against {label}, at probability {threshold:g}; bins of equal counts, "
        "exact binomial intervals.",
    )


def plot_learning(metrics: Mapping[str, pd.DataFrame], column: str = "loss") -> Plot:
    """Plot training (thin) and validation (strong) loss by epoch. metrics: name to the table of
    metrics.csv."""
    with draw("epoch", "loss") as drawing:
        for number, (name, table) in enumerate(metrics.items()):
            style = line_style(number)
            marker = "." if len(table) < 30 else None
            drawing.axes.plot(table["epoch"], table[f"train_{column}"], color=style["color"], linewidth=0.8, alpha=0.7)
            if f"validation_{column}" in table:
                drawing.axes.plot(table["epoch"], table[f"validation_{column}"], marker=marker, label=name, **style)
        drawing.axes.set_yscale("log")
        drawing.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        drawing.legend("upper right")
    last = {name: table.iloc[-1].to_dict() for name, table in metrics.items()}
    words = "; ".join(
        f"{name}: {int(row['epoch'])} epochs, {row['train_seconds']:.0f} s of training" for name, row in last.items()
    )
    return drawing.plot(f"Learning curves. {words}", f"Loss on training (thin) and validation images. {words}.")


def plot_confusion(scores: FlavorScores) -> Plot:
    """Plot the confusion matrix of flavors; shades and numbers are shares of the true flavor."""
    counts = np.array(scores.counts, float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with draw("predicted", "true") as drawing:
        axes = drawing.axes
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        names = [name.replace(" ", "\n", 1) for name in scores.names]
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.grid(False)
        for row, column in np.ndindex(counts.shape):
            axes.text(
                column,
                row,
                f"{100 * shares[row, column]:.0f} %\n{counts[row, column]:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if shares[row, column] > 0.5 else "black",
            )
    words = ", ".join(f"{name} {100 * figure.value:.0f} %" for name, figure in scores.completeness.items())
    return drawing.plot(
        f"Confusion matrix of flavors. Found as such: {words}",
        f"Confusion matrix of flavors; rows add to 100 %. Accuracy {scores.accuracy:.3f}.",
    )


def plot_intervals(rows: Sequence[tuple[str, Estimate]], label: str, alt: str, caption: str) -> Plot:
    """Plot figures with their intervals, one below the other."""
    with draw(label, "", height_in=0.9 + 0.27 * len(rows)) as drawing:
        axes = drawing.axes
        for number, (_, figure) in enumerate(rows):
            axes.plot([figure.low, figure.high], [number, number], color=COLORS[0], linewidth=1.6)
            axes.plot(figure.value, number, "o", color=COLORS[0])
        axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
    words = "; ".join(f"{name}: {one:.3g}" for name, one in rows)
    return drawing.plot(f"{alt} {words}", caption)
