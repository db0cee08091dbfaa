"""Every pitfall of real classification exports by itself: what counts, what does not, and how many for which reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_export import SIZE, answer, classify, marks, write_export

from convnet_galaxies.data.panoptes import reasons
from convnet_galaxies.data.panoptes.annotations import clean_answer, find_centre
from convnet_galaxies.data.panoptes.blocks import is_export
from convnet_galaxies.data.panoptes.classifications import Classifications, ExportOptions, read_classifications
from convnet_galaxies.data.panoptes.selection import is_version
from convnet_galaxies.data.panoptes.tables import count_votes, list_markers, list_verdicts
from convnet_galaxies.data.panoptes.workflow import Naming, Task, Workflow
from convnet_galaxies.errors import InputError

QUESTION = Task("single", ("yes", "no"))
KNOWN = Workflow({(12, 0): {"T0": QUESTION, "T1": Task("drawing", ()), "T2": Task("multiple", ("ring", "arms"))}})


def read(path: Path, *rows: dict[str, str], workflow: Workflow | None = None, **options: Any) -> Classifications:
    export = write_export(path / "export.csv", *rows)
    return read_classifications(export, ExportOptions(**options), workflow=workflow)


def votes_of(found: Classifications, workflow: Workflow | None = None) -> dict[str, dict[str, int]]:
    """Counts by id and column, without those that are zero."""
    table = count_votes(found, workflow).set_index("id").drop(columns=["subject_id", "retired", "classifications"])
    return {name: {column: int(n) for column, n in row.items() if n} for name, row in table.iterrows()}


def test_answers_become_counts_per_subject_under_names_of_columns(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        classify("ann", "1"),
        classify("ben", "1", [answer("No"), answer("Spiral arms!", "T2")]),
        classify("cat", "1", [answer("Yes"), answer(["Ring", "Spiral arms!"], "T2")]),
        classify("ann", "2", [answer("No")]),
    )
    assert votes_of(found) == {
        "1": {"T0_yes": 2, "T0_no": 1, "T2_ring": 1, "T2_spiral-arms": 2},
        "2": {"T0_no": 1},
    }
    assert count_votes(found)["classifications"].tolist() == [3, 1]
    assert (found.read, found.left_out, found.passed_over) == (4, {}, {})


def test_of_one_volunteers_classifications_of_a_subject_the_first_in_time_counts_whatever_their_order(
    tmp_path: Path,
) -> None:
    found = read(
        tmp_path,
        classify("ann", "1", [answer("No")], minute=9),
        classify("ann", "1", [answer("Yes")], minute=3),
        classify("ann", "2", [answer("No")], minute=5),
        classify("ben", "1", [answer("No")], minute=5),
    )
    assert votes_of(found) == {"1": {"T0_yes": 1, "T0_no": 1}, "2": {"T0_no": 1}}
    assert found.left_out == {reasons.AGAIN: 1}


def test_an_account_with_two_names_is_one_volunteer(tmp_path: Path) -> None:
    found = read(tmp_path, classify("ann", user_id="5"), classify("ann of the sky", user_id="5", minute=1))
    assert found.left_out == {reasons.AGAIN: 1}


@pytest.mark.parametrize(
    ("rule", "yes", "out"),
    [
        ("same", 2, {reasons.AGAIN: 1}),
        ("each", 3, {}),
        ("drop", 1, {reasons.NOT_LOGGED_IN: 2}),
    ],
)
def test_names_of_who_is_not_logged_in_are_one_person_or_not_as_asked(
    tmp_path: Path, rule: str, yes: int, out: dict[str, int]
) -> None:
    hidden = "not-logged-in-2c61707e96c97a759840"
    found = read(tmp_path, classify("ann"), classify(hidden), classify(hidden, minute=1), anonymous=rule)
    assert (votes_of(found), found.left_out) == ({"1": {"T0_yes": yes}}, out)


def test_rows_without_any_name_are_never_one_person(tmp_path: Path) -> None:
    assert votes_of(read(tmp_path, classify(None), classify(None, minute=1))) == {"1": {"T0_yes": 2}}


def test_names_become_hashes_that_change_with_the_salt_and_addresses_are_nowhere(tmp_path: Path) -> None:
    rows = [classify("ann"), classify("ben"), classify("ann", "2")]
    first, again, other, unsalted = (
        read(tmp_path, *rows, salt=salt).rows["volunteer"].tolist() for salt in ("s", "s", "t", None)
    )
    assert first == again != other
    assert first[0] == first[2] != first[1]
    assert not set(first) & set(other)
    assert not set(first) & set(unsalted)
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in first)
    assert read(tmp_path, *rows, keep_names=True).rows["volunteer"].tolist() == ["ann", "ben", "ann"]
    found = read(tmp_path, *rows)
    told = "".join(table.to_csv() for table in (found.rows, found.subjects, found.answers))
    assert "2c61707e96c97a759840" not in told
    assert "ann" not in told


def test_rows_of_another_workflow_do_not_count_and_several_need_a_choice(tmp_path: Path) -> None:
    rows = [classify("ann"), classify("ben", workflow_id="7", workflow_name="Old lenses")]
    export = write_export(tmp_path / "export.csv", *rows)
    for name in ("6122", "Lenses"):
        found = read_classifications(export, ExportOptions(workflow=name))
        assert (votes_of(found), found.left_out) == ({"1": {"T0_yes": 1}}, {reasons.OTHER_WORKFLOW: 1})
    with pytest.raises(InputError, match=r"several workflows \(6122 Lenses: 1 rows, 7 Old lenses: 1 rows\)"):
        read_classifications(export)
    with pytest.raises(InputError, match=r"other workflows .*expected workflow 99.*another project"):
        read_classifications(export, ExportOptions(workflow="99"))


def test_versions_with_other_answers_are_named_and_can_be_chosen(tmp_path: Path) -> None:
    rows = [
        classify("ann", annotations=[answer("Maybe")], workflow_version="3.40"),
        classify("ben", workflow_version="12.4"),
        classify("cat", workflow_version="12.40"),
    ]
    found = read(tmp_path, *rows)
    assert "T0: answers differ between versions of the workflow (12: yes; 3: maybe); --version chooses" in found.remarks
    assert votes_of(found) == {"1": {"T0_yes": 2, "T0_maybe": 1}}
    assert votes_of(read(tmp_path, *rows, versions=("12",))) == {"1": {"T0_yes": 2}}
    only = read(tmp_path, *rows, versions=("12.4",))
    assert (votes_of(only), only.left_out) == ({"1": {"T0_yes": 1}}, {reasons.OTHER_VERSION: 2})
    with pytest.raises(InputError, match=r"other versions of the workflow \(.*3\.40: 1 rows.*expected 5"):
        read(tmp_path, *rows, versions=("5",))


def test_a_version_is_two_whole_numbers() -> None:
    assert is_version("12.34", ["12"])
    assert is_version("12.34", ["3", "12.34"])
    assert is_version("12.0", ["12.0"])
    assert not is_version("12.34", ["12.3"])
    assert not is_version("12.3", ["12.30"])
    assert not is_version("1.2", ["12"])


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("![yes.png](https://example.org/a(1.png) Yes", "yes"),
        ("![no.png](https://example.org/a.png =30x30)\n No ", "no"),
        ("Features or Disk", "features-or-disk"),
        ("Can't tell", "cant-tell"),
        ("Cant  tell", "cant-tell"),
        (">4", "more-than-4"),
        ("4", "4"),
        ("5+", "5-plus"),
        ("![spiral_arms.png](https://example.org/b.png)", "spiral-arms"),
        ("[Ring](https://example.org) galaxy", "ring-galaxy"),
        ("Très étalée", "très-étalée"),
        ("![](x)", ""),
    ],
)
def test_answers_lose_their_picture_and_become_short(text: str, short: str) -> None:
    assert clean_answer(text) == short


def test_numbers_of_answers_are_read_with_the_workflow_and_left_out_without(tmp_path: Path) -> None:
    rows = [classify("ann", annotations=[answer(0)]), classify("ben", annotations=[answer(1)]), classify("cat")]
    assert votes_of(read(tmp_path, *rows, workflow=KNOWN)) == {"1": {"T0_yes": 2, "T0_no": 1}}
    named = Workflow({}, {"T0": Naming("lens", ("yes", "no"))})
    assert votes_of(read(tmp_path, *rows, workflow=named), named) == {"1": {"lens_yes": 2, "lens_no": 1}}
    blind = read(tmp_path, *rows)
    assert (votes_of(blind), blind.passed_over) == ({"1": {"T0_yes": 1}}, {reasons.NO_TEXT: 2})
    beyond = read(tmp_path, classify("ann", annotations=[answer(2)]), classify("ben"), workflow=KNOWN)
    assert beyond.passed_over == {reasons.UNKNOWN_ANSWER: 1}


@pytest.mark.parametrize("nothing", [[], [answer(None)], [answer("")], [answer("  ")], ["?"], {}, None])
def test_rows_without_any_answer_do_not_count(tmp_path: Path, nothing: Any) -> None:
    row = classify("ben", annotations=[]) | {"annotations": json.dumps(nothing)}
    found = read(tmp_path, classify("ann"), row, classify("ben", minute=5))
    assert (votes_of(found), found.left_out) == ({"1": {"T0_yes": 2}}, {reasons.NO_ANSWER: 1})


def test_null_and_empty_answers_beside_others_are_passed_over(tmp_path: Path) -> None:
    found = read(
        tmp_path, classify(annotations=[answer("Yes"), answer(None, "T2"), answer("", "T3"), answer([], "T4")])
    )
    assert votes_of(found) == {"1": {"T0_yes": 1}}
    assert found.passed_over == {reasons.EMPTY: 2, reasons.NONE_CHOSEN: 1}


def test_two_different_answers_to_one_question_are_none_and_two_equal_ones_are_one(tmp_path: Path) -> None:
    twice = [answer("Yes"), answer("No"), answer("Ring", "T2")]
    found = read(
        tmp_path,
        classify("ann", annotations=twice),
        classify("ben", annotations=[answer("Yes"), answer("![y.png](u) Yes")]),
        classify("cat", annotations=[answer(["Yes", "No"])]),
        workflow=KNOWN,
    )
    assert votes_of(found) == {"1": {"T0_yes": 1, "T2_ring": 1}}
    assert found.passed_over == {reasons.SEVERAL_ANSWERS: 2}


def test_tasks_and_answers_that_the_workflow_does_not_have_are_passed_over(tmp_path: Path) -> None:
    given = [answer("Yes"), answer("Yes", "T7"), answer("Bar", "T2"), marks((1, 2), task="T8")]
    found = read(tmp_path, classify(annotations=given), workflow=KNOWN)
    assert votes_of(found) == {"1": {"T0_yes": 1}}
    assert found.passed_over == {reasons.UNKNOWN_TASK: 2, reasons.UNKNOWN_ANSWER: 1}
    assert not len(found.marks)


def test_combo_tasks_are_unfolded_to_any_depth(tmp_path: Path) -> None:
    inner = {"task": "T5", "value": [answer("No"), marks((3, 4))]}
    found = read(tmp_path, classify(annotations=[{"task": "T6", "value": [inner, answer(["Ring"], "T2")]}]))
    assert votes_of(found) == {"1": {"T0_no": 1, "T2_ring": 1}}
    assert list_markers(found)[["x", "y"]].to_numpy().tolist() == [[3, 4]]


def test_marks_are_in_pixels_of_the_image_or_scaled_from_those_of_the_screen(tmp_path: Path) -> None:
    row = classify(annotations=[marks((100, 50))])
    natural, client = (list_markers(read(tmp_path, row, pixels=pixels)) for pixels in ("natural", "client"))
    assert natural[["x", "y"]].to_numpy().tolist() == [[100, 50]]
    assert client[["x", "y"]].to_numpy().tolist() == [[50, 25]]
    newer = row | {"metadata": json.dumps({"subjectDimensions": [SIZE]})}
    assert list_markers(read(tmp_path, newer, pixels="client"))["x"].tolist() == [50]
    unknown = read(tmp_path, classify(annotations=[marks((100, 50))], sizes=[]), pixels="client")
    assert unknown.passed_over == {reasons.NO_SIZE: 1}
    assert list_markers(read(tmp_path, classify(annotations=[marks((100, 50))], sizes=[])))["x"].tolist() == [100]


def test_marks_outside_the_image_are_passed_over_and_a_wrong_choice_of_pixels_is_remarked(tmp_path: Path) -> None:
    outside = [marks((-3, 5), (440, 440), (441, 5), (5, 900))]
    found = read(tmp_path, classify(annotations=outside))
    assert list_markers(found)["x"].tolist() == [440]
    assert found.passed_over == {reasons.OUTSIDE: 2, reasons.OUTSIDE_NATURAL: 1}
    screen = read(tmp_path, classify(annotations=[marks((800, 700), (20, 860), (3, 4))]))
    assert screen.remarks[0].startswith("2 marks outside the image, but inside it as it was shown on the screen")
    assert read(tmp_path, classify(annotations=[marks((800, 700))]), pixels="client").remarks == ()


def test_marks_count_on_one_image_of_a_subject_or_on_all(tmp_path: Path) -> None:
    row = classify(annotations=[marks((1, 1)), marks((2, 2), task="T2", frame=1)], sizes=[SIZE, SIZE])
    first = read(tmp_path, row)
    assert (list_markers(first)["x"].tolist(), first.passed_over) == ([1], {reasons.OTHER_IMAGE: 1})
    assert list_markers(read(tmp_path, row, frame=1))["x"].tolist() == [2]
    assert list_markers(read(tmp_path, row, frame=None))["frame"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("mark", "centre"),
    [
        ({"x": 3, "y": "4.5"}, (3, 4.5)),
        ({"x": 10, "y": 20, "width": 4, "height": 6}, (12, 23)),
        ({"x1": 0, "x2": 4, "y1": 2, "y2": 2}, (2, 2)),
        ({"points": [{"x": 0, "y": 0}, {"x": 4, "y": 0}, {"x": 2, "y": 6}]}, (2, 2)),
        ({"x_center": 1, "y_center": 2, "width": 9, "height": 9}, (1, 2)),
        ({"x": None, "y": 2}, None),
        ({"x": float("nan"), "y": 2}, None),
        ({"points": []}, None),
        ({}, None),
    ],
)
def test_the_place_of_a_mark_is_its_centre(mark: dict[str, Any], centre: tuple[float, float] | None) -> None:
    assert find_centre(mark) == centre


@pytest.mark.parametrize("name", ["#id", "!id", "//id", "id", "#ID "])
def test_the_id_of_a_subject_may_be_hidden_from_volunteers_in_any_way(tmp_path: Path, name: str) -> None:
    row = classify(about={"retired": None, name: "J0001", "Filename": "a.png"})
    other = classify(subject="9", about={"retired": None, "Filename": "zebra.png"})
    for wanted in ("id", "#id", "ID"):
        found = read(tmp_path, row, other, id_name=wanted)
        assert (found.subjects["id"].tolist(), found.left_out) == (["J0001"], {reasons.NO_ID: 1})


def test_retirement_is_a_reason_or_nothing(tmp_path: Path) -> None:
    abouts = [
        {"retired": None},
        {"retired": {"retirement_reason": "consensus", "id": 3}},
        {"retired": {"retirement_reason": None, "id": 3}},
        {},
    ]
    found = read(tmp_path, *(classify(subject=str(n), about=about) for n, about in enumerate(abouts)))
    assert count_votes(found)["retired"].tolist() == ["", "consensus", "retired", ""]


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ({"gold_standard": "true"}, "gold", reasons.GOLD),
        ({"metadata": json.dumps({"live_project": False})}, "tests", reasons.TEST),
    ],
)
def test_gold_standard_and_tests_before_the_project_was_live_count_only_when_asked(
    tmp_path: Path, row: dict[str, str], kind: str, reason: str
) -> None:
    rows = [classify("ann"), classify("ben", **row)]
    found = read(tmp_path, *rows)
    assert (votes_of(found), found.left_out) == ({"1": {"T0_yes": 1}}, {reason: 1})
    assert votes_of(read(tmp_path, *rows, keep=(kind,))) == {"1": {"T0_yes": 2}}


@pytest.mark.parametrize("column", ["annotations", "metadata", "subject_data"])
@pytest.mark.parametrize("broken", ['[{"task": "T0"', "{'task': 'T0'}", '{"a": }'])
def test_broken_json_in_one_cell_costs_one_row(tmp_path: Path, column: str, broken: str) -> None:
    found = read(tmp_path, classify("ann"), classify("ben") | {column: broken}, classify("cat"))
    assert (votes_of(found), found.left_out) == ({"1": {"T0_yes": 2}}, {reasons.BROKEN_JSON: 1})


def test_cells_that_are_no_utf_8_cost_one_row(tmp_path: Path) -> None:
    export = write_export(tmp_path / "export.csv", classify("ann"), classify("ben", annotations=[answer("Ja?")]))
    export.write_bytes(export.read_bytes().replace(b"Ja?", b"Ja\xff"))
    assert read_classifications(export).left_out == {reasons.BROKEN_JSON: 1}


def test_rows_with_too_few_or_too_many_cells_are_counted(tmp_path: Path) -> None:
    export = write_export(tmp_path / "export.csv", classify("ann"), classify("ben"))
    export.write_bytes(export.read_bytes() + b"1,2,3\n" + b"x," * 20 + b"\n")
    found = read_classifications(export)
    assert (found.read, found.left_out, votes_of(found)) == (4, {reasons.BROKEN_ROW: 2}, {"1": {"T0_yes": 2}})


def test_classifications_of_several_subjects_at_once_do_not_count(tmp_path: Path) -> None:
    both = json.dumps({"1": {"retired": None}, "2": {"retired": None}})
    found = read(tmp_path, classify("ann"), classify("ben", subject_ids="1;2", subject_data=both))
    assert found.left_out == {reasons.SEVERAL_SUBJECTS: 1}


def test_free_text_dropdowns_and_questions_about_marks_are_passed_over_and_surveys_are_read(tmp_path: Path) -> None:
    dropdown = {"task": "T4", "value": [{"value": "a1", "option": True}]}
    slider = {"task": "T5", "value": 3.5}
    detail = {"task": "T1.0.0", "taskType": "single", "markIndex": 0, "value": 1}
    survey = {"task": "T6", "value": [{"choice": "RING", "answers": {}}]}
    found = read(tmp_path, classify(annotations=[dropdown, slider, detail, survey]))
    assert votes_of(found) == {"1": {"T6_ring": 1}}
    assert found.passed_over == {reasons.NOT_READ: 2, reasons.MARK_DETAILS: 1}
    texts = [classify(f"u{n}", annotations=[answer("Yes"), answer(f"a thought {n}", "T9")]) for n in range(1300)]
    free = read(tmp_path, *texts)
    assert (votes_of(free), free.passed_over) == ({"1": {"T0_yes": 1300}}, {reasons.FREE_TEXT: 1300})


def test_nothing_depends_on_the_order_of_rows_or_on_compression(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        classify(f"u{rng.integers(9)}", str(rng.integers(5)), [answer(str(rng.choice(["Yes", "No"])))], minute=n)
        for n in range(50)
    ]
    export = write_export(tmp_path / "a.csv", *rows)
    shuffled = write_export(tmp_path / "b.csv.gz", *(rows[n] for n in rng.permutation(50)))
    packed = write_export(tmp_path / "c.csv.bz2", *rows)
    first, second, third = (count_votes(read_classifications(path)) for path in (export, shuffled, packed))
    columns = sorted(first.columns)
    pd.testing.assert_frame_equal(first[columns], second[columns])
    pd.testing.assert_frame_equal(first, third)


def test_old_exports_without_optional_columns_and_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    few = ("user_name", "workflow_id", "annotations", "subject_data")
    export = write_export(tmp_path / "old.csv", classify("ann"), classify("ben"), header=few)
    export.write_bytes(b"\xef\xbb\xbf" + export.read_bytes())
    assert is_export(export)
    found = read_classifications(export)
    assert (votes_of(found), found.subjects["subject_id"].tolist()) == ({"1": {"T0_yes": 2}}, ["1"])
    assert found.rows["time"].isna().all()


def test_files_that_are_no_export_are_refused_with_what_they_hold(tmp_path: Path) -> None:
    other = tmp_path / "subjects.csv"
    other.write_text("subject_id,project_id,metadata\n1,2,{}\n")
    assert not is_export(other)
    with pytest.raises(
        InputError, match=r"subjects\.csv: found the columns subject_id, project_id, metadata, expected "
    ):
        read_classifications(other)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match=r"found no header, expected a classification export"):
        read_classifications(tmp_path / "empty.csv")
    with pytest.raises(InputError, match=r"found no classification that counts \(nothing\)"):
        read_classifications(write_export(tmp_path / "none.csv"))
    whole = write_export(tmp_path / "whole.csv.gz", *(classify(f"u{n}", str(n)) for n in range(2000)))
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"cut\.csv\.gz: is cut short or damaged"):
        read_classifications(cut)
    picture = tmp_path / "picture.csv"
    picture.write_bytes(b"\x89PNG\xff\xfe\n")
    assert not is_export(picture)
    with pytest.raises(InputError, match=r"picture\.csv: found no text \(.*\), expected a classification export"):
        read_classifications(picture)
    header = tmp_path / "header.csv"
    header.write_bytes((tmp_path / "none.csv").read_bytes().rstrip())
    with pytest.raises(InputError, match=r"header\.csv: is cut short or damaged"):
        read_classifications(header)
    with pytest.raises(InputError, match=r"does not exist"):
        read_classifications(tmp_path / "absent.csv")
    with pytest.raises(InputError, match=r"no classification that counts \(2 made before the project was live\)"):
        read_classifications(write_export(tmp_path / "t.csv", classify("ann", live=False), classify("ben", live=False)))


def test_cells_with_newlines_and_rows_longer_than_usual_are_read(tmp_path: Path) -> None:
    long = answer("Yes\nor so " + "x" * 200_000)
    found = read(tmp_path, classify("ann", annotations=[long]), classify("ben"))
    assert len(found.rows) == 2


def test_subjects_that_share_an_id_are_added_up(tmp_path: Path) -> None:
    found = read(tmp_path, classify("ann", "1"), classify("ben", "2", about={"#id": "J1"}), id_name="id")
    assert votes_of(found) == {"J1": {"T0_yes": 2}}


def test_who_said_lens_is_told_by_an_answer_or_by_marks(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        classify("ann", "1", [answer("Yes"), marks((5, 5))], minute=2),
        classify("ben", "1", [answer("No"), marks()], minute=1),
        classify("cat", "1", [answer("Perhaps")], minute=3),
    )
    by_answer = list_verdicts(found, "T0", ["yes", "perhaps"])
    assert by_answer["said_lens"].tolist() == [False, True, True]
    drawn = read(tmp_path, classify("ann", "1", [marks((5, 5))], minute=2), classify("ben", "1", [marks()], minute=1))
    assert list_verdicts(drawn)["said_lens"].tolist() == [False, True]
    with pytest.raises(InputError, match=r"found 2 of 3 classifications with the drawing task, expected nearly all"):
        list_verdicts(found)
    with pytest.raises(InputError, match=r"found the questions T0, T1, expected T5 with yes"):
        list_verdicts(found, "T5")
    with pytest.raises(InputError, match=r"the answers no, perhaps, yes to T0, expected T0 with lens"):
        list_verdicts(found, "T0", ["lens"])
