"""Plots about unlabelled images: scores, prevalence, the best-ranked, and human grades."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnet_galaxies.blocks import Plot
from convnet_galaxies.measure.agreement import Agreement
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.show.canvas import draw, line_style
from convnet_galaxies.show.figures import plot_intervals
from convnet_galaxies.study.human_report import name_figure
from convnet_galaxies.study.unknown import UnknownResult
from convnet_galaxies.study.unknown_report import METHOD_TITLES

_LIMIT = 1e-6


def plot_scores(known: pd.DataFrame, ranked: pd.DataFrame) -> Plot:
    """Plot the distribution of the net's log odds among known lenses, known others and unknown images."""
    sides = {
        "known, no lens": known.loc[known["lens"] == 0, "lens_probability"],
        "known lenses": known.loc[known["lens"] == 1, "lens_probability"],
        "unknown": ranked["lens_probability"],
    }
    odds = {name: _log_odds(values.to_numpy(float)) for name, values in sides.items()}
    everything = np.concatenate(list(odds.values()))
    edges = np.linspace(everything.min() - 1e-3, everything.max() + 1e-3, 31)
    with draw("lens probability of the network", "fraction of the images") as drawing:
        for number, (name, values) in enumerate(odds.items()):
            shares = np.histogram(values, edges)[0] / len(values)
            drawing.axes.stairs(shares, edges, label=f"{name} ({len(values):,})", **line_style(number))
        ticks = [
            p for p in (1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999) if edges[0] <= _odds(p) <= edges[-1]
        ]
        drawing.axes.set_xticks([_odds(p) for p in ticks], [f"{p:g}" for p in ticks], rotation=30)
        drawing.axes.set_ylim(0, 1.3 * drawing.axes.get_ylim()[1])
        drawing.legend("upper center")
    words = "; ".join(f"{name}: median probability {np.median(values):.3g}" for name, values in sides.items())
    return drawing.plot(
        f"Distribution of lens probabilities. {words}",
        "Scores on a logit axis. The estimate fits the unknown distribution as a mixture of the two known ones.",
    )


def plot_prevalence(result: UnknownResult) -> Plot:
    """Plot the fraction of lenses by each method, and the range under stated assumptions."""
    rows: list[tuple[str, Estimate]] = [
        (METHOD_TITLES.get(name, name), figures["lens"]) for name, figures in result.prevalence.by_method.items()
    ]
    bounds = result.bounds
    low, high = bounds.completeness_ratio
    middle, (start, end) = bounds.as_measured, result.assumed_range
    rows += [
        ("flagged, corrected", middle),
        (
            "range under assumptions",
            Estimate("range", min(max(middle.value, start), end), start, end, middle.level),
        ),
    ]
    if (shift := result.shifted) is not None:
        value, first, last = (
            number / result.n_unknown for number in (result.prevalence.count["lens"].value, shift.low, shift.high)
        )
        figure = Estimate("lens", min(max(value, first), last), first, last, shift.level)
        rows.insert(-2, ("mixture, lower scores", figure))
    return plot_intervals(
        [(name, _in_percent(figure)) for name, figure in rows],
        "lenses among the unknown, %",
        "Estimates of the fraction of lenses.",
        f"Fraction of lenses by method, {100 * middle.level:.0f} % intervals. The last line is the range if the "
        f"network finds {low:g} to {high:g} times as many of the real lenses as of the known ones, and "
        f"{bounds.false_positive_ratio[0]:g} to {bounds.false_positive_ratio[1]:g} times as many false positives"
        + ("; since known and unknown differ, every flagged image may be a false positive." if result.differs else "."),
    )


def plot_top(ranked: pd.DataFrame, level: float, *, shifted: bool = False) -> Plot:
    """Plot expected purity and completeness of the k best, for every k.

    shifted: whether the bands are the ranges if real lenses score lower, instead of the intervals.
    """
    n = len(ranked)
    at = np.unique(np.geomspace(1, n, min(n, 160)).astype(int)) - 1
    with draw("k best of the unknown images", "fraction") as drawing:
        for number, name in enumerate(("purity", "completeness")):
            style = line_style(number)
            drawing.axes.plot(at + 1, ranked[name].to_numpy()[at], label=f"expected {name}", **style)
            low, high = (ranked[f"{name}{'_shifted' * shifted}_{end}"].to_numpy()[at] for end in ("low", "high"))
            drawing.axes.fill_between(at + 1, low, high, color=style["color"], alpha=0.15, linewidth=0)
        drawing.axes.set_xscale("log")
        drawing.axes.set_xlim(1, max(n, 2))
        drawing.axes.set_ylim(0, 1.02)
        drawing.legend("center left")
    words = ", ".join(f"purity {ranked['purity'].iloc[k - 1]:.2f} for k = {k}" for k in (10, 50, 200) if k <= n)
    return drawing.plot(
        f"Expected purity and completeness of the top k. {words}",
        f"Expected purity and completeness of the k best{', if alike' * shifted}; bands: {100 * level:.0f} % intervals "
        + ("at all shifts to lower scores that the scores allow." if shifted else "for these images."),
    )


def plot_agreement(agreement: Agreement, name: str) -> Plot:
    """Plot AUROC, average precision and rank correlation of each judge."""
    names = ("auroc", "average_precision", "spearman")
    rows = [
        (f"{name_figure(key)}: {judge}", figures[key]) for key in names for judge, figures in agreement.judges.items()
    ]
    return plot_intervals(
        rows,
        "value",
        f"Network, crowd and both against {name}.",
        f"Against {name}: {agreement.n_lenses} of grade 2 or more, {agreement.n_others} below 1; 95 % intervals.",
    )


def _log_odds(probability: np.ndarray) -> np.ndarray:
    kept = np.clip(probability, _LIMIT, 1 - _LIMIT)
    return np.log(kept / (1 - kept))


def _odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def _in_percent(figure: Estimate) -> Estimate:
    return Estimate(figure.name, 100 * figure.value, 100 * figure.low, 100 * figure.high, figure.level, figure.warning)
