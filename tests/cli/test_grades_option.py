"""train, evaluate, calibrate and unknown read the same grades."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from small_sets import TINY_OPTIONS, make_lens_set

from convnet_galaxies.data.grade_book import Grade, GradeBook
from convnet_galaxies.data.pack import read_pack, write_set
from convnet_galaxies.runs.split import read_split
from convnet_galaxies.study.grading_plan import is_plan


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Candidates without labels, and the table of grades that `inspect` would have of them."""
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("graded")
    images = make_lens_set(160, seed=11)
    truth = images.table["lens"].fillna(0).to_numpy()
    names = images.table["id"] + "c"
    fields = images.table["ZooID"] + "c"
    table = images.table[["stage"]].assign(id=names, ZooID=fields, group="ZooID=" + fields)
    write_set(replace(images, table=table), folder / "candidates.pack")
    book = GradeBook(folder / "grades.sqlite")
    for number, (name, lens) in enumerate(zip(names, truth, strict=True)):
        kind = "" if lens else "spiral"
        book.append_grade(Grade(f"request{number}", f"s{name}", name, "Ann", 3.0 if lens else 0.0, kind))
    book.close()
    return folder


def test_train_learns_from_grades_and_evaluate_scores_on_those_held_out(run, world, graded, tmp_path) -> None:
    pack, grades = graded / "candidates.pack", graded / "grades.sqlite"
    done = run("train", world / "lens.pack", pack, "--grades", grades, "-o", tmp_path / "run", *TINY_OPTIONS)
    assert done.code == 0, done.err
    assert "Grades: 160 images have their grade as label, 106 of them a kind that is no lens." in done.err
    split = read_split(tmp_path / "run" / "split.parquet")
    assert split["used"].sum() == 160 + int(read_pack(world / "lens.pack").table["lens"].notna().sum())
    done = run("evaluate", tmp_path / "run", pack, "--grades", grades, "--part", "heldout", "--views", 1, "--json")
    found = json.loads(done.out)
    held_out = split["id"].isin(read_pack(pack).table["id"]) & (split["part"] != "train")
    assert found["images"] == int(held_out.sum())
    assert found["images"] + found["refused"] == 160


def test_calibrate_takes_grades_of_a_pack_without_labels(run, world, graded, tmp_path) -> None:
    words = ("calibrate", world / "lens", graded / "candidates.pack", "-o", tmp_path / "out", "--views", 1)
    assert "expected labelled images" in run(*words).err
    done = run(*words, "--grades", graded / "grades.sqlite")
    assert done.code == 0, done.err
    assert "fitted on 160 images (54 lenses" in done.out


def test_unknown_takes_the_table_of_inspect_as_it_is(run, world, graded, tmp_path) -> None:
    assert not is_plan(graded / "grades.sqlite")
    words = ("unknown", world / "lens", graded / "candidates.pack", "--known", world / "lens.pack", "--views", 1)
    done = run(*words, "--grades", graded / "grades.sqlite", "-o", tmp_path / "out", "-q")
    assert done.code == 0, done.err
    ranked = pd.read_csv(tmp_path / "out" / "ranked.csv")
    assert set(np.unique(ranked["expert_grade"])) == {0.0, 3.0}


def test_a_consensus_without_grades_and_grades_that_are_not_there_are_refused(run, world, tmp_path) -> None:
    done = run("evaluate", world / "lens", world / "lens.pack", "--consensus")
    assert (done.code, "would change nothing without --grades" in done.err) == (2, True)
    done = run("train", world / "lens.pack", "--grades", tmp_path / "none.csv", "-o", tmp_path / "run")
    assert (done.code, "does not exist" in done.err) == (1, True)
    (tmp_path / "bad.csv").write_text("id,grade\na,4\n")
    done = run("evaluate", world / "lens", world / "lens.pack", "--grades", tmp_path / "bad.csv")
    assert done.code == 1
    assert "grade" in done.err
