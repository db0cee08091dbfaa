"""Write an output again and again, killed before each step of its writing in turn; called by test_output_kills.py.

Each attempt is a fork that kills itself before its k-th step that touches the folder (open, mkdir, rename, remove,
list, fsync, exchange), until one attempt ends by itself. After each attempt what is left is checked, and that the next
writer ends with the new output and nothing beside it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from convnet_galaxies.data import output
from convnet_galaxies.data.output import new_file, new_folder

OLD, NEW = "old" * 1000, "new" * 5000


def write_file(path: Path) -> None:
    with new_file(path, force=True) as temporary:
        temporary.write_text(NEW)


def write_folder(path: Path) -> None:
    with new_folder(path, force=True, is_ours=lambda _: True) as temporary:
        (temporary / "a").write_text(NEW)
        (temporary / "inner").mkdir()
        (temporary / "inner" / "b").write_text(NEW)


def read(path: Path) -> str | None:
    """The content of an output, which must be whole; None where it is absent."""
    if not path.exists():
        return None
    texts = [path.read_text()] if path.is_file() else [(path / "a").read_text(), (path / "inner" / "b").read_text()]
    assert len(set(texts)) == 1
    assert texts[0] in (OLD, NEW)
    return texts[0]


def prepare(path: Path, write: Callable[[Path], None]) -> None:
    if write is write_file:
        path.write_text(OLD)
    else:
        (path / "inner").mkdir(parents=True)
        (path / "a").write_text(OLD)
        (path / "inner" / "b").write_text(OLD)


def die_before(step: int, folder: Path) -> None:
    """Kill this process before the given step that touches the folder."""
    count = 0

    def touch() -> None:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        steps = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir")
        if event in steps and str(folder) in str(arguments[0]):
            touch()

    def wrap(module: object, name: str) -> None:
        whole = getattr(module, name)

        def wrapped(*arguments: object) -> object:
            touch()
            return whole(*arguments)

        setattr(module, name, wrapped)

    wrap(os, "fsync")
    wrap(output, "_exchange")
    sys.addaudithook(hook)


def main(folder: Path, write: Callable[[Path], None], *, is_old_there: bool) -> int:
    """Return how many attempts were killed."""
    step = 0
    while True:
        step += 1
        path = folder / "out"
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if is_old_there:
            prepare(path, write)
        child = os.fork()
        if not child:
            die_before(step, folder)
            write(path)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        found = read(path)
        assert found is not None or not is_old_there, f"step {step}: the old output is gone"
        write(path)
        assert read(path) == NEW
        assert [entry.name for entry in folder.iterdir()] == ["out"], f"step {step}: {list(folder.iterdir())}"
        if status == 0:
            return step - 1
        assert os.WTERMSIG(status) == signal.SIGKILL


if __name__ == "__main__":
    place, kind, before = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    sys.stdout.write(str(main(place, {"file": write_file, "folder": write_folder}[kind], is_old_there=before == "old")))
