"""A simulated export of Zooniverse: read back, every pitfall is counted exactly and no other vote is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data.panoptes.classifications import Classifications, ExportOptions, read_classifications
from convnet_galaxies.data.panoptes.tables import count_votes, list_markers, list_verdicts
from convnet_galaxies.data.panoptes.workflow import read_workflow
from convnet_galaxies.errors import OutputExistsError, UsageError
from convnet_galaxies.simulate.crowd_answers import draw_answers
from convnet_galaxies.simulate.pitfalls import ADDED, CHANGED, PITFALLS
from convnet_galaxies.simulate.zooniverse import simulate_export

SIZES = {"subjects": 120, "looks": 6, "volunteers": 60, "seed": 3}


def read(folder: Path) -> Classifications:
    options = ExportOptions(workflow="5678", versions=("12",), id_name="id", salt="s")
    workflow = read_workflow(folder / "workflows.csv", None, "5678")
    return read_classifications(folder / "classifications.csv.gz", options, workflow=workflow)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same crowd without pitfalls, and with each at 5 %."""
    folder = tmp_path_factory.mktemp("exports")
    simulate_export(folder / "clean", pitfalls=0, **SIZES)
    simulate_export(folder / "real", pitfalls=0.05, **SIZES)
    return folder / "clean", folder / "real"


def test_votes_with_every_pitfall_are_those_without_less_the_counted_ones(both: tuple[Path, Path]) -> None:
    clean, real = both
    without, found = count_votes(read(clean)), count_votes(read(real))
    truth = pd.read_csv(real / "sealed/votes.csv")
    columns = [name for name in truth if name != "id"]
    assert sorted(found["id"]) == sorted(truth["id"])
    pd.testing.assert_frame_equal(found[columns], truth[columns])
    pitfalls = pd.read_csv(real / "sealed/pitfalls.csv", index_col="pitfall")["rows"]
    lost = without[columns].sum() - found[columns].sum()
    assert lost["T0_yes"] + lost["T0_no"] == pitfalls["two answers"] > 0
    assert not lost.drop(["T0_yes", "T0_no"]).any()


def test_every_pitfall_is_counted_for_its_reason_and_nothing_else_is(both: tuple[Path, Path]) -> None:
    clean, real = both
    nothing = read(clean)
    assert (nothing.left_out, nothing.passed_over, nothing.remarks) == ({}, {}, ())
    found = read(real)
    made = pd.read_csv(real / "sealed/pitfalls.csv", keep_default_na=False)
    assert list(made["pitfall"]) == list(PITFALLS)
    assert (made["rows"] > 0).all()
    expected = {reason: int(rows) for reason, rows in zip(made["reason"], made["rows"], strict=True) if reason}
    assert found.left_out | found.passed_over == expected
    assert set(found.left_out) == {reason for reason, _ in ADDED.values()}
    assert found.read == len(nothing.rows) + sum(found.left_out.values())


@pytest.mark.parametrize("name", PITFALLS)
def test_a_single_pitfall_changes_nothing_but_what_it_is_counted_for(tmp_path: Path, name: str) -> None:
    simulate_export(tmp_path / "one", pitfalls={name: 0.5}, subjects=20, looks=5, volunteers=20, seed=1)
    found = read(tmp_path / "one")
    truth = pd.read_csv(tmp_path / "one/sealed/votes.csv")
    columns = [column for column in truth if column != "id"]
    pd.testing.assert_frame_equal(count_votes(found)[columns], truth[columns])
    reason = ({**ADDED, **CHANGED})[name][0]
    assert set(found.left_out | found.passed_over) == ({reason} if reason else set())


def test_marks_and_verdicts_are_those_of_the_crowd(both: tuple[Path, Path]) -> None:
    clean, _ = both
    drawn = draw_answers(SIZES["seed"], **{name: SIZES[name] for name in ("subjects", "looks", "volunteers")})
    found = read(clean)
    marks = list_markers(found)
    assert np.sort(marks["x"]) == pytest.approx(np.sort([x for one in drawn.marks for x, _ in one]))
    verdicts = list_verdicts(found, "T0")
    assert len(verdicts) == len(drawn.said_lens)
    assert verdicts["said_lens"].tolist() == drawn.said_lens.tolist()
    assert found.subjects["id"].to_numpy()[verdicts["subject"]].tolist() == [f"subject-{n:05d}" for n in drawn.subject]


def test_true_skills_are_the_frequencies_of_right_answers() -> None:
    drawn = draw_answers(0, subjects=3000, looks=10, volunteers=20, training_fraction=0.5, training_looks=10)
    right = drawn.said_lens == (drawn.lens[drawn.subject] == 1)
    for kind, skill in ((1, drawn.pl), (0, drawn.pd)):
        rows = drawn.lens[drawn.subject] == kind
        seen = np.bincount(drawn.volunteer[rows], minlength=20)
        rate = np.bincount(drawn.volunteer[rows], right[rows], minlength=20) / seen
        # Five sigmas, of which the sorts of fields that a volunteer happened to see are a part.
        assert (np.abs(rate - skill) < 5 * np.sqrt(skill * (1 - skill) / seen) + 0.03).all()


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(tmp_path: Path, both: tuple[Path, Path]) -> None:
    _, real = both
    simulate_export(tmp_path / "again", pitfalls=0.05, **SIZES)
    simulate_export(tmp_path / "other", pitfalls=0.05, **{**SIZES, "seed": 4})
    names = [path.relative_to(real) for path in real.rglob("*") if path.is_file()]
    assert all((real / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)
    assert (real / "classifications.csv.gz").read_bytes() != (tmp_path / "other/classifications.csv.gz").read_bytes()


def test_numbers_that_cannot_be_met_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"found 2 subjects, expected at least 4"):
        simulate_export(tmp_path / "a", **{**SIZES, "subjects": 2})
    with pytest.raises(UsageError, match=r"found a rate of 1\.5 of again"):
        simulate_export(tmp_path / "a", pitfalls={"again": 1.5}, **SIZES)
    with pytest.raises(UsageError, match=r"found agin, expected again, other workflow"):
        simulate_export(tmp_path / "a", pitfalls={"agin": 0.5}, **SIZES)
    with pytest.raises(UsageError, match=r"found a prevalence of 2"):
        simulate_export(tmp_path / "a", prevalence=2.0, **SIZES)
    (tmp_path / "b").mkdir()
    with pytest.raises(OutputExistsError):
        simulate_export(tmp_path / "b", **SIZES)
