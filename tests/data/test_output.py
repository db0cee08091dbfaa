from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from convnet_galaxies.data import output
from convnet_galaxies.data.output import new_file, new_folder, require_space
from convnet_galaxies.errors import InputError, OutputExistsError


def _write_half(place: AbstractContextManager[Path], error: BaseException) -> None:
    with place as temporary:
        (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
        raise error


def _write_to(device: Path, place: AbstractContextManager[Path]) -> None:
    with place as temporary:
        temporary.symlink_to(device)
        temporary.write_text("text" * 100_000)


def test_failed_write_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="stop"):
        _write_half(new_file(tmp_path / "made" / "a.csv"), KeyboardInterrupt("stop"))
    assert list(tmp_path.iterdir()) == []
    old = tmp_path / "b.csv"
    old.write_text("old")
    with pytest.raises(ZeroDivisionError, match="bug"):
        _write_half(new_file(old, force=True), ZeroDivisionError("bug"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.csv"]
    assert old.read_text() == "old"


def test_existing_output_is_refused_without_force_and_replaced_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(OutputExistsError, match=r"a\.csv: already exists"), new_file(path):
        pass
    with new_file(path, force=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_foreign_folder_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "thesis"
    path.mkdir()
    (path / "chapter1.tex").write_text("years of work")
    with (
        pytest.raises(InputError, match="is not removed even with --force"),
        new_folder(path, force=True, is_ours=lambda _: False),
    ):
        pass
    assert (path / "chapter1.tex").read_text() == "years of work"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_clear_error(tmp_path: Path, code: int) -> None:
    place = new_folder(tmp_path / "a.pack", is_ours=lambda _: True)
    with pytest.raises(InputError, match=r"a\.pack: the disk is full"):
        _write_half(place, OSError(code, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_writing_to_a_full_device_is_one_clear_error(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("this system has no device /dev/full")
    with pytest.raises(InputError, match="the disk is full"):
        _write_to(full, new_file(tmp_path / "a.csv"))
    assert list(tmp_path.iterdir()) == []


def test_device_is_never_replaced_even_with_force() -> None:
    null = Path("/dev/null")
    if not null.is_char_device():
        pytest.skip("this system has no device /dev/null")
    with pytest.raises(InputError, match="is no ordinary file"), new_file(null, force=True):
        pass
    assert null.is_char_device()


def test_place_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"), new_file(tmp_path / "file" / "a.csv"):
        pass


def test_too_little_space_is_found_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 5_000_000

    monkeypatch.setattr(output.shutil, "disk_usage", lambda _: Usage)
    require_space(tmp_path / "not" / "yet" / "there", 4_000_000)
    with pytest.raises(InputError, match="needs 6 MB, found 5 MB free"):
        require_space(tmp_path / "a.pack", 6_000_000)


def test_a_reserved_file_is_as_long_as_asked_and_a_full_disk_is_told_before_it_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.write(b"head")
        output.reserve(file, 5000)
    assert (tmp_path / "a").read_bytes() == b"head" + bytes(4996)

    def refuse(error: int) -> None:
        def fallocate(*_: object) -> None:
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr(os, "posix_fallocate", fallocate, raising=False)

    refuse(errno.EOPNOTSUPP)
    with (tmp_path / "b").open("wb") as file:
        output.reserve(file, 5000)
    assert (tmp_path / "b").stat().st_size == 5000
    refuse(errno.ENOSPC)
    with (tmp_path / "c").open("wb") as file, pytest.raises(OSError, match="No space left"):
        output.reserve(file, 5000)
