"""The steps of writing an output one by one, within one process: killed ones are in test_output_kills.py."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from convnet_galaxies.data import output
from convnet_galaxies.data.locks import hold
from convnet_galaxies.data.output import (
    claim_folder,
    clear_up,
    clear_up_below,
    flush,
    new_file,
    new_folder,
    replace_folder,
    write_json,
)
from convnet_galaxies.errors import InputError, OutputExistsError, UsageError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_folder(path: Path, text: str) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "a").write_text(text)
    return path


def write_folder(path: Path, text: str, *, force: bool = False) -> None:
    with new_folder(path, force=force, is_ours=lambda _: True) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "a").write_text(text)


def read_folder(path: Path) -> str:
    return (path / "inner" / "a").read_text()


def test_a_folder_in_the_place_of_a_file_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(InputError, match=r"a\.csv: is a folder"), new_file(tmp_path / "a.csv", force=True):
        pass
    assert names(tmp_path) == ["a.csv"]


def test_a_folder_is_replaced_under_force_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.pack"
    write_folder(path, "old")
    with pytest.raises(OutputExistsError):
        write_folder(path, "new")
    assert read_folder(path) == "old"
    write_folder(path, "new", force=True)
    assert read_folder(path) == "new"
    assert names(tmp_path) == ["a.pack"]


def test_an_empty_folder_is_filled_under_force_whatever_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with new_folder(tmp_path / "a", force=True, is_ours=lambda _: False) as temporary:
        (temporary / "x").write_text("x")
    assert names(tmp_path / "a") == ["x"]


@pytest.mark.parametrize("missing", [AttributeError, OSError, TypeError])
def test_without_an_exchange_of_the_system_the_old_folder_steps_aside_for_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: type[Exception]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise missing

    monkeypatch.setattr(output.ctypes, "CDLL", refuse)
    old, new = make_folder(tmp_path / "a", "old"), make_folder(tmp_path / "b", "new")
    replace_folder(new, old)
    assert read_folder(tmp_path / "a") == "new"
    assert names(tmp_path) == ["a"]


def test_an_old_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_exchange", lambda *_: False)
    old, new = make_folder(tmp_path / "a", "old"), make_folder(tmp_path / "b", "new")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self == new:
            raise OSError(errno.EIO, "Input/output error", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output error"):
        replace_folder(new, old)
    assert read_folder(tmp_path / "a") == "old"
    assert names(tmp_path) == ["a", "b"]


def test_leftovers_beside_a_whole_output_are_removed_of_every_kind_and_its_old_folder_too(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("whole")
    (tmp_path / ".a.unfinished-1").write_text("half")
    make_folder(tmp_path / ".a.unfinished-2", "half")
    (tmp_path / ".a.unfinished-3").symlink_to(make_folder(tmp_path / "elsewhere", "kept"))
    make_folder(tmp_path / ".a.old", "old")
    clear_up(path)
    assert names(tmp_path) == ["a", "elsewhere"]
    assert read_folder(tmp_path / "elsewhere") == "kept"


def test_a_folder_that_had_stepped_aside_is_put_back_before_the_next_writer_begins(tmp_path: Path) -> None:
    make_folder(tmp_path / ".a.old", "old")
    with pytest.raises(RuntimeError, match="stop"), output.beside(tmp_path / "a"):
        raise RuntimeError("stop")
    assert read_folder(tmp_path / "a") == "old"
    assert names(tmp_path) == ["a"]


def test_clearing_up_below_a_folder_keeps_what_a_living_writer_holds(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    for path in (tmp_path / ".a.unfinished-1", inner / ".b.unfinished-1", inner / ".b.lock", inner / ".hidden"):
        path.write_text("half")
    living = tmp_path / ".c.unfinished-1"
    living.write_text("half")
    with hold(tmp_path / ".c.lock", "c"):
        clear_up_below(tmp_path)
        assert living.exists()
    assert names(tmp_path) == [".c.unfinished-1", "inner"]
    assert names(inner) == [".hidden"]


def test_a_disk_that_has_no_flush_is_no_fault_and_a_broken_one_is_told_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    code = errno.EINVAL

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    flush(path)
    code = errno.EBADF
    flush(tmp_path)
    code = errno.EIO
    with pytest.raises(OSError, match="Input/output error") as caught:
        flush(path)
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE])
def test_a_fault_at_the_output_is_one_message_and_one_elsewhere_is_left_to_others(tmp_path: Path, code: int) -> None:
    def write(filename: object) -> None:
        with new_file(tmp_path / "made" / "a.csv"):
            raise OSError(code, os.strerror(code), filename)

    with pytest.raises(InputError, match=rf"a\.csv: cannot be written \({os.strerror(code)}\)"):
        write(str(tmp_path / "made" / ".a.csv.unfinished-1"))
    with pytest.raises(InputError, match="cannot be written"):
        write(os.fsencode(tmp_path))
    for elsewhere in ("/elsewhere/input.csv", None, 3):
        with pytest.raises(OSError, match=os.strerror(code)) as caught:
            write(elsewhere)
        assert caught.value.errno == code
    assert names(tmp_path) == []


def test_a_lack_of_space_that_astropy_tells_without_a_number_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.fits: the disk is full \(No space left\)"), new_file(tmp_path / "a.fits"):
        raise OSError("Not enough space on disk: requested 1000, available 0.")
    assert names(tmp_path) == []


def test_folders_that_were_made_for_a_failed_output_stay_when_something_else_is_in_them(tmp_path: Path) -> None:
    def write() -> None:
        with new_file(tmp_path / "made" / "inner" / "a.csv"):
            (tmp_path / "made" / "other").write_text("x")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    assert names(tmp_path / "made") == ["other"]


def test_a_folder_that_is_filled_step_by_step_goes_on_with_the_same_facts_alone(tmp_path: Path) -> None:
    study, facts = tmp_path / "study", {"seed": 1}
    claim_folder(study, "plan.json", facts, "study")
    made = (study / "plan.json").stat()
    (study / ".result.csv.unfinished-1").write_text("half")
    claim_folder(study, "plan.json", facts, "study")
    assert names(study) == ["plan.json"]
    assert os.path.samestat(made, (study / "plan.json").stat())
    with pytest.raises(UsageError, match="holds a study of another plan") as caught:
        claim_folder(study, "plan.json", {"seed": 2}, "study")
    assert "--force" in caught.value.fix
    assert json.loads((study / "plan.json").read_text()) == facts
    claim_folder(study, "plan.json", {"seed": 2}, "study", force=True)
    assert json.loads((study / "plan.json").read_text()) == {"seed": 2}


def test_a_folder_of_something_else_is_not_claimed_even_with_force(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for force in (False, True):
        with pytest.raises(UsageError, match="holds something else than a study"):
            claim_folder(tmp_path, "plan.json", {}, "study", force=force)
    assert names(tmp_path) == ["thesis.tex"]


def test_json_is_written_once_and_again_under_force_with_null_for_what_is_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"path": Path("x"), "values": (1.5, float("nan"))})
    with pytest.raises(OutputExistsError):
        write_json(path, {})
    assert json.loads(path.read_text()) == {"path": "x", "values": [1.5, None]}
    write_json(path, {"b": "é"}, force=True)
    assert path.read_text("utf-8") == '{\n  "b": "é"\n}\n'
