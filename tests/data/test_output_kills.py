"""Outputs are whole or absent whenever a process dies, one process at a time writes one, and nothing is left over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from convnet_galaxies.data.locks import hold
from convnet_galaxies.data.output import new_file, new_folder
from convnet_galaxies.errors import InputError

WRITER = Path(__file__).with_name("killed_writer.py")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.parametrize("before", ["old", "nothing"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_kill_before_any_step_leaves_the_old_or_the_new_output_and_the_next_run_clears_up(
    tmp_path: Path, kind: str, before: str
) -> None:
    done = subprocess.run([sys.executable, WRITER, tmp_path, kind, before], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= (6 if kind == "file" else 12)


def test_a_process_that_lives_is_named_and_its_files_are_kept(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from convnet_galaxies.data.output import new_file\n"
        "with new_file(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); print('writing', flush=True); input()\n"
        "    temporary.write_text('whole')\n"
    )
    path = tmp_path / "a.csv"
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "writing\n"
        with pytest.raises(InputError, match=rf"another process is writing it \(process {other.pid} on ") as caught:
            write(path)
        assert "wait for it" in caught.value.fix
        other.communicate("\n")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def write(path: Path) -> None:
    with new_file(path, force=True) as temporary:
        temporary.write_text("mine")


def test_data_then_name_then_folder_are_flushed_before_an_output_is_done(tmp_path: Path, monkeypatch) -> None:
    calls: list[str] = []
    flush = os.fsync

    def note(handle: int) -> None:
        calls.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        flush(handle)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system has no /proc")
    monkeypatch.setattr(os, "fsync", note)
    with new_folder(tmp_path / "made", is_ours=lambda _: True) as temporary:
        (temporary / "data").write_text("x")
    unfinished = f".made.unfinished-{os.getpid()}"
    assert calls == ["data", unfinished, tmp_path.name]
    assert (tmp_path / "made" / "data").read_text() == "x"


def test_a_lock_that_was_left_by_a_dead_process_is_taken(tmp_path: Path) -> None:
    lock = tmp_path / ".a.lock"
    lock.write_text("process 1 on elsewhere")
    with hold(lock, "a") as is_held:
        assert is_held
        assert f"process {os.getpid()} on" in lock.read_text()
    assert not lock.exists()


def test_leftovers_of_other_outputs_are_not_touched(tmp_path: Path) -> None:
    other, mine = tmp_path / ".ab.unfinished-1", tmp_path / ".a.unfinished-1"
    other.write_text("x")
    mine.write_text("x")
    write(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ab.unfinished-1", "a"]
