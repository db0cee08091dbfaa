"""The benchmark scripts: they run, their ratios are taken within rounds, and their pages are written from results."""

from __future__ import annotations

import ast
import importlib.util
import runpy
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = sorted(BENCHMARKS.glob("bench_*.py"))


@pytest.fixture(scope="module")
def measuring() -> ModuleType:
    return load("measuring")


def load(name: str) -> ModuleType:
    """A module of the benchmarks, which are no package."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_tells_how_it_is_called(script: Path) -> None:
    text = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""
    assert f"python benchmarks/{script.name}" in text


def test_readme_names_every_script_and_no_other() -> None:
    page = (BENCHMARKS / "README.md").read_text("utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `bench_")]
    assert sorted(rows) == [path.name for path in SCRIPTS]


def test_contestants_take_turns_in_an_order_that_turns_round(measuring: ModuleType) -> None:
    order: list[str] = []
    measuring.race({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, warm_up=False)
    assert "".join(order) == "abbaab"


def test_ratio_is_taken_within_a_round(measuring: ModuleType, tmp_path: Path) -> None:
    """A machine that slows down tenfold between the rounds changes no ratio."""
    report = measuring.Report("drift", measuring.Options(False, 3, tmp_path / "drift.csv"))
    slow = np.array([1.0, 0.5, 0.1])
    report.add("ours", 800 * slow, "images/s", against="peer", reference=100 * slow, goal=">= 8")
    report.add("ours, halved", 400 * slow, "images/s", against="peer", reference=100 * slow, goal=">= 8")
    report.finish()
    table = pd.read_csv(tmp_path / "drift.csv", skiprows=1)
    assert table["ratio"].tolist() == [8.0, 4.0]
    assert table["low"].tolist() == table["high"].tolist() == [8.0, 4.0]
    assert table["met"].tolist() == ["yes", "no"]
    assert (tmp_path / "drift.csv").read_text().startswith("# ")


def test_page_is_written_from_the_results(measuring: ModuleType, tmp_path: Path) -> None:
    report = measuring.Report("speed", measuring.Options(False, 1, tmp_path / "speed.csv"))
    report.add("ours", 1600.0, "images/s", against="peer", reference=200.0, goal=">= 8")
    report.finish()
    (tmp_path / "coverage.csv").write_text("# a result of another form\nmethod,coverage\nmixture,0.9\n")
    table = load("table")
    page = "before\n<!-- goals -->\nold\n<!-- end goals -->\nbetween\n<!-- results -->\n<!-- end results -->\nafter\n"
    filled = table.fill(page, table.read_results(tmp_path))
    assert "| speed: ours | 8 times peer | >= 8 | yes |" in filled
    assert "| ours | 1,600 images/s | 8 (8 to 8) of peer |  |" in filled
    assert "old" not in filled
    assert filled.startswith("before\n")
    assert filled.endswith("after\n")
    assert table.fill(filled, table.read_results(tmp_path)) == filled
    with pytest.raises(ValueError, match="no marks"):
        table.fill("a page without marks", {})


def test_goals_of_accuracy_alone_are_not_among_those_of_speed(measuring: ModuleType, tmp_path: Path) -> None:
    for name in ("speed", "crowd"):
        report = measuring.Report(name, measuring.Options(False, 1, tmp_path / f"{name}.csv"))
        report.add("ours", 0.95, "of 90 % intervals", goal=">= 0.85")
        report.finish()
    table = load("table")
    results = table.read_results(tmp_path)
    page = "<!-- {0} -->\n<!-- end {0} -->\n"
    assert "crowd" in table.fill(page.format("goals"), results)
    assert "crowd" not in table.fill(page.format("speed"), results)
    assert "| speed: ours |" in table.fill(page.format("speed"), results)


def test_the_frontier_is_drawn_from_its_points_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)  # the scripts import one another
    frontier = load("bench_frontier")
    assert frontier.read_points(tmp_path / "none.csv")[1].empty
    points = pd.DataFrame(
        {"net": ["default", "half the widths", "default"], "epochs": [4, 4, 12], "seconds": [100.0, 30.0, 300.0]}
    ).assign(images_s=200.0, rmse=[0.11, 0.12, 0.1], low=0.09, high=0.13)
    path = tmp_path / "frontier.csv"
    path.write_text("# a processor, 2 cores; Linux\n" + points.to_csv(index=False))
    header, found = frontier.read_points(path)
    pd.testing.assert_frame_equal(found, points)
    drawn = frontier.plot(found, header)
    assert drawn.startswith(b"<?xml")
    assert drawn == frontier.plot(points, header)
    costs = [frontier.NETS[net][0] * epochs for net, epochs in frontier.POINTS]
    assert costs == sorted(costs)
    assert len(set(frontier.POINTS)) == sum(len(counts) for _, _, counts in frontier.NETS.values())


@pytest.fixture(scope="module")
def galaxies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the scripts keep the images that they make."""
    return tmp_path_factory.mktemp("benchmarks")


@pytest.mark.parametrize("name", ["packing", "augmentation"])
def test_quick_run_reports_ratios_and_keeps_nothing(
    name: str, galaxies: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = BENCHMARKS / "results" / f"{name}.csv"
    before = kept.read_bytes() if kept.exists() else None
    monkeypatch.setattr(tempfile, "tempdir", str(galaxies))
    monkeypatch.setattr(sys, "argv", [f"bench_{name}.py", "--quick", "--rounds", "1"])
    monkeypatch.syspath_prepend(BENCHMARKS)
    runpy.run_path(str(BENCHMARKS / f"bench_{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert " of " in printed
    assert "nothing kept" in printed
    assert (kept.read_bytes() if kept.exists() else None) == before
