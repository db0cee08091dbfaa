"""A crowd weighed from an export: right ids, right truth, marks that must hit the lens, and messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_export import answer, classify, marks, write_export

from convnet_galaxies.data.human_grades import read_grades
from convnet_galaxies.data.panoptes.classifications import Classifications, ExportOptions, read_classifications
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.swap_offline import solve_offline
from convnet_galaxies.simulate.crowd_answers import draw_answers
from convnet_galaxies.simulate.zooniverse import simulate_export
from convnet_galaxies.study.crowd import Truth, read_truth, weigh_crowd

SIZES = {"subjects": 150, "looks": 8, "volunteers": 60}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crowd") / "export"
    simulate_export(folder, seed=5, pitfalls=0, **SIZES)
    return folder


def read(folder: Path) -> Classifications:
    return read_classifications(folder / "classifications.csv.gz", ExportOptions(id_name="id", keep_names=True))


def test_weights_of_an_export_are_those_of_its_answers(export: Path) -> None:
    drawn = draw_answers(5, **SIZES)
    exact = solve_offline(drawn.volunteer, drawn.subject, drawn.said_lens, drawn.truth)
    weighed = weigh_crowd(read(export), read_truth(export / "truth.csv"), question="T0")
    table = weighed.subjects
    assert table["id"].tolist() == [f"subject-{n:05d}" for n in range(150)]
    assert table["crowd_probability"].to_numpy() == pytest.approx(exact.probability, abs=1e-6)
    assert table["training"].to_numpy("float", na_value=-1).tolist() == drawn.truth.tolist()
    assert table["answers"].tolist() == exact.answers.tolist()
    people = weighed.volunteers.set_index("volunteer")
    number = [int(name.split()[-1]) for name in people.index]
    assert people["pl"].to_numpy() == pytest.approx(exact.skills.pl[number], abs=1e-6)
    assert people["answers"].is_monotonic_decreasing
    assert weighed.held_out is not None
    assert weighed.held_out.value > 0.8


def test_online_takes_the_answers_in_order_of_time(export: Path) -> None:
    online = weigh_crowd(read(export), read_truth(export / "truth.csv"), question="T0", method="online").subjects
    assert (online["crowd_probability"] == online["online_probability"]).all()
    assert (online["online_probability"] != online["offline_probability"]).any()


def test_the_table_is_one_of_grades(export: Path, tmp_path: Path) -> None:
    weighed = weigh_crowd(read(export), read_truth(export / "truth.csv"), question="T0")
    weighed.subjects.to_csv(tmp_path / "crowd.csv", index=False)
    grades = read_grades(tmp_path / "crowd.csv")
    assert grades["subject"].tolist() == weighed.subjects["id"].tolist()
    assert grades["crowd"].to_numpy() == pytest.approx(weighed.subjects["crowd_probability"].to_numpy())


def test_only_a_mark_near_a_training_lens_has_found_it(tmp_path: Path) -> None:
    rows = [
        classify("ann", "1", [marks((100, 100))]),
        classify("ben", "1", [marks((300, 300), (110, 110))]),
        classify("cat", "1", [marks((300, 300))]),
        classify("ann", "2", [marks()]),
        classify("cat", "2", [marks((5, 5))]),
        classify("ann", "3", [marks((5, 5))]),
    ]
    found = read_classifications(write_export(tmp_path / "e.csv", *rows), ExportOptions(keep_names=True))
    place = np.array([[105.0, 105.0], [np.nan, np.nan]])
    truth = Truth(np.array(["1", "2"]), np.array([True, False]), place)
    table = weigh_crowd(found, truth).subjects
    assert table["said_lens"].tolist() == [2, 1, 1]
    anywhere = weigh_crowd(found, Truth(truth.ids, truth.is_lens, np.full((2, 2), np.nan))).subjects
    assert anywhere["said_lens"].tolist() == [3, 1, 1]
    assert weigh_crowd(found, truth, hit_px=5.0).subjects["said_lens"].tolist() == [0, 1, 1]
    assert weigh_crowd(found, truth).remarks == (
        "only 1 lenses and 1 others among the training subjects: the skills are those of few fields",
    )


def test_truth_may_be_given_by_zooniverses_numbers_and_in_any_spelling(export: Path, tmp_path: Path) -> None:
    truth = pd.read_csv(export / "truth.csv")
    numbers = pd.read_csv(export / "sealed/truth.csv").set_index("id")["subject_id"]
    other = pd.DataFrame(
        {"ID": truth["id"].map(numbers).astype(str), "truth": np.where(truth["lens"] == 1, "LENS", "NOT")},
    )
    other.loc[len(other)] = ["9", "UNKNOWN"]
    other.to_csv(tmp_path / "truth.csv", index=False)
    first, second = (
        weigh_crowd(read(export), read_truth(path), question="T0").subjects["crowd_probability"]
        for path in (export / "truth.csv", tmp_path / "truth.csv")
    )
    assert first.to_numpy() == pytest.approx(second.to_numpy(), abs=1e-9)


def test_truth_of_other_subjects_and_tables_that_are_none_are_refused(export: Path, tmp_path: Path) -> None:
    found = read(export)
    strange = Truth(np.array(["a", "b"]), np.array([True, False]), np.full((2, 2), np.nan))
    with pytest.raises(InputError, match=r"none of its 2 ids \(a, b\) among the subjects of the export \(subject-"):
        weigh_crowd(found, strange, question="T0")
    with pytest.raises(UsageError, match=r"prior: found 0, expected a number between 0 and 1"):
        weigh_crowd(found, strange, prior=0.0)
    path = tmp_path / "t.csv"
    for text, message in (
        ("id,x\na,1\n", r"found the columns id, x, expected id and one of lens, truth, label"),
        ("id,lens\na,1\na,0\n", r"found a twice, expected each id once"),
        ("id,label\na,ring\nb,arc\n", r"column label: found classes, expected lenses and others"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_truth(path)


def test_volunteers_who_are_asked_nothing_are_left_out(tmp_path: Path) -> None:
    rows = [
        classify("ann", "1"),
        classify("ann", "2", [answer("No")]),
        classify("ben", "1", [answer("Ring", "T2")]),
        classify("ben", "2"),
    ]
    found = read_classifications(write_export(tmp_path / "e.csv", *rows), ExportOptions(keep_names=True))
    truth = Truth(np.array(["1", "2"]), np.array([True, False]), np.full((2, 2), np.nan))
    assert weigh_crowd(found, truth, question="T0").volunteers["answers"].tolist() == [2, 1]
