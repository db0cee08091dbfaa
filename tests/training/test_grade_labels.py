from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_sets import make_lens_set, tiny

from convnet_galaxies.data.grade_book import Grade, GradeBook
from convnet_galaxies.data.human_grades import MIXED, join_grades
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.losses import lens_loss
from convnet_galaxies.predict.calibrate import calibrate
from convnet_galaxies.predict.evaluation import evaluate
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.split import read_split, was_trained_on
from convnet_galaxies.training.fit import fit
from convnet_galaxies.training.grade_labels import GRADED, label_by_grades
from convnet_galaxies.training.setup import set_up_training


@pytest.fixture
def candidates() -> ImageSet:
    """Cutouts without labels."""
    images = make_lens_set(24)
    return replace(images, table=images.table.drop(columns=["flavor_label"]).assign(lens=np.nan))


def write_table(path: Path, ids, grades, **more) -> Path:
    pd.DataFrame({"id": ids, "grade": grades, **more}).to_csv(path, index=False)
    return path


def write_book(path: Path, rows) -> Path:
    """rows: (id, grader, grade, kind, role)."""
    book = GradeBook(path)
    for number, (name, grader, grade, kind, role) in enumerate(rows):
        shown = {"role": role} if role else {}
        book.append_grade(Grade(f"request{number}", f"s{name}{role}", name, grader, grade, kind, shown=shown))
    book.close()
    return path


def lens_of(images: ImageSet) -> list[float]:
    return [None if np.isnan(value) else round(value, 4) for value in images.table["lens"]]


def test_a_grade_is_a_soft_label_of_a_third_of_it_and_a_kind_is_no_lens(candidates, tmp_path) -> None:
    ids = candidates.table["id"]
    table = write_table(tmp_path / "g.csv", ids[:5], [3, 2, 1.5, 1, None], kind=["", "", "ring", "sim", "spiral"])
    found = label_by_grades(candidates, table)
    assert lens_of(found.images)[:6] == [1, 0.6667, 0, 0.3333, 0, None]
    assert (found.graded, found.hard_negatives) == (5, 2)
    assert found.images.table[GRADED].tolist() == [True] * 5 + [False] * 19
    assert found.images.table["grade_kind"].tolist()[:5] == ["", "", "ring", "", "spiral"]


def test_hard_labels_leave_out_what_lies_between(candidates, tmp_path) -> None:
    table = write_table(tmp_path / "g.csv", candidates.table["id"][:5], [3, 2, 1.9, 1, 0.99])
    found = label_by_grades(candidates, table, soft=False)
    assert lens_of(found.images)[:6] == [1, 1, None, None, 0, None]
    assert "2 images of a grade from 1 to below 2 have no label" in found.remarks


def test_the_crowds_probability_is_the_label_where_there_is_no_grade(candidates, tmp_path) -> None:
    crowd = pd.DataFrame({"id": candidates.table["id"][:4], "grade": [None, None, None, 3.0]})
    crowd.assign(crowd_probability=[0.9, 0.4, 0.01, 0.2]).to_csv(tmp_path / "c.csv", index=False)
    soft, hard = (label_by_grades(candidates, tmp_path / "c.csv", soft=soft) for soft in (True, False))
    assert lens_of(soft.images)[:5] == [0.9, 0.4, 0.01, 1, None]
    assert lens_of(hard.images)[:5] == [1, None, 0, 1, None]
    assert "3 of the labels are the crowd's probability, since there is no grade" in soft.remarks


def test_graders_are_averaged_whether_in_the_table_of_inspect_or_in_one_row_each(candidates, tmp_path) -> None:
    a, b = candidates.table["id"][:2]
    book = write_book(
        tmp_path / "g.sqlite",
        [
            (a, "Ann", 3, "", ""),
            (a, "Bob", 0, "", ""),
            (a, "Bob", 2, "", "repeat"),  # counts with his other grade as one
            (b, "Ann", 0, "merger", ""),
            ("other", "Ann", 3, "", MIXED),  # of another pack
        ],
    )
    rows = write_table(tmp_path / "g.csv", [a, a, b], [3, 1, 0])
    for path in (book, rows):
        assert lens_of(label_by_grades(candidates, path).images)[:2] == [pytest.approx(2 / 3, abs=1e-4), 0]
    assert label_by_grades(candidates, book).hard_negatives == 1
    assert "other" not in join_grades([book], ()).ids


def test_what_inspect_exports_gives_the_same_labels_as_its_table_and_its_consensus_others(candidates, tmp_path) -> None:
    from convnet_galaxies.data.tables import write_table as write
    from convnet_galaxies.inspection.results import export_candidates

    ids = candidates.table["id"]
    rows = [
        (name, grader, (k * 7 + shift) % 4, "", "")
        for k, name in enumerate(ids[:12])
        for grader, shift in (("Ann", 0), ("Bob", 1))
    ]
    book = write_book(tmp_path / "g.sqlite", rows)
    write(tmp_path / "g.parquet", export_candidates(book))
    soft = [lens_of(label_by_grades(candidates, path).images) for path in (book, tmp_path / "g.parquet")]
    assert soft[0] == soft[1]
    consensus = lens_of(label_by_grades(candidates, tmp_path / "g.parquet", use_consensus=True).images)
    table = export_candidates(book).set_index("id")["lens_consensus"]
    assert consensus[:12] == [pytest.approx(table[name], abs=1e-4) for name in ids[:12]]
    with pytest.raises(InputError, match="found no column lens_consensus"):
        label_by_grades(candidates, book, use_consensus=True)


