"""A lock that one process at a time holds. The system drops that of a process which ends, however it ends."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from convnet_galaxies.errors import InputError

_UNABLE = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)


@contextmanager
def hold(
    lock: Path,
    what: object,
    *,
    fix: str = "wait for it, or stop it, or choose another output",
    wait_s: float = 0,
) -> Iterator[bool]:
    """Hold a lock in the form of a file, which is removed at the end; yield whether the system has such locks.

    what: what is locked, for the message. wait_s: time to wait for another process. Where a file system cannot lock
    files, nothing is held.
    Raises InputError that names the process that holds it already, and OSError where the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    end = time.monotonic() + wait_s
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 200, 0).decode("utf-8", "replace") or "which has just begun"
            os.close(handle)
            if time.monotonic() < end:
                time.sleep(0.1)
                continue
            raise InputError(f"{what}: another process is writing it ({owner})", fix) from None
        except OSError as error:
            os.close(handle)
            if error.errno not in _UNABLE:
                raise
            with suppress(OSError):
                lock.unlink()
            yield False
            return
        if _is_the_file(handle, lock):
            break
        os.close(handle)  # its holder removed it between our opening and locking it
    try:
        with suppress(OSError):  # on a full disk the name of the holder is missing
            since = datetime.now(UTC).isoformat(" ", "seconds")
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}, since {since}".encode(), 0)
        yield True
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(handle)


def _is_the_file(handle: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), lock.stat())
    except FileNotFoundError:
        return False
