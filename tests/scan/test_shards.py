"""Shards: a broken one, or that of another scan, is none."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from convnet_galaxies.errors import InputError
from convnet_galaxies.scan.shards import is_shard, read_shard, write_shard

TABLE = pd.DataFrame({"id": ["a", "b"], "lens_probability": [0.1, 0.9]})


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "0.parquet"
    write_shard(path, TABLE, "plan")
    return path


def test_a_shard_is_read_back_as_it_was_written(shard: Path) -> None:
    assert is_shard(shard, "plan") == 2
    pd.testing.assert_frame_equal(read_shard(shard, "plan").to_pandas(), TABLE, check_dtype=False)


def test_a_shard_of_another_scan_is_none(shard: Path) -> None:
    assert is_shard(shard, "other") is None
    with pytest.raises(InputError, match=r"0\.parquet: is of another scan"):
        read_shard(shard, "other")


@pytest.mark.parametrize("kept", [0, 4, 100])
def test_a_shard_that_is_cut_short_is_none(shard: Path, kept: int) -> None:
    shard.write_bytes(shard.read_bytes()[:kept])
    assert is_shard(shard, "plan") is None
    with pytest.raises(InputError, match=r"0\.parquet: cannot be read"):
        read_shard(shard, "plan")


def test_a_shard_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert is_shard(tmp_path / "1.parquet", "plan") is None
