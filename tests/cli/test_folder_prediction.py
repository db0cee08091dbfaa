"""`predict -o FOLDER` from the command line: the same predictions as of a file, shard by shard and part by part."""

from __future__ import annotations

import json

import pandas as pd
import pytest


def read_shards(folder) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.rglob("*.parquet"))], ignore_index=True)


def test_an_output_without_an_ending_is_a_folder_that_holds_what_a_file_would(run, world, tmp_path) -> None:
    call = ("predict", world / "lens", world / "lens_images")
    assert run(*call, "-o", tmp_path / "all.csv").code == 0
    done = run(*call, "-o", tmp_path / "folder", "--json")
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "all.csv", dtype={"id": str})
    assert json.loads(done.out)["images"] == len(table) == 64
    found = read_shards(tmp_path / "folder" / "shards").sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(found, table.sort_values("id", ignore_index=True), check_dtype=False, rtol=1e-5)

    # The same command goes on, and has nothing left to do; another run does not mix with the first.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "folder" / "shards").iterdir()}
    again = run(*call, "-o", tmp_path / "folder")
    assert again.code == 0, again.err
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "folder" / "shards").iterdir()}
    other = run("predict", world / "zoo", world / "lens_images", "-o", tmp_path / "folder")
    assert other.code == 2
    assert "instead of" in other.err


def test_parts_hold_each_image_once_and_limit_takes_the_first(run, world, tmp_path) -> None:
    call = ("predict", world / "lens", world / "lens_images", "-o", tmp_path / "folder", "--quiet")
    for part in ("1/2", "2/2"):
        assert run(*call, "--part", part).code == 0
    found = read_shards(tmp_path / "folder" / "parts")
    assert len(found) == found["id"].nunique() == 64
    assert run(*call[:4], tmp_path / "few", "--limit", 5, "--views", 8).code == 0
    assert len(read_shards(tmp_path / "few" / "shards")) == 5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--force",), "a folder is gone on with"),
        (("--embeddings", "f.parquet"), "OUTPUT is a folder"),
        (("--part", "3/2"), "--part"),
    ],
)
def test_options_that_a_folder_cannot_have_are_refused(run, world, tmp_path, words, expected) -> None:
    done = run("predict", world / "lens", world / "lens_images", "-o", tmp_path / "folder", *words)
    assert done.code == 2
    assert expected in done.err
    assert not (tmp_path / "folder" / "shards").exists()
