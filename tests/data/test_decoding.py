from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from convnet_galaxies.data import decoding
from convnet_galaxies.data.decoding import BATCH_BYTES, decode_batches
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageFile

SMALL = Preprocess(crop_px=24, size_px=12)


class AtOnce(ThreadPoolExecutor):
    """Threads of endless speed: whatever they are sent is done at once."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **options))
        return done


def test_batches_come_in_order_and_only_a_few_wait(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = read_image_folder(image_folder).files
    assert files is not None
    reads: list[int] = []
    read = ImageFile.read

    def counted(self: ImageFile) -> bytes:
        reads.append(1)
        return read(self)

    monkeypatch.setattr(ImageFile, "read", counted)
    monkeypatch.setattr(decoding, "ThreadPoolExecutor", AtOnce)
    seen: list[int] = []
    for rows, _, _ in decode_batches(files * 10, SMALL, workers=1, batch=3):
        seen += rows.tolist()
        # Two batches a thread wait besides the one that is given out.
        assert len(reads) == min(len(seen) + 2 * 3, 120)
    assert seen == list(range(120))


MEASURE = """
import sys, tracemalloc
from pathlib import Path
import pandas as pd
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import Records

folder, output, n, workers, size_px = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
ids = [str(row) for row in range(n)]
records = Records("images", pd.DataFrame({"id": ids, "group": ids}), read_image_folder(folder).files * (n // 12))
tracemalloc.start()
write_pack(records, Preprocess(size_px=size_px), output, workers=workers)
print(tracemalloc.get_traced_memory()[1])
"""


def test_memory_does_not_grow_with_the_number_of_images(image_folder: Path, tmp_path: Path) -> None:
    n, workers, size_px = 900, 2, 96
    # In a process of its own: threads that other tests left behind would be counted as well.
    words = [sys.executable, "-c", MEASURE, image_folder, tmp_path / "a.pack", n, workers, size_px]
    # What measures coverage takes memory as well.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True, env=alone)
    peak = int(done.stdout)
    # However fast the threads are, two batches each wait besides the one that is written; a tenth for all the rest.
    bound = 1.1 * (2 * workers + 1) * BATCH_BYTES
    assert peak < bound < n * size_px**2 * 3 / 2
