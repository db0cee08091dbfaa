from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convnet_galaxies.errors import InputError
from convnet_galaxies.scan.ledger import Ledger
from convnet_galaxies.scan.lock import hold_folder


def test_ledger_counts_states_images_and_repetitions(tmp_path) -> None:
    with Ledger(tmp_path / "scan.sqlite") as ledger:
        ledger.begin({"plan": "abc"}, [(k, f"tile {k}") for k in range(4)])
        ledger.finish(0, 10, 1.0, {"images": 10})
        ledger.finish(2, 5, 1.0)
        ledger.finish(2, 5, 1.0)
        ledger.fail(3, "is cut short")
    with Ledger(tmp_path / "scan.sqlite") as ledger:
        ledger.begin({"plan": "xyz"}, [(k, f"tile {k}") for k in range(4)])  # what is there stays
        assert ledger.facts == {"plan": "abc"}
        assert (ledger.numbers("done"), ledger.numbers("pending", "failed")) == ([0, 2], [1, 3])
        found = ledger.progress()
        assert (found.shards, found.done, found.failed, found.images, found.repeated) == (4, 2, 1, 15, 1)
        assert [(one.number, one.name, one.error) for one in found.failures] == [(3, "tile 3", "is cut short")]
        assert found.seconds_left is None, "nothing is done in this session"
        assert ledger.remarks() == [{"images": 10}]
        ledger.finish(3, 1, 1.0)
        assert ledger.progress().failures == ()
        assert ledger.progress().seconds_left >= 0


def test_a_status_can_be_read_while_a_scan_is_at_work(tmp_path) -> None:
    with hold_folder(tmp_path), Ledger(tmp_path / "scan.sqlite") as writer:
        writer.begin({}, [(0, "tile")])
        with Ledger(tmp_path / "scan.sqlite", read_only=True) as reader:
            assert reader.progress().shards == 1
            with pytest.raises(InputError, match="readonly"):
                reader.finish(0, 1, 1.0)


def test_what_is_no_ledger_is_refused_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scan.sqlite").write_bytes(b"x" * 4096)
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def note(*places: str, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*places, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", note)
    with pytest.raises(InputError, match="cannot be used"):
        Ledger(tmp_path / "scan.sqlite")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


HOLD = "import sys; from pathlib import Path; from convnet_galaxies.scan.lock import hold_folder\n" \
       "with hold_folder(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"  # fmt: skip


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_second_process_is_refused_and_told_of_the_first_whose_death_frees_the_folder(tmp_path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "held\n"
        named = f"another process is writing it .process {first.pid} on "
        with pytest.raises(InputError, match=named), hold_folder(tmp_path):
            pass
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    with hold_folder(tmp_path):
        pass


def test_a_folder_on_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match="cannot be locked") as caught, hold_folder(tmp_path):
        pass
    assert "on a file system that can lock files" in caught.value.fix
    assert list(tmp_path.iterdir()) == []
