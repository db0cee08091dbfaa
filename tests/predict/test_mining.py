from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from small_sets import ROUNDING, draw_pixels, make_lens_set, tiny, write_pngs

from convnet_galaxies.data.pack import is_pack, read_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.records import join_sets
from convnet_galaxies.data.stretch import Composite
from convnet_galaxies.errors import BadImageError, InputError, OutputExistsError, UsageError
from convnet_galaxies.predict.mining import cut, find_objects, mine, place_grid, suppress
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.training.fit import fit

MADE = Preprocess(crop_px=32, size_px=32, pixel_scale_arcsec=0.186)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mining") / "lens"
    images = replace(make_lens_set(), preprocess=MADE)
    fit(images, tiny("train.epochs=2"), folder, tasks=("lens", "flavor"))
    return folder


@pytest.fixture(scope="module")
def predictor(run) -> Predictor:
    return Predictor(run, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three fields of 100 x 120 px of faint noise with three double blobs each, half a window apart from the edge."""
    folder = tmp_path_factory.mktemp("fields") / "fields"
    folder.mkdir()
    rng = np.random.default_rng(0)
    blobs = draw_pixels(9, 3, bright=np.ones(9, bool))
    for number in range(3):
        field = rng.integers(0, 30, (100, 120, 3), np.uint8)
        for k, (y, x) in enumerate([(0, 0), (30, 60), (68, 88)]):
            field[y : y + 32, x : x + 32] = blobs[3 * number + k]
        Image.fromarray(field).save(folder / f"field{number}.png")
    return folder


def test_the_highest_windows_are_written_as_negatives_that_do_not_overlap(run, predictor, fields, tmp_path) -> None:
    summary = mine(predictor, fields, tmp_path / "mined", number=7, above=0.0, stride_px=10)
    mined = read_pack(tmp_path / "mined")
    table = mined.table
    assert summary.stamps == len(mined) == 7
    assert summary.images == 3
    assert summary.windows == 3 * 8 * 10
    assert (table["lens"] == 0).all()
    assert (table["flavor_label"] == "dud").all()
    assert set(table["mined_by"]) == {"lens"}
    assert table["id"].is_unique
    assert table["lens_probability"].is_monotonic_decreasing
    for _, group in table.groupby("field"):
        centres = group[["y_px", "x_px"]].to_numpy()
        gaps = np.abs(centres[:, None] - centres[None]).max(axis=2)[np.triu_indices(len(group), 1)]
        assert (gaps >= 32).all()
    # Each stamp is what its position says, and scores what its row says.
    for row, stamp in zip(table.itertuples(), mined.images, strict=True):
        with Image.open(fields / row.image_file) as image:
            field = np.asarray(image)
        top, left = round(row.y_px - 15.5), round(row.x_px - 15.5)
        np.testing.assert_array_equal(stamp, field[top : top + 32, left : left + 32])
    np.testing.assert_allclose(predictor.predict(mined.images)["lens"], table["lens_probability"], atol=ROUNDING)


def test_mining_tells_what_was_passed_over(run, predictor, fields, tmp_path) -> None:
    folder = shutil.copytree(fields, tmp_path / "fields")
    (folder / "z.gif").write_bytes(b"GIF89a")
    summary = mine(predictor, folder, tmp_path / "mined", number=1, above=0.0)
    assert summary.remarks[0] == f"{folder}: passed over: 1 .gif (such as z.gif)"


def test_nothing_better_was_left_out(run, predictor, fields, tmp_path) -> None:
    mine(predictor, fields, tmp_path / "few", number=3, above=0.0)
    mine(predictor, fields, tmp_path / "all", number=1000, above=0.0)
    few, everything = (read_pack(tmp_path / name).table for name in ("few", "all"))
    assert few["id"].tolist() == everything["id"].tolist()[:3]
    half = float(everything["lens_probability"].median())
    mine(predictor, fields, tmp_path / "upper", number=1000, above=half)
    upper = read_pack(tmp_path / "upper").table
    assert upper["id"].tolist() == everything["id"][everything["lens_probability"] >= half].tolist()


def test_a_mined_pack_trains_beside_the_first_one_and_its_fields_stay_together(
    run, predictor, fields, tmp_path
) -> None:
    mine(predictor, fields, tmp_path / "mined", above=0.0)
    lenses = replace(make_lens_set(), preprocess=MADE)
    both = join_sets([lenses, read_pack(tmp_path / "mined")])
    mined = both.table[len(lenses) :]
    assert mined.groupby("field")["group"].nunique().max() == 1
    assert mined["group"].nunique() == 3
    child = fit(both, tiny("train.epochs=1"), tmp_path / "child", tasks=("lens", "flavor"), parent=run)
    assert child.is_finished


def test_a_grid_leaves_no_sky_between_what_the_net_sees(fields, tmp_path) -> None:
    images = replace(make_lens_set(), preprocess=MADE)
    run = fit(images, tiny("train.epochs=1", "net.view_px=16"), tmp_path / "run", tasks=("lens",)).path
    narrow = Predictor(run, device="cpu", precision="fp32")
    seen_px = round(narrow.window_px() or 0)
    assert seen_px <= 16
    summary = mine(narrow, fields, tmp_path / "mined", above=0.0)
    assert summary.windows == 3 * len(place_grid(100, 120, seen_px, seen_px // 2))
    assert read_pack(tmp_path / "mined").images.shape[1:3] == (32, 32)


def test_context_makes_stamps_larger_round_the_same_centres_with_zeros_outside(
    run, predictor, fields, tmp_path
) -> None:
    mine(predictor, fields, tmp_path / "plain", above=0.0)
    mine(predictor, fields, tmp_path / "wide", above=0.0, context_px=8)
    plain, wide = read_pack(tmp_path / "plain"), read_pack(tmp_path / "wide")
    assert wide.preprocess == MADE.model_copy(update={"crop_px": 48, "size_px": 48})
    assert wide.table["id"].tolist() == plain.table["id"].tolist()
    np.testing.assert_array_equal(wide.images[:, 8:40, 8:40], plain.images)
    corner = wide.table[(wide.table["x_px"] == 15.5) & (wide.table["y_px"] == 15.5)].index
    assert len(corner)
    assert not wide.images[corner][:, :8].any()


def test_windows_on_objects_are_centred_on_them(run, predictor, fields, tmp_path) -> None:
    field = np.zeros((100, 120, 3), np.uint8)
    field[48:52, 68:72] = 200
    field[2:5, 2:5] = 200  # too near the edge
    assert np.abs(find_objects(field, 32) - [49.5, 69.5]).max() <= 0.5
    mine(predictor, fields, tmp_path / "mined", above=0.0, on="objects")
    table = read_pack(tmp_path / "mined").table
    assert not set(table["x_px"] % 1) & {0.5}
    blob = table[(table["field"] == "field0") & (abs(table["x_px"] - 77) < 12) & (abs(table["y_px"] - 46) < 9)]
    assert len(blob) == 1


def test_grid_covers_the_image_to_its_edges_and_a_small_one_is_one_window() -> None:
    centres = place_grid(100, 70, 32, 16)
    assert (centres.min(axis=0) == 15.5).all()
    assert centres.max(axis=0).tolist() == [100 - 16.5, 70 - 16.5]
    assert place_grid(20, 30, 32, 16).tolist() == [[9.5, 14.5]]
    assert place_grid(32, 32, 32, 16).tolist() == [[15.5, 15.5]]


def test_suppression_keeps_the_best_of_what_overlaps() -> None:
    centres = np.array([[0.0, 0.0], [0.0, 20.0], [0.0, 40.0], [32.0, 0.0]])
    assert suppress(centres, np.array([0.5, 0.9, 0.4, 0.8]), 32) == [1, 3]
    assert suppress(centres, np.array([0.9, 0.5, 0.4, 0.8]), 32) == [0, 3, 2]


def test_a_cutout_smaller_than_the_window_is_cut_as_prediction_pads_it() -> None:
    small = draw_pixels(1, 4)[0][4:25, 3:27]
    (centre,) = place_grid(21, 24, 32, 16)
    np.testing.assert_array_equal(cut(small, centre, MADE, 32), MADE.fit(small, crop_px=32))


def test_cutouts_and_other_scales_are_taken(run, predictor, tmp_path) -> None:
    folder = write_pngs(make_lens_set(10, seed=8), tmp_path / "cutouts")
    assert mine(predictor, folder, tmp_path / "mined", above=0.0).windows == 10
    summary = mine(predictor, folder, tmp_path / "fine", above=0.0, reading=ReadOptions(0.372))
    assert read_pack(tmp_path / "fine").preprocess == MADE
    assert summary.windows == 90  # 16 px windows at a stride of 8 px


def test_what_the_run_was_not_made_for_is_remarked_on_once_a_kind(run, predictor, fields, tmp_path) -> None:
    assert mine(predictor, fields, tmp_path / "a", above=0.0).remarks == ()
    folder = tmp_path / "odd"
    folder.mkdir()
    noise = np.random.default_rng(1).integers(0, 30, (40, 50), np.uint8)
    Image.fromarray(np.dstack([noise] * 3)).save(folder / "grey.png")
    Image.fromarray(np.dstack([noise[:20, :20], noise[5:25, :20], noise[:20, 5:25]])).save(folder / "small.png")
    fits.writeto(folder / "linear.fits", np.stack([noise, noise, noise[::-1]]).astype(np.float32))
    composites = predictor.preprocess.model_copy(update={"stretch": Composite()})
    taught = Predictor(run, device="cpu", precision="fp32")
    taught.card = replace(taught.card, preprocess=composites)
    remarks = mine(taught, folder, tmp_path / "b", above=0.0).remarks
    assert [text.split(" images ")[0] for text in remarks] == ["1 of 3"] * 4
    names = ("small", "grey", "linear", "linear")
    kinds = ("smaller", "without colour", "guessed", "without names of bands")
    for text, name, kind in zip(remarks, names, kinds, strict=True):
        assert text.endswith(f": {name}.")
        assert kind in text


def test_bad_input_is_one_message_and_leaves_nothing(run, world, predictor, fields, tmp_path) -> None:
    with pytest.raises(InputError, match="zoo: predicts votes, expected lens"):
        mine(Predictor(world / "zoo", device="cpu"), fields, tmp_path / "mined")
    with pytest.raises(UsageError, match="--min-probability: found 1, expected"):
        mine(predictor, fields, tmp_path / "mined", above=1.0)
    with pytest.raises(InputError, match=r"found no window with a lens probability of 0\.9999 or more among 126 in 3"):
        mine(predictor, fields, tmp_path / "mined", above=0.9999)
    with pytest.raises(InputError, match=r"expected 0\.09 to 0\.41"):
        mine(predictor, fields, tmp_path / "mined", reading=ReadOptions(3.0))
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputExistsError):
        mine(predictor, fields, tmp_path / "taken")
    folder = write_pngs(make_lens_set(3), tmp_path / "images")
    (folder / "a.png").write_bytes(b"no image")
    with pytest.raises(BadImageError, match=r"a\.png: cannot be decoded"):
        mine(predictor, folder, tmp_path / "mined", above=0.0)
    assert not (tmp_path / "mined").exists()
    summary = mine(predictor, folder, tmp_path / "mined", above=0.0, skip_bad=True)
    assert (summary.images, len(summary.skipped)) == (3, 1)
    assert is_pack(tmp_path / "mined")
