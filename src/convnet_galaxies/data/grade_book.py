"""The table of grades: rows are appended, never changed; a grade is on the disk when `append_grade` returns.

One SQLite file serves all graders. What was undone stays, followed by a row that undoes it. Triggers of the database
refuse every change of a row, from whichever program.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.paths import GRADE_BOOK, StrPath, is_grade_book, require_path

VERSION = 1
LONGEST_NAME, LONGEST_NOTE = 60, 2000
COLUMNS = ("id", "grader", "grade", "kind", "utc", "seconds", "note", "shown")
MARKS = ("picked", "unpicked", "seen")

Mark = Literal["picked", "unpicked", "seen"]

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE grades (
  number INTEGER PRIMARY KEY, request TEXT UNIQUE NOT NULL, showing TEXT NOT NULL, id TEXT NOT NULL,
  grader TEXT NOT NULL, grade REAL, kind TEXT NOT NULL, utc TEXT NOT NULL, seconds REAL, note TEXT NOT NULL,
  shown TEXT NOT NULL, undoes INTEGER REFERENCES grades (number));
CREATE INDEX grades_by_grader ON grades (grader, number);
CREATE TABLE marks (
  number INTEGER PRIMARY KEY, showing TEXT NOT NULL, id TEXT NOT NULL, grader TEXT NOT NULL, mark TEXT NOT NULL,
  utc TEXT NOT NULL, shown TEXT NOT NULL);
CREATE TRIGGER grades_stay BEFORE UPDATE ON grades BEGIN SELECT RAISE (ABORT, 'grades are only appended'); END;
CREATE TRIGGER grades_are_kept BEFORE DELETE ON grades BEGIN SELECT RAISE (ABORT, 'grades are only appended'); END;
CREATE TRIGGER marks_stay BEFORE UPDATE ON marks BEGIN SELECT RAISE (ABORT, 'marks are only appended'); END;
CREATE TRIGGER marks_are_kept BEFORE DELETE ON marks BEGIN SELECT RAISE (ABORT, 'marks are only appended'); END;
"""


@dataclass(frozen=True)
class Grade:
    """One judgement of one grader.

    request: a name that the sender chose; the same request twice is one row. showing: of the image (a candidate that
    is shown twice has two); id: of the candidate. grade: 0 (no lens) to 3 (certain lens), None for a note alone.
    kind: what it is if no lens. seconds: from the first view of the image to the key. shown: how it was shown.
    """

    request: str
    showing: str
    id: str
    grader: str
    grade: float | None
    kind: str = ""
    seconds: float | None = None
    note: str = ""
    shown: Mapping[str, Any] | None = None


