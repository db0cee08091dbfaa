from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from PIL import Image
from small_sets import make_lens_set, tiny, write_pngs

from convnet_galaxies.data.input_notes import InputNotes, require_scale
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.stretch import Composite, Stretch
from convnet_galaxies.errors import BadImageError, InputError, UsageError
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_file
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.training.fit import fit

SCALE = 0.186


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A lens net of 32 px stamps, 32 source pixels of 0.186 arcsec wide."""

    folder = tmp_path_factory.mktemp("scaled") / "run"
    images = replace(make_lens_set(), preprocess=Preprocess(crop_px=32, size_px=32, pixel_scale_arcsec=SCALE))
    fit(images, tiny("train.epochs=1"), folder, tasks=("lens",))
    return Predictor(folder, device="cpu", precision="fp32")


def save(folder, name: str, pixels: np.ndarray):
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def predict(predictor, source, tmp_path, **options):
    summary = predict_file(predictor, source, tmp_path / "out.csv", force=True, **options)
    return pd.read_csv(tmp_path / "out.csv"), summary.warnings


def test_each_kind_is_one_sentence_with_its_count_and_none_for_good_images(predictor, tmp_path) -> None:
    good = write_pngs(make_lens_set(12), tmp_path / "good")
    assert predict(predictor, good, tmp_path)[1] == ()
    pixels = make_lens_set(12).images
    for k in range(5):
        save(good, f"b_small{k}", pixels[k][8:24, 8:24])
    save(good, "c_grey", pixels[0].mean(axis=2).astype(np.uint8))
    save(good, "d_grey", np.repeat(pixels[0][..., :1], 3, axis=2))
    save(good, "e_black", np.zeros((32, 32, 3), np.uint8))
    table, warnings = predict(predictor, good, tmp_path)
    assert len(table) == 20
    assert warnings == (
        "5 of 20 images are smaller than the 32 px of the network input and were padded with zeros: b_small0, "
        "b_small1, b_small2 and 2 more.",
        "2 of 20 images are without colour, which the network expects: c_grey, d_grey.",
        "1 of 20 images are of a single value, so their predictions are meaningless: e_black.",
    )


def test_a_small_image_is_answered_as_the_same_image_padded_by_hand(predictor, tmp_path) -> None:
    small = make_lens_set(1).images[0][8:24, 8:24]
    padded = np.zeros((32, 32, 3), np.uint8)
    padded[8:24, 8:24] = small
    save(tmp_path / "images", "small", small)
    table, _ = predict(predictor, tmp_path / "images", tmp_path)
    assert table["lens_probability"][0] == pytest.approx(predictor.predict(padded[None])["lens"][0], rel=1e-5)


def test_an_image_of_another_scale_shows_the_same_sky(predictor, tmp_path) -> None:
    own = make_lens_set(1).images[0]
    twice = np.repeat(np.repeat(own, 2, axis=0), 2, axis=1)  # half the arcsec a pixel
    wide = np.pad(twice, ((9, 9), (9, 9), (0, 0)), constant_values=77)
    save(tmp_path / "images", "fine", wide)
    expected = predictor.predict(own[None])["lens"][0]
    scaled, _ = predict(predictor, tmp_path / "images", tmp_path, reading=ReadOptions(SCALE / 2))
    assert scaled["lens_probability"][0] == pytest.approx(expected, rel=1e-5)
    unscaled, _ = predict(predictor, tmp_path / "images", tmp_path)
    middle = wide[25:57, 25:57]
    assert not np.array_equal(middle, own)
    assert unscaled["lens_probability"][0] == pytest.approx(predictor.predict(middle[None])["lens"][0], rel=1e-5)


def test_padding_is_counted_in_pixels_of_the_images_own_scale(predictor, tmp_path) -> None:
    save(tmp_path / "images", "one", make_lens_set(1).images[0][6:26, 6:26])
    assert "smaller than the 32 px" in predict(predictor, tmp_path / "images", tmp_path)[1][0]
    assert (
        predict(predictor, tmp_path / "images", tmp_path, reading=ReadOptions(0.4))[1] == ()
    )  # 15 px show the same sky


def test_planes_from_blue_to_red_are_turned_round_in_fits_alone(predictor, tmp_path) -> None:
    cube = np.random.default_rng(0).normal(100, 10, (3, 32, 32)).astype(np.float32)
    cube[0, 10:20, 10:20] += 500  # in the bluest band alone
    (tmp_path / "gri").mkdir()
    (tmp_path / "irg").mkdir()
    fits.writeto(tmp_path / "gri" / "x.fits", cube)
    fits.writeto(tmp_path / "irg" / "x.fits", cube[::-1].copy())
    red_first = predict(predictor, tmp_path / "irg", tmp_path)[0]["lens_probability"][0]
    turned = predict(predictor, tmp_path / "gri", tmp_path, reading=ReadOptions(blue_first=True))[0][
        "lens_probability"
    ][0]
    assert turned == red_first
    planes = [
        predictor.preprocess.decode((tmp_path / name / "x.fits").read_bytes(), "x.fits") for name in ("gri", "irg")
    ]
    assert not np.array_equal(*planes)
    unturned = predict(predictor, tmp_path / "gri", tmp_path)[0]["lens_probability"][0]
    assert unturned == pytest.approx(predictor.predict(planes[0][None])["lens"][0], rel=1e-5)
    save(tmp_path / "png", "x", make_lens_set(1).images[0])
    plain, given = (
        predict(predictor, tmp_path / "png", tmp_path, reading=one)[0] for one in (None, ReadOptions(None, True))
    )
    assert plain.equals(given)


def test_missing_pixels_are_filled_and_counted_up_to_a_share_and_refused_beyond_it(predictor, tmp_path) -> None:
    cube = np.random.default_rng(0).normal(100, 3, (3, 32, 32)).astype(np.float32)
    cube[1, 3, 4:7] = np.nan
    folder = write_pngs(make_lens_set(2), tmp_path / "images")
    fits.writeto(folder / "holes.fits", cube)
    table, warnings = predict(predictor, folder, tmp_path)
    assert table["masked_fraction"].tolist() == pytest.approx([0, 0, 3 / cube.size])
    assert warnings == (
        "1 of 3 images are with missing pixels, which were filled with sky (at most 0.1% of an image): holes.",
    )
    cube[1, :8] = np.nan
    fits.writeto(folder / "holes.fits", cube, overwrite=True)
    with pytest.raises(BadImageError, match=r"holes\.fits, plane 2: found 25\.0% of its pixels missing"):
        predict(predictor, folder, tmp_path)
    assert len(predict(predictor, folder, tmp_path, skip_bad=True)[0]) == 2
    assert len(predict(predictor, folder, tmp_path, reading=ReadOptions(missing_share=0.25))[0]) == 3


@pytest.mark.parametrize("scale", [0.05, 0.6])
def test_a_scale_far_from_the_runs_own_is_refused_with_the_range(predictor, tmp_path, scale) -> None:
    save(tmp_path / "images", "one", make_lens_set(1).images[0])
    with pytest.raises(InputError, match=f'found {scale}"/px, expected 0.09 to 0.41, since the run was trained at 0.1'):
        predict(predictor, tmp_path / "images", tmp_path, reading=ReadOptions(scale))
    assert not (tmp_path / "out.csv").exists()


def test_scales_of_builtin_lenses_reach_from_a_tenth_to_four_tenths() -> None:
    for scale in (None, 0.1, SCALE, 0.263, 0.4):
        require_scale(scale, Preprocess(crop_px=96, pixel_scale_arcsec=SCALE))


def test_a_scale_that_is_none_or_of_a_run_without_one_or_of_a_pack_is_refused(world, predictor, tmp_path) -> None:
    for scale in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match=r"--pixel-scale: found .*, expected arcsec per pixel above 0"):
            ReadOptions(scale)
    with pytest.raises(InputError, match=r"the run was trained on .* of unknown scale"):
        require_scale(0.2, Preprocess(crop_px=96))
    with pytest.raises(InputError, match="is packed, and its pixels are settled"):
        predict(predictor, world / "images.pack", tmp_path, reading=ReadOptions(0.2))


def test_a_few_strange_ones_among_many_are_no_news() -> None:
    notes = InputNotes(strange=0.001)
    pixels = np.random.default_rng(0).integers(0, 255, (2000, 4, 4, 3), np.uint8)
    ids = [str(k) for k in range(2000)]
    notes.add(ids, pixels, [None] * 2000, np.r_[np.zeros(6), np.ones(1994)])
    assert notes.warnings() == []
    notes.add(["last"], pixels[:1], [None], np.zeros(1))
    assert notes.warnings()[0].startswith("7 of 2,001 images are unlike all known images")


def test_linear_images_without_a_zero_point_are_counted_where_it_matters(tmp_path) -> None:
    made = Preprocess(crop_px=32, size_px=32, pixel_scale_arcsec=SCALE, stretch=Composite())
    fit(replace(make_lens_set(), preprocess=made), tiny("train.epochs=1"), tmp_path / "run", tasks=("lens",))
    predictor = Predictor(tmp_path / "run", device="cpu", precision="fp32")
    (tmp_path / "images").mkdir()
    fits.writeto(tmp_path / "images" / "x.fits", np.random.default_rng(0).normal(0, 2, (3, 32, 32)))
    assert predict(predictor, tmp_path / "images", tmp_path)[1] == (
        "1 of 1 images are linear without a zero point, so their brightness was guessed from their noise "
        "(--zero-point): x.",
    )
    assert predict(predictor, tmp_path / "images", tmp_path, reading=ReadOptions(zeropoint_mag=30.0))[1] == ()


def test_a_child_takes_linear_images_as_its_parent_does_unless_its_own_pack_says_how(tmp_path) -> None:
    def train(name: str, stretch, *, linear: bool = False, parent: str | None = None):
        images = make_lens_set()
        made = images.preprocess.model_copy(update={"stretch": stretch})
        images = replace(images, preprocess=made, linear=linear)
        parent = None if parent is None else tmp_path / parent
        fit(images, tiny("train.epochs=1"), tmp_path / name, tasks=("lens",), parent=parent)
        return read_card(tmp_path / name).preprocess.stretch

    assert train("pictures", Stretch()) == Stretch()
    assert train("composites", Composite(), parent="pictures") == Composite()
    assert train("again", Stretch(), parent="composites") == Composite()
    assert train("fits", Stretch(), parent="composites", linear=True) == Stretch()
