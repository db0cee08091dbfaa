"""Outputs, JSON among them, that are whole or not there: written under a temporary name and renamed when done.

Data and folder reach the disk before an output is called done, so that it is whole after a power cut as well. One
process at a time writes an output; what a killed one left is removed by the next.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pydantic_core import to_jsonable_python

from convnet_galaxies.data.locks import hold
from convnet_galaxies.errors import FAULTS, InputError, OutputExistsError, UsageError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write; if the block succeeds it becomes path, else nothing is left.

    Raises OutputExistsError (unless force), and InputError when the place cannot be written, another process writes it,
    or the disk is full.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file to write", "choose another output")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no ordinary file but a device, expected a file to write", "choose another output")
    if path.exists() and not force:
        raise OutputExistsError(path)
    with _beside(path) as temporary:
        yield temporary
        flush(temporary)
        temporary.replace(path)
        _flush_one(path.absolute().parent)


@contextmanager
def new_folder(path: Path, *, force: bool = False, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a temporary folder to fill; if the block succeeds it becomes path, else nothing is left.

    is_ours: tells whether an existing folder may be replaced under force; anything else is never removed.
    Raises OutputExistsError (unless force), and InputError when something else is there, the place cannot be
    written, another process writes it, or the disk is full.
    """
    if path.exists():
        if not force:
            raise OutputExistsError(path)
        if not path.is_dir() or not (is_ours(path) or not any(path.iterdir())):
            raise InputError(
                f"{path}: is something else than what is to be written, and is not removed even with --force",
                "choose another output, or remove it yourself",
            )
    with _beside(path) as temporary:
        temporary.mkdir()
        yield temporary
        replace_folder(temporary, path)


def replace_folder(new: Path, path: Path) -> None:
    """Put a folder in the place of another one of the same disk, or where none is; the old one is removed."""
    flush(new)
    if not path.exists():
        new.rename(path)
    elif _exchange(new, path):  # after an exchange the new folder is the old one
        shutil.rmtree(new, ignore_errors=True)
    else:
        old = _old_name(path)
        path.rename(old)
        try:
            new.rename(path)
        except OSError:
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _flush_one(path.absolute().parent)


def clear_up(path: Path) -> None:
    """Remove what a killed process left beside an output that is whole. Does nothing where the place is read-only."""
    if any(path.parent.glob(f".{glob.escape(path.name)}.*")):
        with suppress(InputError), _beside(path):
            pass


def clear_up_below(folder: Path) -> None:
    """Remove what killed processes left in a folder of several outputs; what a living one writes is kept."""
    for path in list(folder.rglob(".*")):
        if found := re.fullmatch(r"\.(.+)\.(lock|unfinished.*)", path.name):
            clear_up(path.with_name(found[1]))


def flush(path: Path) -> None:
    """Have the system write a file, or a folder with everything in it, to its disk."""
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            flush(entry)
    _flush_one(path)


def _flush_one(path: Path) -> None:
    with suppress(PermissionError, IsADirectoryError):  # a folder that may be written but not read; Windows
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF):  # devices and some file systems know no such thing
                raise OSError(error.errno, error.strerror, str(path)) from None
        finally:
            os.close(handle)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step, so that no moment is without either; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of Linux
    return bool(rename(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0)


def _old_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _clear_leftovers(path: Path) -> None:
    """Remove what killed processes left beside an output, whose lock is held; restore what one of them had moved."""
    old = _old_name(path)
    if old.is_dir() and not path.exists():
        old.rename(path)
    for left_over in (old, *path.parent.glob(f".{glob.escape(path.name)}.unfinished*")):
        _remove(left_over)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        path.unlink()


def claim_folder(folder: Path, name: str, facts: dict[str, Any], what: str, *, force: bool = False) -> None:
    """Begin a folder that is filled step by step: write its facts, or check that they are those of earlier steps.

    name: of the JSON file of the facts. what: the folder holds, as a noun.
    Raises UsageError when it holds something else, or was begun with other facts, unless force.
    """
    path = folder / name
    clear_up_below(folder)
    if path.is_file():
        if json.loads(path.read_text("utf-8")) == facts:
            return
        if not force:
            raise UsageError(
                f"{folder}: holds a {what} of another plan, settings or packs",
                "choose another output, or pass --force to replace it",
            )
    elif folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: holds something else than a {what}", "choose another output")
    with new_file(path, force=True) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def require_space(path: Path, size_bytes: int) -> None:
    """Raise InputError if the disk of path has less than size_bytes free."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < size_bytes:
        raise InputError(
            f"{path}: needs {size_bytes / 1e6:,.0f} MB, found {free_bytes / 1e6:,.0f} MB free on its disk",
            "make room, or choose an output on another disk",
        )


def reserve(file: IO[bytes], size_bytes: int) -> None:
    """Make an open file so long, and take its place on the disk: what is written through a map to a full disk ends the
    process (SIGBUS). Raises OSError when the disk is full."""
    file.flush()
    try:
        os.posix_fallocate(file.fileno(), 0, size_bytes)
    except (AttributeError, OSError) as error:  # a system or a disk without it
        if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        file.truncate(size_bytes)


@contextmanager
def beside(path: Path, *, clear: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside an output, whose lock is held; what is there at the end is removed.

    clear: remove what killed processes left beside the output.
    """
    temporary = path.with_name(f".{path.name}.unfinished-{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if clear:
        _clear_leftovers(path)
    try:
        yield temporary
    finally:
        _remove(temporary)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    made = [folder for folder in path.absolute().parents if not folder.exists()]
    finished = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock")
        with hold(lock, path) as is_held, beside(path, clear=is_held) as temporary:
            yield temporary
            finished = True
    except OSError as error:
        is_full = error.errno is None and "Not enough space on disk" in str(error)  # astropy's own
        if is_full or error.errno in DISK_FULL:
            message = f"{path}: the disk is full ({error.strerror or 'No space left'}); nothing of it is kept"
            raise InputError(message, FAULTS[errno.ENOSPC]) from None
        if error.errno in (*FAULTS, errno.ENOTDIR, errno.EEXIST) and _within(error.filename, path.parent):
            fix = FAULTS.get(error.errno, "choose another output")
            raise InputError(f"{path}: cannot be written ({error.strerror})", fix) from None
        raise
    finally:
        if not finished:
            for folder in made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()


def _within(filename: object, folder: Path) -> bool:
    """Return whether an error's file is at or below folder, or folder lies below it (a file where a folder should
    be)."""
    if not isinstance(filename, str | bytes | os.PathLike):
        return False
    at, place = Path(os.fsdecode(filename)).absolute(), folder.absolute()
    return at.is_relative_to(place) or place.is_relative_to(at)


def as_plain(result: Any) -> Any:
    """Return dataclasses, paths, arrays and tuples as what JSON can hold; what is not finite becomes null."""
    return to_jsonable_python(result, fallback=lambda array: array.tolist(), inf_nan_mode="null")


def write_json(path: Path, result: Any, *, force: bool = False) -> None:
    """Write a dataclass, dict or list as JSON, whole or not at all. Raises OutputExistsError unless force."""
    text = json.dumps(as_plain(result), indent=2, ensure_ascii=False, allow_nan=False)
    with new_file(path, force=force) as temporary:
        temporary.write_text(text + "\n", "utf-8")
