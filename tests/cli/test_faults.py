"""What a machine ran out of is named, also where a reader took it for damage, and without a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

import pytest

from convnet_galaxies import cli
from convnet_galaxies.errors import FAULTS, BadImageError, InputError, find_lack, require_handles


def raise_damaged(cause: Exception) -> None:
    try:
        raise cause
    except type(cause):
        raise InputError("a.pack: the pack is damaged", "pack it again") from None


def raise_plain(cause: Exception) -> None:
    raise cause


LACKS = {
    "memory of the system": (OSError(errno.ENOMEM, "Cannot allocate memory"), errno.ENOMEM),
    "memory of Python": (MemoryError(), errno.ENOMEM),
    "memory of torch": (RuntimeError("DefaultCPUAllocator: can't allocate memory"), errno.ENOMEM),
    "memory for a library": (ImportError("x.so: failed to map segment from shared object"), errno.ENOMEM),
    "handles": (OSError(errno.EMFILE, "Too many open files", "a.npy"), errno.EMFILE),
}


def call(monkeypatch: pytest.MonkeyPatch, command: Callable[[], None]) -> int:
    monkeypatch.setattr(cli, "app", command)
    monkeypatch.setattr(cli, "make_followable", lambda fix, *_: fix)
    monkeypatch.setattr("typer.main.get_command", lambda app: None)
    monkeypatch.setattr(cli, "_end_as_by_ctrl_c", lambda: None)
    monkeypatch.setattr(sys, "argv", ["convnet-galaxies"])
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # the streams are pytest's
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize("name", LACKS)
def test_what_looks_damaged_for_want_of_memory_or_handles_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    cause, number = LACKS[name]
    assert call(monkeypatch, lambda: raise_damaged(cause)) == 1
    told = capsys.readouterr().err
    assert told.startswith("Error: a.pack: the pack is damaged\nFix: " + FAULTS[number])
    assert "if this is not the reason, pack it again" in told


def test_what_is_damaged_keeps_its_own_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, lambda: raise_damaged(OSError(errno.EINVAL, "Invalid argument"))) == 1
    assert capsys.readouterr().err == "Error: a.pack: the pack is damaged\nFix: pack it again\n"


@pytest.mark.parametrize("name", [name for name in LACKS if name.startswith("memory")])
def test_want_of_memory_anywhere_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    cause, number = LACKS[name]
    assert call(monkeypatch, lambda: raise_plain(cause)) == 1
    told = capsys.readouterr().err
    assert told.count("Error: ") == 1
    assert told.endswith(f"\nFix: {FAULTS[number]}\n")


def test_a_bug_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", lambda: raise_plain(RuntimeError("a bug")))
    monkeypatch.setattr(cli, "_end_as_by_ctrl_c", lambda: None)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()


def test_without_a_handle_for_the_null_device_the_message_is_still_the_last_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), os.devnull)

    monkeypatch.setattr(os, "open", refuse)
    cause, number = LACKS["handles"]
    assert call(monkeypatch, lambda: raise_plain(cause)) == 1
    assert capsys.readouterr().err == f"Error: a.npy: cannot be used (Too many open files)\nFix: {FAULTS[number]}\n"


def test_an_error_that_comes_back_to_itself_ends_the_search() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert find_lack(first) == 0


def test_want_of_handles_passes_over_no_file() -> None:
    cause, _ = LACKS["handles"]
    with pytest.raises(OSError, match="Too many open files"):
        require_handles(cause)
    damaged = BadImageError("a.png: cannot be read", "fetch it again")
    require_handles(damaged)
    damaged.__context__ = cause
    with pytest.raises(BadImageError, match=r"a\.png"):
        require_handles(damaged)
