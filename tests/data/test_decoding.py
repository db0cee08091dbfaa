from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data.decoding import decode_batches
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageFile, Records

SMALL = Preprocess(crop_px=24, size_px=12)


def test_batches_come_in_order_and_only_a_few_wait(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = read_image_folder(image_folder).files
    assert files is not None
    reads: list[int] = []
    read = ImageFile.read

    def counted(self: ImageFile) -> bytes:
        reads.append(1)
        return read(self)

    monkeypatch.setattr(ImageFile, "read", counted)
    batches = decode_batches(files * 10, SMALL, workers=1, batch=3)
    rows, _, _ = next(batches)
    time.sleep(0.1)
    assert rows.tolist() == [0, 1, 2]
    assert len(reads) <= 9
    assert np.concatenate([rows for rows, _, _ in batches]).tolist() == list(range(3, 120))


def test_memory_does_not_grow_with_the_number_of_images(image_folder: Path, tmp_path: Path) -> None:
    files = read_image_folder(image_folder).files
    assert files is not None
    preprocess = Preprocess(size_px=96)
    peaks = []
    for times in (25, 75):
        n = 12 * times
        ids = [str(row) for row in range(n)]
        records = Records("images", pd.DataFrame({"id": ids, "group": ids}), files * times)
        tracemalloc.start()
        write_pack(records, preprocess, tmp_path / f"{times}.pack", workers=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2_000_000 < 900 * 96 * 96 * 3 / 2
