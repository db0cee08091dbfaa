"""The folder of a scan, in which one process at a time works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convnet_galaxies.data.locks import hold
from convnet_galaxies.errors import InputError

LOCK = "scan.lock"


@contextmanager
def hold_folder(folder: Path, *, timeout_s: float = 0) -> Iterator[None]:
    """Hold the lock of a folder. Raises InputError that names the process that holds it already, and where the file
    system cannot lock files.

    timeout_s: time to wait for it.
    """
    fix = "wait for it, or stop it; `scan --status` shows its progress, `scan --part K/N` shares the work"
    with hold(folder / LOCK, folder, fix=fix, wait_s=timeout_s) as is_held:
        if not is_held:
            raise InputError(
                f"{folder}: cannot be locked, so that two scans could spoil each other",
                "choose an output on a file system that can lock files",
            )
        yield
