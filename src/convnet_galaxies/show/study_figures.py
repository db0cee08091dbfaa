"""Drawings of a study: AUROC by number of labels, and the differences that answer its questions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from convnet_galaxies.blocks import Plot
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.show.canvas import COLORS, MARKERS, draw, line_style
from convnet_galaxies.study.strategies import count_lenses
from convnet_galaxies.study.strategy_comparisons import ANSWERED_BY, Comparison
from convnet_galaxies.study.strategy_scores import StrategyScores


def plot_labels(strategies: Sequence[StrategyScores], stage: int, where: str) -> Plot | None:
    """Plot AUROC on one stage against the number of labels, one curve per strategy; None without any.

    where: the stage in words.
    """
    of_stage = [one for one in strategies if one.stage == stage]
    if not of_stage:
        return None
    names = list(dict.fromkeys(one.strategy for one in of_stage))
    labels = {one.fraction: {other.labels for other in of_stage if other.fraction == one.fraction} for one in of_stage}
    # Arms that were trained on another stage have other numbers of labels at one share.
    by_share = any(len(found) > 1 for found in labels.values())
    words = []
    with draw("fraction of the labels" if by_share else "labelled training images", f"AUROC on {where}") as drawing:
        axes = drawing.axes
        for number, name in enumerate(names):
            rows = sorted((one for one in of_stage if one.strategy == name), key=lambda one: one.fraction)
            at = [one.fraction if by_share else one.labels for one in rows]
            # Curves of a kind stand beside each other, so that their bars can be told apart.
            x = np.array(at) * 1.035 ** (number - (len(names) - 1) / 2)
            figures = [one.figures["auroc"] for one in rows]
            values = np.array([figure.value for figure in figures])
            reach = [
                [figure.value - figure.low for figure in figures],
                [figure.high - figure.value for figure in figures],
            ]
            axes.errorbar(
                x,
                values,
                yerr=np.maximum(0, reach),
                marker=MARKERS[number % len(MARKERS)],
                capsize=2,
                elinewidth=1,
                label=name,
                **line_style(number),
            )
            words.append(
                f"{name}: " + ", ".join(f"{v:.3f} at {100 * r.fraction:g} %" for v, r in zip(values, rows, strict=True))
            )
        axes.set_xscale("log")
        ticks = sorted({one.fraction if by_share else one.labels for one in of_stage})
        axes.set_xticks(ticks, [f"{100 * tick:g} %" if by_share else f"{tick:,.0f}" for tick in ticks])
        axes.minorticks_off()
        sure = [one.figures["auroc"].low for one in of_stage if not one.figures["auroc"].warning]
        middles = [one.figures["auroc"].value for one in of_stage]
        axes.set_ylim(max(0.0, min([*sure, *middles]) - 0.03), 1.005)
        drawing.legend("lower right")
    first = of_stage[0]
    return drawing.plot(
        f"AUROC on {where} by number of labels. " + "; ".join(words),
        f"AUROC on {where}, {first.n_images:,} images tested in turn ({count_lenses(first.n_lenses)}), mean of "
        f"{first.repetitions} repetition{'s' * (first.repetitions != 1)}; 95 % intervals over groups and repetitions.",
    )


def plot_comparisons(comparisons: Sequence[Comparison], name: str = ANSWERED_BY) -> Plot | None:
    """Plot differences with their intervals, one line per question and fraction of the labels; None without
    comparisons."""
    if not comparisons:
        return None
    label = SCORES[name].label
    questions = list(dict.fromkeys(comparison.question for comparison in comparisons))
    shares = sorted({comparison.fraction for comparison in comparisons}, reverse=True)
    named: set[float] = set()
    with draw(f"difference of {label}", "", height_in=0.8 + 0.55 * len(questions)) as drawing:
        axes = drawing.axes
        for comparison in comparisons:
            number, figure = shares.index(comparison.fraction), comparison.differences[name]
            y = questions.index(comparison.question) + 0.22 * (number - (len(shares) - 1) / 2)
            is_settled = figure.low * figure.high > 0 and not figure.warning
            color = COLORS[number % len(COLORS)]
            axes.plot([figure.low, figure.high], [y, y], color=color, linewidth=1.4)
            axes.plot(
                figure.value,
                y,
                MARKERS[number % len(MARKERS)],
                color=color,
                markerfacecolor=color if is_settled else "white",
                label=None if comparison.fraction in named else f"{100 * comparison.fraction:g} % of the labels",
            )
            named.add(comparison.fraction)
        axes.axvline(0, color="black", linewidth=0.9)
        axes.set_yticks(range(len(questions)), [textwrap.fill(text, 22) for text in questions], fontsize=7.5)
        axes.set_ylim(len(questions) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        drawing.legend("best")
    words = "; ".join(comparison.sentence for comparison in comparisons) if name == ANSWERED_BY else ""
    return drawing.plot(
        f"Differences of {label}. {words}",
        f"Change of the {label} by each step, paired by repetition; each with its own 95 % interval. Filled: the "
        "interval excludes 0 and rests on enough lenses.",
    )
