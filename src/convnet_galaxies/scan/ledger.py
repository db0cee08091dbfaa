"""Ledger of a scan in SQLite: one row per shard, and one per session that worked on it.

Only the process that holds the lock of the folder writes. The rollback journal, not the write-ahead log, is used: the
log needs shared memory, which network file systems do not offer.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from convnet_galaxies.errors import InputError

State = Literal["pending", "done", "failed"]

_TABLES = """
CREATE TABLE IF NOT EXISTS plan (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shards (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending', count INTEGER,
    seconds REAL, finished REAL, times INTEGER NOT NULL DEFAULT 0, error TEXT, remarks TEXT);
CREATE TABLE IF NOT EXISTS sessions (
    number INTEGER PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started REAL NOT NULL);
"""


@dataclass(frozen=True)
class Failure:
    """A shard that could not be done: its number, the tile or images it is of, and why."""

    number: int
    name: str
    error: str


@dataclass(frozen=True)
class Progress:
    """Progress of a ledger.

    shards, done, failed: numbers of shards; images: predicted so far.
    seconds_left: from the pace of the latest session; None before its first shard.
    repeated: how often a shard was finished beyond its first time.
    """

    shards: int
    done: int
    failed: int
    images: int
    seconds_left: float | None
    repeated: int
    failures: tuple[Failure, ...]


class Ledger:
    """An open ledger; a context manager that closes it.

    path: its file. Raises InputError when it is no ledger, or the disk is full.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        uri = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
        with _explained(path):
            self._database = sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None)
            if not read_only:
                self._make_tables()

    def _make_tables(self) -> None:
        try:
            self._database.execute("PRAGMA journal_mode=DELETE")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_TABLES)
        except sqlite3.Error:
            self._database.close()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def begin(self, facts: dict[str, Any], shards: Iterable[tuple[int, str]]) -> None:
        """Enter facts about the plan and the shards (number, name), unless they are there; then a new session."""
        with _explained(self.path), self._transaction():
            self._database.executemany(
                "INSERT OR IGNORE INTO plan VALUES (?, ?)", [(key, json.dumps(value)) for key, value in facts.items()]
            )
            self._database.executemany("INSERT OR IGNORE INTO shards (number, name) VALUES (?, ?)", shards)
            session = (socket.gethostname(), os.getpid(), time.time())
            self._database.execute("INSERT INTO sessions (host, pid, started) VALUES (?, ?, ?)", session)

    @property
    def facts(self) -> dict[str, Any]:
        """Facts about the plan."""
        rows = self._read("SELECT key, value FROM plan")
        return {key: json.loads(value) for key, value in rows}

    def numbers(self, *states: State) -> list[int]:
        """Return the numbers of the shards in these states, in order."""
        marks = ",".join("?" * len(states))
        return [row[0] for row in self._read(f"SELECT number FROM shards WHERE state IN ({marks}) ORDER BY 1", states)]

    def finish(self, number: int, count: int, seconds: float, remarks: dict[str, Any] | None = None) -> None:
        """Note that a shard is done: images in it, seconds it took, remarks on its images (see remarks.py)."""
        self._write(
            "UPDATE shards SET state='done', count=?, seconds=?, finished=?, times=times+1, error=NULL, remarks=? "
            "WHERE number=?",
            (count, seconds, time.time(), json.dumps(remarks) if remarks else None, number),
        )

    def fail(self, number: int, error: str) -> None:
        """Note that a shard could not be done; it is tried again in the next session."""
        self._write(
            "UPDATE shards SET state='failed', error=?, finished=? WHERE number=?", (error, time.time(), number)
        )

    def remarks(self) -> list[dict[str, Any]]:
        """Return the remarks of all shards, in order."""
        rows = self._read("SELECT remarks FROM shards WHERE remarks IS NOT NULL ORDER BY number")
        return [json.loads(text) for (text,) in rows]

    def progress(self) -> Progress:
        """Return how far the shards are."""
        counts = dict(self._read("SELECT state, COUNT(*) FROM shards GROUP BY state"))
        images, repeated = self._read(
            "SELECT COALESCE(SUM(count), 0), COALESCE(SUM(MAX(times - 1, 0)), 0) FROM shards WHERE state='done'"
        )[0]
        failures = self._read("SELECT number, name, error FROM shards WHERE state='failed' ORDER BY number")
        shards, done = sum(counts.values()), counts.get("done", 0)
        (started,) = self._read("SELECT COALESCE(MAX(started), 0) FROM sessions")[0]
        in_session, last = self._read(
            "SELECT COUNT(*), MAX(finished) FROM shards WHERE finished >= ? AND state='done'", (started,)
        )[0]
        left = None
        if in_session:
            left = (shards - done) * (last - started) / in_session
        return Progress(
            shards, done, counts.get("failed", 0), images, left, repeated, tuple(Failure(*row) for row in failures)
        )

    def _transaction(self) -> sqlite3.Connection:
        self._database.execute("BEGIN IMMEDIATE")
        return self._database  # as a context manager it commits, or takes all back

    def _read(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        with _explained(self.path), closing(self._database.execute(text, values)) as found:
            return found.fetchall()

    def _write(self, text: str, values: Sequence[Any]) -> None:
        with _explained(self.path), self._transaction():
            self._database.execute(text, values)


class _explained:  # noqa: N801
    """Errors of SQLite as InputError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            full = "full" in str(error) or "disk I/O" in str(error)
            fix = "make room, and run the same command again" if full else "choose another output"
            raise InputError(f"{self.path}: the ledger cannot be used ({error})", fix) from None
