"""Write the tables of results into a page, between its marks, from results/*.csv.

    python benchmarks/table.py                 # into benchmarks/README.md
    python benchmarks/table.py README.md       # into another page that has a pair of marks
    python benchmarks/table.py --check         # only test whether the page is up to date

A page has some of these pairs of lines; the text between them is replaced.

    <!-- goals -->      <!-- end goals -->       the goals, and whether they are reached
    <!-- speed -->      <!-- end speed -->       the same without those of accuracy alone
    <!-- results -->    <!-- end results -->     all rows, one table per benchmark
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from measuring import RESULTS

TEXTS = ("against", "goal", "met", "remark")
COLUMNS = ("benchmark", "contestant", "value", "unit", "against", "ratio", "low", "high", "goal", "met", "remark")


def read_results(folder: Path) -> dict[str, tuple[str, pd.DataFrame]]:
    """Header line and rows of every result that has the common columns (others explain themselves)."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        header = path.read_text("utf-8").partition("\n")[0]
        table = pd.read_csv(path, skiprows=1 if header.startswith("#") else 0, keep_default_na=True)
        if set(COLUMNS) <= set(table):
            text = table.astype(dict.fromkeys(TEXTS, object)).fillna(dict.fromkeys(TEXTS, ""))
            found[path.stem] = (header.lstrip("# "), text)
    return found


EMULATED = "bf16 emulated"
ACCURACY = ("crowd",)
"""Benchmarks that measure neither time nor memory."""


def render_speed(results: dict[str, tuple[str, pd.DataFrame]]) -> str:
    """The goals of speed and memory."""
    return render_goals({name: result for name, result in results.items() if name not in ACCURACY})


def render_goals(results: dict[str, tuple[str, pd.DataFrame]]) -> str:
    """A table of the rows with a goal, and the machines that they were measured on."""
    lines = ["| what | found | goal | reached |", "|---|---|---|---|"]
    for _, table in results.values():
        for row in table[table["goal"] != ""].to_dict("records"):
            found = show_value(row)
            if row["unit"] == "AUROC":  # a ratio of areas means nothing
                # The peer's own row: the median of ratios would give an area that no round had.
                peer = table[table["contestant"].str.startswith(f"{row['against']},")]["value"].iloc[0]
                found = f"AUROC {row['value']:.3f}, {row['against']} {peer:.3f}"
            elif row["against"]:
                found = f"{row['ratio']:.3g} times {row['against']}"
            lines.append(f"| {row['benchmark']}: {row['contestant']} | {found} | {row['goal']} | {row['met']} |")
    machines = sorted(
        {header.partition("; load")[0] for header, table in results.values() if (table["goal"] != "").any()}
    )
    lines += ["", "Measured on " + "; and on ".join(machines) + "."]
    if any(EMULATED in machine for machine in machines):
        lines.append("The goals are for two cores with native bf16, which a machine with emulated bf16 lacks.")
    return "\n".join(lines)


def render_results(results: dict[str, tuple[str, pd.DataFrame]]) -> str:
    """All rows, with the machine above each table."""
    blocks = []
    for name, (header, table) in results.items():
        lines = [f"### {name}", "", header, "", "| what | median | ratio (lowest to highest round) | remark |"]
        lines.append("|---|---|---|---|")
        for row in table.to_dict("records"):
            ratio = ""
            if row["against"]:
                ratio = f"{row['ratio']:.3g} ({row['low']:.3g} to {row['high']:.3g}) of {row['against']}"
            lines.append(f"| {row['contestant']} | {show_value(row)} | {ratio} | {row['remark']} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def show_value(row: dict) -> str:  # type: ignore[type-arg]
    """Value and unit with three digits, thousands in full."""
    value = row["value"]
    return f"{value:,.0f} {row['unit']}" if abs(value) >= 100 else f"{value:.3g} {row['unit']}"


def fill(page: str, results: dict[str, tuple[str, pd.DataFrame]]) -> str:
    """The page with everything between its marks written anew; raises ValueError when it has no marks."""
    renderers: dict[str, Callable[[dict[str, tuple[str, pd.DataFrame]]], str]] = {
        "goals": render_goals,
        "speed": render_speed,
        "results": render_results,
    }
    marked = False
    for mark, render in renderers.items():
        pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end {mark} -->)", re.DOTALL)
        if pattern.search(page):
            marked = True
            text = f"\n{render(results)}\n\n" if results else "\nNot measured yet: `make bench`.\n\n"
            page = pattern.sub(lambda found, text=text: found[1] + text + found[2], page)  # type: ignore[misc]
    if not marked:
        raise ValueError("the page has no marks like <!-- results --> and <!-- end results -->")
    return page


def main() -> None:
    """Fill or check a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, nargs="?", default=Path(__file__).parent / "README.md")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    old = given.page.read_text("utf-8")
    new = fill(old, read_results(given.results))
    if given.check:
        sys.exit(0 if old == new else f"{given.page} is out of date: run python benchmarks/table.py {given.page}")
    given.page.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