class GradeBook:
    """An open table of grades. Its methods may be called from several threads, and several programs may have it open.

    Raises InputError when the file is no table of grades, one of another version, or cannot be written.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._connection = _open(self.path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()

    def append_grade(self, grade: Grade) -> int:
        """Append a judgement and return its number, once it is on the disk. A request that is there adds nothing."""
        values = (
            grade.request,
            grade.showing,
            grade.id,
            check_grader(grade.grader),
            grade.grade,
            grade.kind,
            _now(),
            grade.seconds,
            grade.note[:LONGEST_NOTE],
            json.dumps(dict(grade.shown or {}), sort_keys=True),
        )
        with self._write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO grades (request, showing, id, grader, grade, kind, utc, seconds, note, shown) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            found = connection.execute("SELECT number FROM grades WHERE request = ?", (grade.request,)).fetchone()
        return int(found[0])

    def undo(self, grader: str, request: str) -> str | None:
        """Undo the last judgement of a grader that stands; return its showing, None where there is none.

        The row stays; a row with its number in ``undoes`` is appended. A request that is there undoes nothing more.
        """
        with self._write() as connection:
            done = connection.execute("SELECT showing FROM grades WHERE request = ?", (request,)).fetchone()
            if done is not None:
                return str(done[0])
            last = connection.execute(
                "SELECT number, showing, id, shown FROM grades WHERE grader = ? AND undoes IS NULL AND number NOT IN "
                "(SELECT undoes FROM grades WHERE grader = ? AND undoes IS NOT NULL) ORDER BY number DESC LIMIT 1",
                (grader, grader),
            ).fetchone()
            if last is None:
                return None
            connection.execute(
                "INSERT INTO grades (request, showing, id, grader, kind, utc, note, shown, undoes) "
                "VALUES (?, ?, ?, ?, '', ?, '', ?, ?)",
                (request, last[1], last[2], grader, _now(), last[3], last[0]),
            )
        return str(last[1])

    def append_marks(
        self, grader: str, mark: Mark, items: Iterable[tuple[str, str]], shown: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Append marks of the first pass: (showing, id) of images that were picked, unpicked or seen.

        shown: of each, what the table of grades keeps of it; nothing where it is left out.
        """
        grader, now = check_grader(grader), _now()
        rows = list(items)
        facts = [json.dumps(dict(one), sort_keys=True) for one in shown] or ["{}"] * len(rows)
        with self._write() as connection:
            connection.executemany(
                "INSERT INTO marks (showing, id, grader, mark, utc, shown) VALUES (?, ?, ?, ?, ?, ?)",
                [(*row, grader, mark, now, one) for row, one in zip(rows, facts, strict=True)],
            )

    def read(self, *, everything: bool = False) -> pd.DataFrame:
        """Return the grades as `read_grades` does."""
        with self._lock:
            return _read(self._connection, everything=everything)

    def rows_after(self, grade: int, mark: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Return what was appended after these numbers, by whichever program.

        Grades as (number, showing, grader, grade, kind, note, undoes), marks as (number, showing, grader, mark).
        """
        with self._lock:
            grades = self._connection.execute(
                "SELECT number, showing, grader, grade, kind, note, undoes FROM grades WHERE number > ? "
                "ORDER BY number",
                (grade,),
            ).fetchall()
            marks = self._connection.execute(
                "SELECT number, showing, grader, mark FROM marks WHERE number > ? ORDER BY number", (mark,)
            ).fetchall()
        return grades, marks

    def read_marks(self) -> pd.DataFrame:
        """Return what stands of the first pass: showing, id, grader, shown, picked (bool), seen (bool)."""
        with self._lock:
            return _read_marks(self._connection)

    def fact(self, name: str) -> str | None:
        """Return a fact of the session, None where it was never set."""
        with self._lock:
            found = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def set_fact(self, name: str, value: str) -> str:
        """Set a fact unless it is there; return what is there."""
        with self._write() as connection:
            connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
        return self.fact(name) or value

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                with self._connection:  # commits, or rolls back on an error
                    yield self._connection
            except sqlite3.Error as error:
                raise InputError(
                    f"{self.path}: a grade could not be written ({error})",
                    "make room on the disk, or give the folder and the file write permission; then grade it again",
                ) from None


def read_grades(path: StrPath, *, everything: bool = False) -> pd.DataFrame:
    """Read the grades that stand: id, grader, grade, kind, utc, seconds, note, shown (JSON), showing, in order of time.

    What was undone is left out, and of several grades of one grader for one showing all but the last.
    everything: each row as it was appended, with the columns number and undoes (both Int64).
    Raises InputError when the file is no table of grades or one of another version.
    """
    path = Path(path)
    require_path(path)
    with closing(_open(path, read_only=True)) as connection:
        return _read(connection, everything=everything)


def read_marks(path: StrPath) -> pd.DataFrame:
    """Read what stands of the first pass: showing, id, grader, shown (JSON), picked (bool), seen (bool)."""
    path = Path(path)
    require_path(path)
    with closing(_open(path, read_only=True)) as connection:
        return _read_marks(connection)


def check_grader(name: str) -> str:
    """Return the name of a grader in its normal form: NFC, single spaces.

    Raises UsageError for an empty name, one of more than 60 characters, or one with characters that do not print.
    """
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    if not plain or len(plain) > LONGEST_NAME or not plain.isprintable():
        raise UsageError(
            f"grader: found {name[:80]!r}, expected a name of 1 to {LONGEST_NAME} characters that print",
            "give another name, such as Ann",
        )
    return plain


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _open(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    is_new = not path.exists()
    if not is_new and not (is_grade_book(path) or path.stat().st_size == 0):
        raise InputError(f"{path}: is no table of grades", "give the file that `inspect` wrote, or a new name")
    connection = None
    try:
        if is_new:
            path.parent.mkdir(parents=True, exist_ok=True)
        # A literal file name: in a URI a question mark in it would begin the options.
        place = path.absolute().as_uri()
        connection = sqlite3.connect(
            f"{place}?mode={'ro' if read_only else 'rwc'}",
            uri=True,
            timeout=10,
            isolation_level=None,
            check_same_thread=False,
        )
        # A rollback journal also works on network disks, where a write-ahead log does not. One that stays saves a
        # third of the time; its blanked head is synced, so that no power cut takes a grade back.
        connection.execute("PRAGMA journal_mode = PERSIST")
        connection.execute("PRAGMA synchronous = EXTRA")
        if not read_only:
            _make_tables(connection)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        raise InputError(
            f"{path}: cannot be opened as a table of grades ({error})",
            "give a place that can be written with --database, such as one in your home folder",
        ) from None
    if version != VERSION:
        connection.close()
        raise InputError(
            f"{path}: found a table of grades of version {version}, expected {VERSION}",
            "use the version of the program that wrote it, or begin another table with --database",
        )
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")  # fails here, not at the first grade, where the file cannot be written
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        for statement in _SCHEMA.strip().split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {GRADE_BOOK}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _read(connection: sqlite3.Connection, *, everything: bool) -> pd.DataFrame:
    names = ["number", *COLUMNS, "showing", "undoes"]
    rows = connection.execute(f"SELECT {', '.join(names)} FROM grades ORDER BY number").fetchall()
    table = pd.DataFrame(rows, columns=names)
    texts = [name for name in names if name not in ("number", "undoes", "grade", "seconds")]
    table = table.astype(
        {**dict.fromkeys(texts, "str"), "grade": float, "seconds": float, "number": "Int64", "undoes": "Int64"}
    )
    if everything:
        return table
    undone = table["undoes"].dropna()
    stands = table[table["undoes"].isna() & ~table["number"].isin(undone)]
    last = stands.drop_duplicates(["grader", "showing"], keep="last")
    return last[[*COLUMNS, "showing"]].reset_index(drop=True)


def _read_marks(connection: sqlite3.Connection) -> pd.DataFrame:
    rows = connection.execute("SELECT showing, id, grader, shown, mark FROM marks ORDER BY number").fetchall()
    table = pd.DataFrame(rows, columns=["showing", "id", "grader", "shown", "mark"]).astype("str")
    keys = ["showing", "grader"]
    seen = table[table["mark"] == "seen"][keys].drop_duplicates().assign(seen=True)
    picks = table[table["mark"] != "seen"].drop_duplicates(keys, keep="last")
    picks = picks.assign(picked=picks["mark"] == "picked")[[*keys, "picked"]]
    first = table.drop_duplicates(keys).drop(columns="mark")
    both = first.merge(picks, on=keys, how="left").merge(seen, on=keys, how="left")
    return both.assign(**{name: both[name].eq(True).astype(bool) for name in ("picked", "seen")})
