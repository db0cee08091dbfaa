"""A disk on which the user may write so many bytes and no more, though it has room: btrfs on an image, as root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_IMAGE_BYTES = 256 << 20


def can_have_quota() -> bool:
    """Return whether this system can make such a disk."""
    is_known = "btrfs" in Path("/proc/filesystems").read_text() if Path("/proc/filesystems").exists() else False
    return os.geteuid() == 0 and is_known and all(map(shutil.which, ("mkfs.btrfs", "btrfs")))


@contextmanager
def disk_with_quota(place: Path, image: Path) -> Iterator[Callable[[int | None], None]]:
    """Mount such a disk; yield a function that sets the quota in KiB above what is used, None for no quota."""

    def run(*words: object) -> str:
        return subprocess.run([*map(str, words)], check=True, capture_output=True, text=True).stdout

    def limit(kib: int | None) -> None:
        run("sync", "-f", place)  # what was written counts
        if kib is None:
            run("btrfs", "quota", "disable", place)
            return
        used = int(run("btrfs", "qgroup", "show", "--raw", place).split("0/5")[1].split()[0])
        run("btrfs", "qgroup", "limit", used + 1024 * kib, "0/5", place)

    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    run("mkfs.btrfs", "-q", "-m", "single", image)
    run("mount", "-o", "loop", image, place)
    try:
        run("btrfs", "quota", "enable", place)
        yield limit
    finally:
        run("umount", place)
        image.unlink()
