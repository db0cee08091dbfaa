"""FITS cutouts through the commands: packed like a run, predicted by zero point, and refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.simulate.camera import Camera, draw_sky


@pytest.fixture
def cutouts(tmp_path: Path) -> Path:
    """Three cutouts in g, r, i, in nanomaggies; their headers do not say so."""
    folder = tmp_path / "cutouts"
    folder.mkdir()
    for number in range(3):
        gri = draw_sky(Camera(), (140, 140), np.random.default_rng(number))
        gri[:, 60:80, 60:80] += 20 * (number + 1)
        fits.writeto(folder / f"c{number}.fits", gri * 10 ** (0.4 * (22.5 - 30)))
    return folder


def test_fits_packed_like_a_run_answers_as_the_files_themselves(run, cutouts: Path, tmp_path: Path) -> None:
    linear = ("--blue-first", "--zero-point", "22.5")
    result = run("pack", "images", cutouts, "-o", tmp_path / "a.pack", "--like", "builtin:lens", *linear)
    assert (result.code, result.out) == (0, f"{tmp_path / 'a.pack'}: 3 images of 128 x 128 px, 3 bands, 0 MB\n")
    assert read_pack(tmp_path / "a.pack").linear
    found = []
    for source, options in ((tmp_path / "a.pack", ()), (cutouts, linear)):
        result = run("predict", "builtin:lens", source, "-o", tmp_path / "out.csv", "--views", "1", "--force", *options)
        assert result.code == 0
        assert "zero point" not in result.err
        found.append(pd.read_csv(tmp_path / "out.csv")["lens_probability"])
    np.testing.assert_allclose(*found, rtol=1e-6)
    result = run("predict", "builtin:lens", cutouts, "-o", tmp_path / "out.csv", "--force", "--blue-first")
    assert "3 of 3 images are linear without a zero point" in result.err


def test_a_pack_of_another_stretch_is_refused_with_the_way_out(run, cutouts: Path, tmp_path: Path) -> None:
    size = ("--crop", "128", "--size", "128", "--pixel-scale", "0.186")
    assert run("pack", "images", cutouts, "-o", tmp_path / "a.pack", *size).code == 0
    result = run("predict", "builtin:lens", tmp_path / "a.pack", "-o", tmp_path / "out.csv")
    assert result.code == 1
    assert "stretch " in result.err
    assert "--like RUN" in result.err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--zero-point", "nan"), "--zero-point: found nan, expected AB magnitudes"),
        (("--like", "builtin:lens", "--pixel-scale", "3"), '--pixel-scale: found 3"/px, expected 0.09 to 0.41'),
        (("--like", "builtin:nothing"), "builtin:nothing: no such built-in weights"),
    ],
)
def test_impossible_options_are_two_lines_and_leave_nothing(run, cutouts, tmp_path, options, message) -> None:
    result = run("pack", "images", cutouts, "-o", tmp_path / "a.pack", *options)
    assert result.code in (1, 2)
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 2
    assert not (tmp_path / "a.pack").exists()
