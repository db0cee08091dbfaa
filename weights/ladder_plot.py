"""Tabulate and plot the ablation: AUROC of the network alone, and of network and volunteers, per recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.show.canvas import COLORS, GREY, MARKERS, draw

COLUMNS = {
    "net": "net",
    "crowd": "crowd",
    "both": "both",
    "both_minus_crowd": "both - crowd",
    "rank_correlation": "net, rank correlation",
}
"""Columns of the kept table, each with _low and _high beside it, and the figures of ladder.compare_with_experts."""

TARGETS = (0.82, 0.85, 0.88)
TARGETS_NAME = "targets: net 0.82, its goal 0.85, net and crowd 0.88"
WIDTH_IN, HEIGHT_IN = 7.2, 4.3


def to_table(rungs: Mapping[str, Mapping[str, Estimate]]) -> pd.DataFrame:
    """Return one row per rung, lowest first: AUROC, its differences and rank correlation, with 95 % intervals."""
    rows = []
    for rung, figures in rungs.items():
        row: dict[str, str | float] = {"rung": rung}
        for column, name in COLUMNS.items():
            figure = figures[name]
            row |= {column: figure.value, f"{column}_low": figure.low, f"{column}_high": figure.high}
        rows.append(row)
    return pd.DataFrame(rows).round(4)


def show_table(table: pd.DataFrame) -> str:
    """Return the table as text, columns separated by bars."""

    def words(column: str) -> pd.Series:
        return table.apply(
            lambda row: f"{row[column]:.3f} ({row[f'{column}_low']:.3f} to {row[f'{column}_high']:.3f})", 1
        )

    shown = pd.DataFrame({"rung": table["rung"], **{name: words(column) for column, name in COLUMNS.items()}})
    return shown.to_csv(index=False, sep="|")


def plot_ladder(table: pd.DataFrame, path: Path, *, ships: str) -> None:
    """Write the drawing (SVG): dots are AUROC, whiskers their intervals; the rung that ships is in bold."""
    with draw("AUROC, grade 2 or more against below 1 (95 % intervals)", "") as drawing:
        axes = drawing.axes
        axes.figure.set_size_inches(WIDTH_IN, HEIGHT_IN)  # type: ignore[union-attr]
        top = len(table) - 0.4
        for target in TARGETS:
            axes.axvline(target, color=GREY, linewidth=0.9, linestyle=":", zorder=0)
            axes.text(target, top, f"{target:g}", fontsize=7, color="#57606A", ha="center", va="bottom")
        crowd = float(table["crowd"].iloc[0])
        axes.axvline(crowd, color="black", linewidth=1.1, linestyle="--", label=f"crowd alone, {crowd:.3f}")
        for number, (column, name, offset) in enumerate(
            (("net", "net alone", -0.14), ("both", "net and crowd, held out", 0.14))
        ):
            reach = [table[column] - table[f"{column}_low"], table[f"{column}_high"] - table[column]]
            axes.errorbar(
                table[column],
                [row + offset for row in range(len(table))],
                xerr=reach,
                fmt=MARKERS[number],
                color=COLORS[number],
                capsize=2,
                elinewidth=1.3,
                label=name,
            )
        axes.set_yticks(range(len(table)), table["rung"])
        for text, rung in zip(axes.get_yticklabels(), table["rung"], strict=True):
            text.set_fontweight("bold" if rung == ships else "normal")
        axes.set_ylim(-0.6, top)
        axes.grid(axis="y", visible=False)
        axes.plot([], [], color=GREY, linewidth=0.9, linestyle=":", label=TARGETS_NAME)
        axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)  # type: ignore[union-attr]
    path.write_bytes(drawing.svg)
