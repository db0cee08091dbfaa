"""Zip archives that stay open: a member of a 1 GB archive costs no new reading of its directory of names."""

from __future__ import annotations

import atexit
import os
import threading
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

from convnet_galaxies.data.unpack import TooLargeError, require_sound_size
from convnet_galaxies.errors import InputError

OPEN_ARCHIVES = 8

MEMBER_FAULTS = (OSError, KeyError, EOFError, RuntimeError, TooLargeError, zipfile.BadZipFile, zlib.error)
"""Exceptions for a broken, missing, encrypted, strangely compressed or endless member."""

_Key = tuple[int, str, int, int]
_archives: OrderedDict[_Key, zipfile.ZipFile] = OrderedDict()
_lock = threading.Lock()


def read_member(path: Path, member: str) -> bytes:
    """Read the bytes of one member, checked against its checksum. Raises any of MEMBER_FAULTS; safe in threads."""
    with _lock:  # a member that is open keeps its archive readable, even when another thread evicts it
        archive = _archive(path)
        info = archive.getinfo(member)
        require_sound_size(info.compress_size, info.file_size)
        stream = archive.open(info)
    with stream:
        return stream.read()


def list_members(path: Path) -> list[zipfile.ZipInfo]:
    """List all members that are files, in the archive's order. Raises InputError when path is no sound zip."""
    try:
        with _lock:
            return [info for info in _archive(path).infolist() if not info.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: found {describe_bytes(path)}, expected a whole zip archive ({error})",
            "fetch the file again; the download may be incomplete or a login page",
        ) from None


def close_archives() -> None:
    """Close every archive that is kept open."""
    with _lock:
        while _archives:
            _archives.popitem()[1].close()


atexit.register(close_archives)


def describe_bytes(path: Path) -> str:
    """Describe the content of a file that does not match its name, for error messages."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        return f"a file that cannot be opened ({error.strerror})"
    if not size:
        return "an empty file"
    if start.lstrip()[:1] == b"<" and b"html" in start.lower():
        return "a web page"
    return f"{size:,} bytes of something else"


def _archive(path: Path) -> zipfile.ZipFile:
    status = path.stat()
    key = (os.getpid(), str(path), status.st_size, status.st_mtime_ns)  # a forked child must not share file offsets
    archive = _archives.pop(key, None)
    if archive is None:
        try:
            archive = zipfile.ZipFile(path)
        except NotImplementedError as error:  # of a later version of the format
            raise zipfile.BadZipFile(str(error)) from None
    _archives[key] = archive
    while len(_archives) > OPEN_ARCHIVES:
        _archives.popitem(last=False)[1].close()
    return archive