def test_labels_that_are_known_stay(tmp_path) -> None:
    images = make_lens_set(24)
    table = write_table(tmp_path / "g.csv", images.table["id"], [1.5] * 24)
    found = label_by_grades(images, table)
    was_known = images.table["lens"].notna()
    assert found.images.table["lens"][was_known].tolist() == images.table["lens"][was_known].tolist()
    assert found.graded == int((~was_known).sum())
    assert f"{int(was_known.sum())} graded images keep the label that they have" in found.remarks


def test_grades_by_the_field_and_by_the_image_both_match(candidates, tmp_path) -> None:
    by_field = pd.DataFrame({"ZooID": candidates.table["ZooID"].unique()[:2], "expert_grade": [3, 0]})
    by_field.to_csv(tmp_path / "g.csv", index=False)
    assert lens_of(label_by_grades(candidates, tmp_path / "g.csv").images)[:5] == [1, 1, 0, 0, None]


def test_grades_of_other_images_are_refused_and_counted_where_some_match(candidates, tmp_path) -> None:
    with pytest.raises(InputError, match="found none of the 2 subjects"):
        label_by_grades(candidates, write_table(tmp_path / "g.csv", ["x", "y"], [1, 2]))
    table = write_table(tmp_path / "h.csv", [candidates.table["id"][0], "y"], [1, 2])
    assert "1 of 2 graded subjects are not among these images" in label_by_grades(candidates, table).remarks


def test_a_graded_image_is_shown_as_often_as_the_setting_tells_and_others_once(candidates, tmp_path) -> None:
    known = make_lens_set(48, seed=9)
    table = known.table.assign(id=known.table["id"] + "k", ZooID=known.table["ZooID"] + "k")
    known = replace(known, table=table.assign(group="ZooID=" + table["ZooID"]))
    graded = label_by_grades(candidates, write_table(tmp_path / "g.csv", candidates.table["id"], [2.0, 0] * 12)).images
    both = ImageSet(
        np.concatenate([known.images, graded.images]),
        pd.concat([known.table.assign(graded=False), graded.table], ignore_index=True),
        known.preprocess,
        known.kind,
        known.link_columns,
    )
    one, five = (
        set_up_training(both, tiny(f"train.graded_repeats={n}"), tasks=("lens",), parent=None, stage=None)
        for n in (1, 5)
    )
    counts = np.bincount(five.train_rows, minlength=len(both))
    of_one = np.bincount(one.train_rows, minlength=len(both))
    np.testing.assert_array_equal(counts, of_one * np.where(both.table["graded"], 5, 1))
    assert of_one.max() == 1
    assert one.identity != five.identity


def test_training_on_grades_splits_by_links_and_what_was_trained_on_is_refused_later(candidates, tmp_path) -> None:
    many = make_lens_set(96)
    unlabelled = replace(many, table=many.table.drop(columns=["flavor_label"]).assign(lens=np.nan))
    grades = np.where(many.table["lens"].fillna(0) == 1, 3.0, 0.0)
    table = write_table(tmp_path / "g.csv", many.table["id"], grades)
    run = tmp_path / "run"
    fit(label_by_grades(unlabelled, table).images, tiny("train.epochs=1"), run, tasks=("lens",))
    split = read_split(run / "split.parquet")
    assert len(pd.DataFrame({"field": many.table["ZooID"], "part": split["part"]}).drop_duplicates()) == 48
    hard = label_by_grades(unlabelled, table, soft=False).images
    predictor = Predictor(run, device="cpu", precision="fp32")
    found = evaluate(predictor, hard, part="heldout")
    assert found.refused == int((split["part"] == "train").sum()) == int(was_trained_on(hard, split).sum())
    assert found.images == 96 - found.refused
    with pytest.raises(InputError, match="between 0 and 1 in the column lens"):
        evaluate(predictor, label_by_grades(unlabelled, write_table(tmp_path / "s.csv", many.table["id"], 1.5)).images)
    with pytest.raises(InputError, match="between 0 and 1 in the column lens"):
        calibrate(
            predictor,
            label_by_grades(unlabelled, tmp_path / "s.csv").images,
            tmp_path / "calibrated",
        )


def test_a_soft_label_is_learned_as_a_probability() -> None:
    odds = np.linspace(-3, 3, 601)
    losses = [float(lens_loss(torch.tensor([one]), torch.tensor([0.3]))) for one in odds]
    assert 1 / (1 + np.exp(-odds[np.argmin(losses)])) == pytest.approx(0.3, abs=0.003)


def test_shown_without_a_role_is_a_candidate(candidates, tmp_path) -> None:
    name = candidates.table["id"][0]
    book = write_book(tmp_path / "g.sqlite", [(name, "Ann", 2, "", "")])
    assert join_grades([book], ()).ids.tolist() == [name]
