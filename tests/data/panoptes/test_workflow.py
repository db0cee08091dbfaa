"""What is known of a workflow: Zooniverse's export of it, and the user's names of questions and answers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from made_export import answer, classify, write_export

from convnet_galaxies.data.panoptes import reasons
from convnet_galaxies.data.panoptes.classifications import read_classifications
from convnet_galaxies.data.panoptes.tables import count_votes
from convnet_galaxies.data.panoptes.workflow import parse_version, read_workflow
from convnet_galaxies.errors import InputError, UsageError

OLD = {"T0": {"type": "single", "question": "Lens?", "answers": [{"label": "Yes"}, {"label": "![n.png](u) No"}]}}
NEW = {"T0": {"type": "single", "question": "T0.question", "answers": [{"label": "T0.a.0"}, {"label": "T0.a.1"}]}}
TEXTS = {"T0.question": "Lens?", "T0.a.0": "No", "T0.a.1": "Yes"}


def write_workflows(path: Path, *rows: tuple[str, str, str, object, object]) -> Path:
    """One row per version: workflow_id, version, minor_version, tasks, strings."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["workflow_id", "display_name", "version", "minor_version", "tasks", "strings"])
        for number, version, minor, tasks, texts in rows:
            writer.writerow([number, f"Workflow {number}", version, minor, json.dumps(tasks), json.dumps(texts)])
    return path


def test_a_number_is_the_answer_of_its_own_version(tmp_path: Path) -> None:
    table = write_workflows(tmp_path / "w.csv", ("6122", "3", "10", OLD, {}), ("6122", "12", "0", NEW, TEXTS))
    workflow = read_workflow(table, None, None)
    export = write_export(
        tmp_path / "e.csv",
        classify("ann", annotations=[answer(0)], workflow_version="3.12"),
        classify("ben", annotations=[answer(0)], workflow_version="12.34"),
        classify("cat", annotations=[answer("No")], workflow_version="3.9"),
    )
    table = count_votes(read_classifications(export, workflow=workflow))
    assert table[["T0_no", "T0_yes"]].to_numpy().tolist() == [[2, 1]]


def test_one_workflow_of_several_is_chosen_by_number_or_name(tmp_path: Path) -> None:
    other = {"T5": {"type": "single", "answers": [{"label": "A"}]}}
    table = write_workflows(tmp_path / "w.csv", ("6122", "3", "1", OLD, {}), ("7", "3", "1", other, {}))
    assert list(read_workflow(table, None, "7").tasks_of("3.1") or ()) == ["T5"]
    assert list(read_workflow(table, None, "Workflow 6122").tasks_of("3.1") or ()) == ["T0"]
    with pytest.raises(InputError, match=r"w\.csv: found the workflows 6122, 7, expected one"):
        read_workflow(table, None, None)
    with pytest.raises(InputError, match=r"found the workflows 6122, 7, expected 99"):
        read_workflow(table, None, "99")


def test_files_that_are_no_export_of_workflows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,b\n")
    with pytest.raises(InputError, match=r"found the columns id, name, expected a workflow export"):
        read_workflow(tmp_path / "a.csv", None, None)
    broken = write_workflows(tmp_path / "w.csv", ("1", "3", "1", "text", {}))
    with pytest.raises(InputError, match=r"w\.csv, row 1: found no tasks, expected a version and its tasks as JSON"):
        read_workflow(broken, None, None)


def test_names_rename_questions_and_answers_and_give_their_order_and_columns(tmp_path: Path) -> None:
    names = tmp_path / "names.toml"
    names.write_text(
        '[T0]\nname = "smooth-or-featured"\nanswers = ["smooth", "featured-or-disk", "artifact"]\n'
        'rename = { "features-or-disk" = "featured-or-disk" }\n[T2]\nname = "bar"\n'
    )
    workflow = read_workflow(None, names, None)
    export = write_export(
        tmp_path / "e.csv",
        classify("ann", annotations=[answer("Features or Disk"), answer("Strong bar", "T2")]),
        classify("ben", annotations=[answer("Smooth"), answer("Yes", "T3")]),
        classify("cat", annotations=[answer("Whatever"), answer("No bar", "T2")]),
        classify("dan", annotations=[answer(1)]),
    )
    found = read_classifications(export, workflow=workflow)
    table = count_votes(found, workflow)
    assert list(table)[4:] == [
        *("smooth-or-featured_smooth", "smooth-or-featured_featured-or-disk", "smooth-or-featured_artifact"),
        *("bar_no-bar", "bar_strong-bar"),
    ]
    assert table.iloc[0, 4:].tolist() == [1, 2, 0, 1, 1]
    assert found.passed_over == {reasons.UNKNOWN_TASK: 1, reasons.UNKNOWN_ANSWER: 1}


def test_names_take_the_place_of_a_workflows_texts(tmp_path: Path) -> None:
    names = tmp_path / "names.toml"
    names.write_text('[T0]\nname = "lens"\nanswers = ["none", "seen"]\n')
    table = write_workflows(tmp_path / "w.csv", ("6122", "12", "0", NEW, TEXTS))
    workflow = read_workflow(table, names, None)
    assert [workflow.name_answer("T0", value, "12.3") for value in ("No", "![y.png](u) Yes", 1)] == [
        ("none", None),
        ("seen", None),
        ("seen", None),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[T0\n", r"cannot be read \("),
        ('T0 = "lens"\n', r"T0: found a str, expected name, answers and rename"),
        ('[T0]\nnam = "lens"\n', r"T0: found nam, expected name, answers and rename"),
        ('[T0]\nanswers = "yes"\n', r"T0: found answers, expected"),
        ('[T0]\nanswers = ["yes", "yes"]\n', r"T0: found an answer twice in yes, yes"),
        ('[T0]\nname = "a"\n[T1]\nname = "a"\n', r"found a for several tasks"),
    ],
)
def test_files_of_names_that_are_none_are_refused(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "names.toml").write_text(text)
    with pytest.raises(InputError, match=found):
        read_workflow(None, tmp_path / "names.toml", None)


def test_questions_whose_columns_would_be_one_are_refused(tmp_path: Path) -> None:
    export = write_export(
        tmp_path / "e.csv", classify(annotations=[answer("b_c", "a"), answer("x", "T1")]), classify(annotations=[])
    )
    assert "a_b-c" in count_votes(read_classifications(export))
    names = tmp_path / "names.toml"
    names.write_text('[T0]\nname = "a"\nanswers = ["b_c"]\n[T1]\nname = "a_b"\nanswers = ["c"]\n')
    with pytest.raises(UsageError, match=r"two questions have the column a_b_c, expected"):
        count_votes(read_classifications(export), read_workflow(None, names, None))


def test_versions_are_pairs_of_whole_numbers() -> None:
    assert [parse_version(text) for text in ("12.34", "12", " 3.0 ", "", "a.b", "1.2.3")] == [
        (12, 34),
        (12, 0),
        (3, 0),
        None,
        None,
        None,
    ]
