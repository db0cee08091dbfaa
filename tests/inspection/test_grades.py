"""The table of grades: appended, never changed, on the disk, and read back as it stands."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from convnet_galaxies.data.grade_book import (
    Grade,
    GradeBook,
    check_grader,
    read_grades,
    read_marks,
)
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.paths import is_grade_book


def give(
    book: GradeBook, name: str, grade: float | None, *, grader: str = "Ann", request: str = "", kind: str = ""
) -> int:
    return book.append_grade(
        Grade(
            request or f"{grader}-{name}-{grade}", f"s-{name}", name, grader, grade, kind, 1.5, "", {"stretch": "log"}
        )
    )


def test_grades_come_back_as_they_were_given(tmp_path: Path) -> None:
    book = GradeBook(tmp_path / "grades.sqlite")
    book.append_grade(Grade("r1", "s1", "00012", "Ann", 3.0, "", 2.5, "arc; 'counter-image'", {"stretch": "asinh"}))
    book.append_grade(Grade("r2", "s2", "9007199254740993", "Børge", 0.0, "ring"))
    table = read_grades(tmp_path / "grades.sqlite")
    assert list(table.columns) == ["id", "grader", "grade", "kind", "utc", "seconds", "note", "shown", "showing"]
    assert table["id"].tolist() == ["00012", "9007199254740993"]
    assert table["grader"].tolist() == ["Ann", "Børge"]
    assert table["grade"].tolist() == [3.0, 0.0]
    assert table["note"].tolist() == ["arc; 'counter-image'", ""]
    assert table["shown"].tolist() == ['{"stretch": "asinh"}', "{}"]
    assert table["seconds"].isna().tolist() == [False, True]
    assert pd.to_datetime(table["utc"]).dt.tz is not None


def test_the_last_grade_of_a_grader_stands_and_all_are_kept(tmp_path: Path) -> None:
    book = GradeBook(tmp_path / "grades.sqlite")
    for grader, grade in (("Ann", 3.0), ("Ben", 1.0), ("Ann", 2.0)):
        give(book, "a", grade, grader=grader)
    assert sorted(book.read()[["grader", "grade"]].itertuples(index=False, name=None)) == [("Ann", 2), ("Ben", 1)]
    assert len(book.read(everything=True)) == 3


def test_undo_takes_back_one_grade_after_the_other_and_deletes_none(tmp_path: Path) -> None:
    book = GradeBook(tmp_path / "grades.sqlite")
    give(book, "a", 3.0)
    give(book, "b", 0.0)
    give(book, "c", 1.0, grader="Ben")
    assert book.undo("Ann", "u1") == "s-b"
    assert book.undo("Ann", "u1") == "s-b", "a request that is sent twice undoes one grade"
    assert book.read()["id"].tolist() == ["a", "c"]
    assert book.undo("Ann", "u2") == "s-a"
    assert book.undo("Ann", "u3") is None
    assert book.read()["id"].tolist() == ["c"]
    everything = book.read(everything=True)
    assert len(everything) == 5
    assert everything["undoes"].dropna().tolist() == [2, 1]


def test_undo_brings_back_the_grade_before(tmp_path: Path) -> None:
    book = GradeBook(tmp_path / "grades.sqlite")
    give(book, "a", 3.0)
    give(book, "a", 0.0)
    book.undo("Ann", "u1")
    assert book.read()["grade"].tolist() == [3.0]


def test_a_request_that_is_sent_twice_is_one_grade(tmp_path: Path) -> None:
    book = GradeBook(tmp_path / "grades.sqlite")
    assert give(book, "a", 3.0, request="same") == give(book, "a", 3.0, request="same")
    assert len(book.read(everything=True)) == 1


@pytest.mark.parametrize("change", ["UPDATE grades SET grade = 3", "DELETE FROM grades", "DELETE FROM marks"])
def test_no_program_can_change_a_row(tmp_path: Path, change: str) -> None:
    path = tmp_path / "grades.sqlite"
    book = GradeBook(path)
    give(book, "a", 0.0)
    book.append_marks("Ann", "seen", [("s-a", "a")])
    book.close()
    with sqlite3.connect(path) as other, pytest.raises(sqlite3.IntegrityError, match="only appended"):
        other.execute(change)
    other.close()
    assert read_grades(path)["grade"].tolist() == [0.0]


def test_a_grade_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    path = tmp_path / "grades.sqlite"
    book = GradeBook(path)
    give(book, "a", 2.0)
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(path.read_bytes())  # what a kill or a power cut would leave
    assert read_grades(copy)["grade"].tolist() == [2.0]


def test_several_graders_write_at_once_through_several_programs(tmp_path: Path) -> None:
    path = tmp_path / "grades.sqlite"
    books = [GradeBook(path), GradeBook(path)]

    def grade(number: int) -> None:
        give(books[number % 2], f"c{number}", float(number % 4), grader=f"grader {number % 3}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(grade, range(40)))
    assert sorted(read_grades(path)["id"]) == sorted(f"c{number}" for number in range(40))


def test_marks_of_the_first_pass_are_the_last_of_each_kind(tmp_path: Path) -> None:
    book = GradeBook(tmp_path / "grades.sqlite")
    book.append_marks("Ann", "picked", [("s1", "a"), ("s2", "b")])
    book.append_marks("Ann", "unpicked", [("s1", "a")])
    book.append_marks("Ann", "seen", [("s1", "a"), ("s3", "c")])
    marks = read_marks(tmp_path / "grades.sqlite").set_index("id")
    assert marks["picked"].to_dict() == {"a": False, "b": True, "c": False}
    assert marks["seen"].to_dict() == {"a": True, "b": False, "c": True}


def test_a_file_name_with_a_question_mark_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "what?mode=memory#.sqlite"
    give(GradeBook(path), "a", 1.0)
    assert is_grade_book(path)
    assert len(read_grades(path)) == 1


def test_names_are_one_name_however_they_are_typed() -> None:
    assert check_grader("  Jo\u0301  Smith ") == "J\u00f3 Smith"
    assert check_grader("<b>'; DROP TABLE grades") == "<b>'; DROP TABLE grades"
    for wrong in ("", "   ", "a" * 61, "bell\x07", "left\u202eright"):
        with pytest.raises(UsageError, match="expected a name of 1 to 60 characters"):
            check_grader(wrong)


def test_a_table_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grades.sqlite"
    GradeBook(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 2")
    other.close()
    for opened in (GradeBook, read_grades):
        with pytest.raises(InputError, match="found a table of grades of version 2, expected 1"):
            opened(path)


def test_another_file_is_never_written_to(tmp_path: Path) -> None:
    for name, data in (("notes.txt", b"not a database"), ("other.sqlite", b"")):
        (tmp_path / name).write_bytes(data)
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE stars (name)")
    other.close()
    for name in ("notes.txt", "other.sqlite"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(InputError, match="is no table of grades"):
            GradeBook(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be opened as a table of grades"):
        GradeBook(tmp_path / "file" / "grades.sqlite")
