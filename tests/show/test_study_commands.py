from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_results import make_cutouts, make_study, make_study_pack, make_zoo_pack
from typer.testing import CliRunner

from convnet_galaxies.cli import app
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError, OutputExistsError, UsageError
from convnet_galaxies.study import study
from convnet_galaxies.study.results import read_results
from convnet_galaxies.study.study_plan import StudyPlan


def run(*words: str) -> str:
    """What a command prints; its errors are raised as they are."""
    result = CliRunner().invoke(app, list(words), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.mark.parametrize("text", ["0,1", "2", "half", ""])
def test_impossible_shares_of_the_labels_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"--label-fractions: found .*expected numbers above 0 and at most 1"):
        run("study", "--zoo", "z", "--lenses", "s", "-o", str(tmp_path / "o"), "--label-fractions", text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [("--rates", "-1", "numbers above 0"), ("--rates", "inf", "numbers above 0"), ("--lens-epochs", "8,1.5", "whole")],
)
def test_an_impossible_grid_is_refused(tmp_path: Path, option: str, text: str, expected: str) -> None:
    with pytest.raises(UsageError, match=rf"{option}: found '{text}', expected {expected}"):
        run("study", "--zoo", "z", "--lenses", "s", "-o", str(tmp_path / "o"), option, text)


def test_report_command_writes_the_page_and_says_what_it_is(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", make_cutouts(30, np.random.default_rng(0)), repetitions=1, fractions=(1.0,))
    page = tmp_path / "report.html"
    printed = run("report", str(folder), "-o", str(page))
    assert printed.startswith(f"{page}: study, ")
    assert "</html>" in page.read_text("utf-8")
    with pytest.raises(OutputExistsError, match="already exists"):
        run("report", str(folder), "-o", str(page))


def test_unknown_refuses_an_output_that_is_there_and_a_run_that_is_not(tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError, match="already exists"):
        run("unknown", "builtin:lens", str(tmp_path), "-o", str(tmp_path))
    with pytest.raises(InputError, match="no such folder, expected a finished run"):
        run("unknown", str(tmp_path / "run"), "pack", "-o", str(tmp_path / "out"))


def test_study_command_plans_what_its_options_say_and_prints_what_it_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutouts = make_cutouts(30, np.random.default_rng(0))
    lenses, zoo = make_study_pack(tmp_path / "lenses.pack", cutouts), make_zoo_pack(tmp_path / "zoo")
    planned: list[tuple[Any, ...]] = []

    def pretend(images: ImageSet | None, found: ImageSet, settings: Any, output: Path, *, plan: StudyPlan, **_: Any):
        planned.append((None if images is None else len(images), len(found), settings.train.batch, plan))
        make_study(output, cutouts, repetitions=plan.repetitions, fractions=plan.fractions)

    monkeypatch.setattr(study, "run_study", pretend)
    words = ["study", "--lenses", str(lenses), "--repetitions", "1", "--set", "train.batch=7", "--quiet"]
    words += ["--label-fractions", "1 1.0", "--rates", "2,0.5", "--lens-epochs", "24,8,8", "--fine-epochs", "5"]
    printed = run(*words, "--zoo", str(zoo), "--no-controls", "-o", str(tmp_path / "a"))
    plan = StudyPlan(1, (1.0,), (2.0, 0.5), 20, (8, 24), (5,), with_controls=False)
    assert planned == [(40, 60, 7, plan)]
    results = read_results(tmp_path / "a")
    assert {name: Path(path) for name, path in results.sources.items()} == {"zoo": zoo, "lenses": lenses}
    leading = next(one for one in results.comparisons if one.is_leading)
    assert leading.sentence in " ".join(printed.split())

    told = json.loads(run(*words, "--parent", "builtin:zoo", "--json", "-o", str(tmp_path / "b")))
    assert planned[1][0] is None
    assert planned[1][3].parents == ("builtin:zoo",)
    assert list(told["sources"]) == ["lenses"]
    assert len(told["strategies"]) == len(read_results(tmp_path / "b").strategies)


def test_report_command_refuses_options_of_other_sources_and_tells_as_json(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", make_cutouts(30, np.random.default_rng(0)), repetitions=1, fractions=(1.0,))
    with pytest.raises(UsageError, match=r"already contains the figures of its report"):
        run("report", str(folder), "-o", str(tmp_path / "a.html"), "--part", "test")
    with pytest.raises(UsageError, match=r"without --pack the report of a run has no figures"):
        run("report", "builtin:lens", "-o", str(tmp_path / "a.html"), "--seed", "1")
    assert not (tmp_path / "a.html").exists()
    told = json.loads(run("report", str(folder), "-o", str(tmp_path / "a.html"), "--json"))
    assert told["kind"] == "study"
    assert told["size_bytes"] == (tmp_path / "a.html").stat().st_size


def test_report_of_a_study_shows_the_cutouts_of_its_pack_and_refuses_another(tmp_path: Path) -> None:
    cutouts = make_cutouts(60, np.random.default_rng(0))
    folder = make_study(tmp_path / "study", cutouts, repetitions=1, fractions=(1.0,))
    pack = make_study_pack(tmp_path / "lenses.pack", cutouts)
    run("report", str(folder), "-o", str(tmp_path / "a.html"), "--pack", str(pack))
    text = (tmp_path / "a.html").read_text("utf-8")
    assert "Best: lenses found most surely" in text
    found = cutouts[(cutouts["lens"] == 1) & (cutouts["stage"] == 1)]
    assert sum(f"{name}\n" in text for name in found["id"]) >= min(12, len(found))
    other = make_study_pack(tmp_path / "other.pack", cutouts.iloc[1:])
    with pytest.raises(InputError, match=f"found no image {cutouts['id'].iloc[0]}, expected those that the study"):
        run("report", str(folder), "-o", str(tmp_path / "b.html"), "--pack", str(other))
    assert not (tmp_path / "b.html").exists()
