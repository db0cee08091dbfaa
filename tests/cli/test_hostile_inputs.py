"""Names and links in the inputs of a stranger: nothing is written outside the output, no terminal is steered, and what
a spreadsheet would take for a formula stays the name that it is."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_sets import draw_pixels

FORMULA = "=cmd()+1"


def picture(path: Path, seed: int = 0) -> None:
    Image.fromarray(draw_pixels(1, seed)[0]).save(path)


@pytest.mark.parametrize("name", ["x/../../../up", "../up", "a\\b", "/root"])
def test_a_field_that_is_named_like_a_path_is_refused(run, tmp_path: Path, name: str) -> None:
    (tmp_path / "fields").mkdir()
    picture(tmp_path / "up.png")
    pd.DataFrame({"ZooID": [name] * 3, "volunteer": list("abc"), "x": 16, "y": 16}).to_csv(
        tmp_path / "markers.csv", index=False
    )
    done = run("cutouts", tmp_path / "fields", tmp_path / "markers.csv", "-o", tmp_path / "cut")
    assert done.code == 1
    assert "expected names without /" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"fields", "up.png", "markers.csv"}


def test_ids_that_a_spreadsheet_would_take_for_formulas_come_back_as_they_are(run, world, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    picture(tmp_path / "images" / f"{FORMULA}.png")
    done = run("predict", world / "lens", tmp_path / "images", "-o", tmp_path / "p.csv")
    assert done.code == 0, done.err
    assert pd.read_csv(tmp_path / "p.csv")["id"].tolist() == [FORMULA]


def test_members_of_a_zip_that_lead_out_of_it_are_read_and_never_written(run, world, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    inner = tmp_path / "inner"
    inner.mkdir()
    with zipfile.ZipFile(inner / "images.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "../../up.png")
        archive.write(tmp_path / "a.png", "/root/up2.png")
    done = run("pack", "images", inner / "images.zip", "-o", inner / "my.pack", "--size", 32)
    assert done.code == 0, done.err
    assert {path.name for path in inner.iterdir()} == {"images.zip", "my.pack"}
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "inner"}


def test_control_characters_of_names_reach_no_terminal(run, world, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for k in range(2):
        picture(tmp_path / "images" / f"a{k}\x1b]0;owned\x07\u202e.png", k)
    (tmp_path / "images" / "b\x1b[2J.png").write_bytes(b"no picture")
    printed = [
        run("describe", tmp_path / "images"),
        run("pack", "images", tmp_path / "images", "-o", tmp_path / "my.pack"),
        run("pack", "images", tmp_path / "images", "-o", tmp_path / "my.pack", "--skip-bad", "--size", 32),
        run("describe", tmp_path / "my.pack"),
        run("describe", tmp_path / "c\x1b[2J"),
    ]
    assert [one.code for one in printed] == [0, 1, 0, 0, 1]
    assert "\ufffd[2J" in printed[1].err
    for one in printed:
        assert "\x1b" not in one.out + one.err
        assert "\u202e" not in one.out + one.err


def test_links_of_a_stranger_show_no_folder_elsewhere(run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    picture(tmp_path / "elsewhere" / "secret.png")
    (tmp_path / "images").mkdir()
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "out").symlink_to(tmp_path / "elsewhere")
    done = run("pack", "images", tmp_path / "images", "-o", tmp_path / "my.pack", "--size", 32)
    assert done.code == 0, done.err
    assert "1 link to a folder elsewhere (such as out)" in done.err
    assert np.load(tmp_path / "my.pack" / "images.npy").shape[0] == 1
