"""FITS cutouts through the commands: packed like a run, predicted by zero point, and refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from made_fits import image, save, sky, tan_wcs

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
    assert "`pack images --like builtin:lens`" in result.err
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


def stamps(folder: Path, cards: dict | None = None, *, number: int = 2, planes: int = 3, scale: float = 0.186) -> Path:
    """Cubes of so many planes from red to blue, with a place on the sky."""
    for k in range(number):
        cube = np.stack([sky(10 * k + plane, 140) for plane in range(planes)])
        save(folder / f"s{k}.fits", cube, primary={"MAGZERO": 30.0, **tan_wcs(scale), **(cards or {})})
    return folder


@pytest.fixture
def ask(run, tmp_path: Path):
    """ask(source, *options): answers and what is told of predict builtin:lens in one view."""

    def call(source: Path, *options: object):
        output = tmp_path / "asked.csv"
        result = run("predict", "builtin:lens", source, "-o", output, "--views", "1", "--force", *options)
        table = pd.read_csv(output) if result.code == 0 else None
        return table, result

    return call


def test_bands_by_name_and_by_number_choose_the_same_planes(ask, tmp_path: Path) -> None:
    named = stamps(tmp_path / "named", {"BANDS": "zirgu"}, planes=5)
    plain = stamps(tmp_path / "plain", planes=5)
    by_itself, result = ask(named)
    assert result.err == "2 of 2 images are shown as i, r, g (red to blue), from BANDS: s0, s1.\n"
    by_name, _ = ask(named, "--bands", "g,i,r")
    by_number, result = ask(plain, "--bands", "2,3,4")
    assert result.err == ""
    for other in (by_name, by_number):
        np.testing.assert_array_equal(other["lens_probability"], by_itself["lens_probability"])
    _, refused = ask(plain)
    assert refused.code == 1
    assert "found 5 bands, expected 3" in refused.err
    assert "Fix: choose 3 of the 5, e.g. --bands 3,2,1" in refused.err
    assert ask(plain, "--bands", "3,2,1")[1].code == 0
    _, wrong = ask(plain, "--bands", "3,2")
    assert wrong.code == 2
    assert "--bands: found 3,2, expected 3 names of bands or numbers of planes" in wrong.err
    _, grey = ask(named, "--bands", "r")
    assert "2 of 2 images are without colour" in grey.err


def test_hdu_and_missing_are_options_of_predict_mine_and_pack(run, ask, tmp_path: Path) -> None:
    planes = [sky(k, 140) for k in range(3)]
    planes[1][:16] = np.nan  # ten rows of the central 128
    place = tan_wcs(0.186)
    hdus = [image(planes[k], {"FILTER": band, **place}, "X", k + 1) for k, band in enumerate("irg")]
    other = image(sky(9, 140), {"FILTER": "r", **tan_wcs(0.186)}, "MODEL_R")
    save(tmp_path / "in" / "a.fits", *hdus, other, primary={"MAGZERO": 30.0})
    table, result = ask(tmp_path / "in", "--missing", "0.2")
    assert "(at most 2.6% of an image): a." in result.err
    assert table["masked_fraction"][0] == pytest.approx(10 / 128 / 3)
    refused = ask(tmp_path / "in", "--missing", "0.05")[1]
    assert refused.code == 1
    assert "X:2, band r: found" in refused.err
    assert "Fix: pass --missing 0.08" in refused.err
    assert ask(tmp_path / "in", "--missing", "1.5")[1].code == 2
    table, result = ask(tmp_path / "in", "--hdu", "1,MODEL_R,3")
    assert table["masked_fraction"][0] == 0
    assert "shown as i, r, g" in result.err
    packed = run(
        "pack", "images", tmp_path / "in", "--like", "builtin:lens", "--hdu", "1,4,3", "-o", tmp_path / "a.pack"
    )
    assert packed.code == 0
    again, _ = ask(tmp_path / "a.pack")
    np.testing.assert_allclose(again["lens_probability"], table["lens_probability"], rtol=1e-6)
    mined = run(
        "mine", "builtin:lens", tmp_path / "in", "--hdu", "1,4,3", "--min-probability", "0", "-o", tmp_path / "m.pack"
    )
    assert mined.code == 0
    assert "shown as i, r, g" in mined.err
    assert set(read_pack(tmp_path / "m.pack").table["frame"]) == {"0-based from the bottom left"}


@pytest.mark.parametrize(
    ("cards", "options", "warning"),
    [
        ({"BANDS": "zrg"}, ("--blue-first",), "are read as z, r, g according to their files, against --blue-first"),
        ({}, ("--pixel-scale", "0.25"), 'are of 0.186"/px according to their headers, but were read as 0.25"/px'),
        ({}, ("--zero-point", "25"), "are of another zero point by their headers (MAGZERO = 30) than --zero-point 25"),
    ],
)
def test_options_that_contradict_headers_are_warned_of_by_pack_and_predict_alike(
    run, ask, tmp_path: Path, cards, options, warning
) -> None:
    folder = stamps(tmp_path / "in", cards)
    expected = f"Warning: 2 of 2 images {warning}"
    _, result = ask(folder, *options)
    assert expected in result.err
    packed = run("pack", "images", folder, "--like", "builtin:lens", "-o", tmp_path / "a.pack", *options)
    assert expected in packed.err
    agreeing = {"--blue-first": ({"BANDS": "grz"}, options), "--pixel-scale": ({}, ("--pixel-scale", "0.186"))}.get(
        options[0], ({}, ("--zero-point", "30"))
    )
    _, quiet = ask(stamps(tmp_path / "agreeing", agreeing[0]), *agreeing[1])
    assert "Warning" not in quiet.err


def test_pack_tells_what_predict_tells_and_the_pack_is_never_silent_about_it(run, ask, tmp_path: Path) -> None:
    folder = stamps(tmp_path / "in", {"MAGZERO": 99.0}, number=3)
    border = np.stack([sky(k, 140) for k in range(3)])
    border[:, :, :12] = 0
    save(folder / "border.fits", border)
    _, direct = ask(folder)
    told = [line.removeprefix("Warning: ") for line in direct.err.splitlines()]
    assert [any(word in line for line in told) for word in ("guessed", "missing", "red to blue")] == [True] * 3
    packed = run("pack", "images", folder, "--like", "builtin:lens", "-o", tmp_path / "a.pack")
    assert sorted(packed.err.splitlines()) == sorted(direct.err.splitlines())
    _, again = ask(tmp_path / "a.pack")
    described = run("describe", tmp_path / "a.pack")
    for line in told:
        assert f"When packed: {line}" in again.err
        assert line in described.out


def test_files_of_one_band_and_all_that_is_told_of_a_folder_reach_describe(run, ask, tmp_path: Path) -> None:
    for k, band in enumerate("irg"):
        save(tmp_path / "in" / f"x_{band}.fits", sky(k, 140), primary={"MAGZERO": 30.0, **tan_wcs(0.186)})
    save(tmp_path / "in" / "y_msk.fits", np.zeros((140, 140), np.int16))
    table, result = ask(tmp_path / "in")
    assert table["id"].tolist() == ["x"]
    described = run("describe", tmp_path / "in")
    for text in (
        "3 files of one band each (or its mask or weight) were joined into 1 images",
        "passed over: 1 mask file",
    ):
        assert text in result.err
        assert text in described.out
    assert "bands i, r, g (the file's name)" in described.out
    assert '0.186"/px' in described.out
    assert "zero point known (MAGZERO)" in described.out


def test_options_of_a_simulation_do_not_apply_to_fields_of_ones_own(run, tmp_path: Path) -> None:
    for option in (("--workers", "2"), ("--unknown-prevalence", "0.1")):
        result = run("simulate", "space-warps", tmp_path / "out", "--onto", tmp_path, "--number", "1", *option)
        assert result.code == 2
        assert f"{option[0]}: does not apply to --onto" in result.err
    assert not (tmp_path / "out").exists()
