"""Data, then name, then folder reach the disk, in this order, for every kind of output: what is written after its last
flush, or renamed before it, may be empty after a power cut."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_sets import make_lens_set, make_vote_set, tiny

from convnet_galaxies.data import output
from convnet_galaxies.data.output import write_json
from convnet_galaxies.data.pack import write_set
from convnet_galaxies.data.tables import write_table
from convnet_galaxies.show.feature_map import THUMBNAIL_PX, FeatureMap, write_map
from convnet_galaxies.training.fit import fit

TABLE = pd.DataFrame({"id": ["a", "b"], "x": [1.0, 2.0]})
POINTS = pd.DataFrame({"id": list("abcd"), "lens_probability": [0.1, 0.2, 0.3, 0.4]})
PIXELS = np.zeros((4, THUMBNAIL_PX, THUMBNAIL_PX, 3), np.uint8)

WRITERS: dict[str, Callable[[Path], object]] = {
    **{f"t.{ending}": lambda path: write_table(path, TABLE) for ending in ("csv", "parquet", "fits", "vot")},
    "facts.json": lambda path: write_json(path, {"a": 1}),
    "map.html": lambda path: write_map(FeatureMap(POINTS, np.zeros((4, 2)), PIXELS, "run", 4), path),
    "my.pack": lambda path: write_set(make_lens_set(4), path),
    "run": lambda path: fit(make_vote_set(24), tiny("train.epochs=2"), path, tasks=("votes",)),
}

_watched: list[Callable[[str, tuple[object, ...]], None]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    for watcher in _watched:
        watcher(event, arguments)


sys.addaudithook(_hook)  # there is no way to remove one


class Watch:
    """flushed: the state of each file at its last flush, by inode. wrong: what was renamed without one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushed: dict[int, tuple[int, int]] = {}
        self.wrong: list[str] = []
        self.renames = 0
        flush, exchange = os.fsync, output._exchange

        def note(handle: int) -> None:
            flush(handle)
            status = os.fstat(handle)
            self.flushed[status.st_ino] = (status.st_size, status.st_mtime_ns)

        def exchanged(first: Path, second: Path) -> bool:
            self.look(first)
            return exchange(first, second)

        monkeypatch.setattr(os, "fsync", note)
        monkeypatch.setattr(output, "_exchange", exchanged)
        monkeypatch.setattr(sys.modules[__name__], "_watched", [self.on_event])

    def on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename":
            self.look(Path(os.fsdecode(arguments[0])))  # type: ignore[arg-type]

    def look(self, path: Path) -> None:
        """Note whatever of a path is not on the disk as it is now."""
        self.renames += 1
        for one in [path, *path.rglob("*")] if path.is_dir() else [path]:
            self.require(one)

    def require(self, path: Path) -> None:
        status = path.stat()
        now = (status.st_size, status.st_mtime_ns)
        if self.flushed.get(status.st_ino) != now:
            self.wrong.append(path.name)


@pytest.mark.parametrize("name", WRITERS)
def test_an_output_is_flushed_before_it_gets_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    watch = Watch(monkeypatch)
    path = tmp_path / name
    WRITERS[name](path)
    assert watch.renames
    assert watch.wrong == []
    for one in [path, *path.rglob("*")] if path.is_dir() else [path]:
        watch.require(one)
    folder = tmp_path.stat()
    assert watch.wrong == []
    assert folder.st_ino in watch.flushed


def test_a_file_that_is_written_after_its_flush_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    path = tmp_path / "a"
    path.write_text("x")
    output.flush(path)
    os.utime(path, ns=(1, 1))
    path.rename(tmp_path / "b")
    assert watch.wrong == ["a"]
