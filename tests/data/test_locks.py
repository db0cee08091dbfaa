"""Locks: waiting for a holder, file systems without locks, and a lock that was removed while it was waited for."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from convnet_galaxies.data import locks
from convnet_galaxies.data.locks import hold
from convnet_galaxies.errors import InputError


def test_a_lock_is_waited_for_until_its_holder_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / ".lock"
    first = hold(lock, "a.csv")
    assert first.__enter__()
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            first.__exit__(None, None, None)

    monkeypatch.setattr(locks.time, "sleep", nap)
    with hold(lock, "a.csv", wait_s=1e6) as held:
        assert held
        assert f"process {os.getpid()} on " in lock.read_text()
    assert len(naps) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_stays_held_is_refused_in_the_words_of_its_holder(tmp_path: Path) -> None:
    with hold(tmp_path / ".lock", "a.csv"), pytest.raises(InputError, match=rf"\(process {os.getpid()} on ") as caught:
        hold(tmp_path / ".lock", "a.csv", fix="come back later").__enter__()
    assert caught.value.fix == "come back later"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_files_cannot_be_locked_nothing_is_held_and_nothing_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", fail)
    with hold(tmp_path / ".lock", "a.csv") as held:
        assert not held
        assert list(tmp_path.iterdir()) == []


def test_a_broken_disk_is_no_missing_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handles: list[int] = []

    def fail(handle: int, _: int) -> None:
        handles.append(handle)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="broken"):
        hold(tmp_path / ".lock", "a.csv").__enter__()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handles[0])  # closed


def test_a_lock_that_its_holder_removed_after_it_was_opened_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, whole, tries = tmp_path / ".lock", fcntl.flock, []

    def late(handle: int, operation: int) -> None:
        tries.append(handle)
        if len(tries) <= 2:  # its holder ends now: the file has gone, then another holder has made one
            lock.unlink()
            if len(tries) == 2:
                lock.write_text("another")
        whole(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with hold(lock, "a.csv") as held:
        assert held
        assert len(tries) == 3
        other: list[str] = []

        def compete() -> None:
            try:
                hold(lock, "a.csv").__enter__()
            except InputError as error:
                other.append(error.message)

        thread = threading.Thread(target=compete)
        thread.start()
        thread.join()
    assert len(other) == 1  # what is held is the file that others see
