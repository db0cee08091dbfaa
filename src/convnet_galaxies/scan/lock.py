"""A folder that one process at a time works in. The system drops the lock of a process that ends, however it ends."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from convnet_galaxies.errors import InputError

LOCK, OWNER = "scan.lock", "scan.owner.json"
"""The file that is locked stays empty, since some systems do not let others read a locked file."""


@contextmanager
def hold_folder(folder: Path, *, timeout_s: float = 0) -> Iterator[None]:
    """Hold the lock of a folder. Raises InputError that names the process that holds it already.

    timeout_s: time to wait for it.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        raise InputError(
            f"{folder}: another process is at work in it ({_name_owner(folder)})",
            "wait for it, or stop it; `scan --status` shows its progress, `scan --part K/N` shares the work",
        ) from None
    except (NotImplementedError, OSError) as error:
        raise InputError(
            f"{folder}: cannot be locked ({error}), so that two scans could spoil each other",
            "choose an output on a file system that can lock files",
        ) from None
    try:
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(" ", "seconds")}
        (folder / OWNER).write_text(json.dumps(facts) + "\n", "utf-8")
        yield
    finally:
        (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def _name_owner(folder: Path) -> str:
    try:
        facts = json.loads((folder / OWNER).read_text("utf-8"))
        return f"process {facts['pid']} on {facts['host']}, since {facts['since']}"
    except (OSError, ValueError, KeyError):
        return "process unknown"
