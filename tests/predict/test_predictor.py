from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from small_sets import ROUNDING, draw_pixels, make_lens_set, make_vote_set, tiny

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.stretch import Composite, Stretch
from convnet_galaxies.data.vote_table import check_tree
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.model import device
from convnet_galaxies.model.augment import normalise
from convnet_galaxies.model.galaxy_net import answers
from convnet_galaxies.predict.predictor import Predictor, require_preprocess
from convnet_galaxies.runs.card import LensCalibration
from convnet_galaxies.runs.ensemble import join_runs
from convnet_galaxies.runs.weights import load_net
from convnet_galaxies.training.fit import fit

PIXELS = draw_pixels(20, 3)


def make(world: Path, run: str = "zoo", **options) -> Predictor:
    return Predictor(world / run, **{"device": "cpu", "precision": "fp32", "batch": 16, **options})


def test_one_view_is_the_answer_of_the_net_itself(world) -> None:
    net, _ = load_net(world / "both")
    with torch.inference_mode():
        expected = answers(net(normalise(torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float())))
    found = make(world, "both").predict(PIXELS)
    for task in ("lens", "flavor"):
        np.testing.assert_allclose(found[task], expected[task].numpy(), atol=ROUNDING)


def test_a_network_with_its_own_normalisation_is_shown_what_it_was_trained_on(tmp_path) -> None:
    images = make_lens_set()
    fit(images, tiny("train.epochs=1", "net.normalise=own"), tmp_path / "own", tasks=("lens",))
    net, _ = load_net(tmp_path / "own")
    pixels = torch.from_numpy(images.images[:20]).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        expected = {kind: answers(net(normalise(pixels.clone(), kind)))["lens"].numpy() for kind in ("own", "fixed")}
    found = make(tmp_path, "own").predict(images.images[:20])["lens"]
    np.testing.assert_allclose(found, expected["own"], atol=ROUNDING)
    assert np.abs(expected["own"] - expected["fixed"]).max() > 10 * ROUNDING, "they differ, or the test shows nothing"


def test_grey_images_are_the_mean_of_the_bands_without_calibration_or_familiarity(world) -> None:
    grey = np.repeat(PIXELS.mean(axis=3, keepdims=True).round().astype(np.uint8), 3, axis=3)
    found = make(world, "both", grey=True).predict_all(PIXELS)
    expected = make(world, "both").without_calibration().predict(grey)
    for task, values in expected.items():
        np.testing.assert_allclose(found.tasks[task], values, atol=ROUNDING)
    assert np.abs(found.tasks["lens"] - make(world, "both").predict(PIXELS)["lens"]).max() > 10 * ROUNDING
    shipped = Predictor("builtin:lens", device="cpu", grey=True)
    assert shipped.familiarity_model is None
    assert not shipped.card.calibration
    assert Predictor("builtin:lens", device="cpu").card.calibration, "or the test shows nothing"


def test_grey_is_refused_for_a_network_of_one_band(tmp_path) -> None:
    colour = make_lens_set()
    made = colour.preprocess.model_copy(update={"bands": 1})
    images = replace(colour, images=colour.images[..., :1], preprocess=made)
    fit(images, tiny("train.epochs=1"), tmp_path / "one", tasks=("lens",))
    with pytest.raises(UsageError, match="takes images of one band"):
        make(tmp_path, "one", grey=True)


@pytest.mark.parametrize("run", ["zoo", "both"])
def test_eight_views_do_not_know_quarter_turns_of_the_image(world, run) -> None:
    predictor = make(world, run, views=8)
    asked = predictor.predict_all(PIXELS)
    for turn in range(4):
        found = predictor.predict(np.ascontiguousarray(np.rot90(PIXELS, turn, (1, 2))))
        for task, values in asked.tasks.items():
            np.testing.assert_allclose(found[task], values, atol=ROUNDING)
    one = make(world, run).extract_features(PIXELS)
    assert np.abs(one - asked.features).max() > 0.01 * one.std(), "views differ, or the test shows nothing"


@pytest.mark.parametrize("views", [8, 16])
def test_a_symmetric_net_is_asked_for_one_view_of_four_and_answers_as_for_all(world, views) -> None:
    predictor = make(world, views=views)
    assert (predictor.views, predictor.steps) == (views, [4])
    found = predictor.predict(PIXELS)["votes"]
    predictor.steps = [1]
    np.testing.assert_allclose(found, predictor.predict(PIXELS)["votes"], atol=ROUNDING)


def test_a_plain_net_is_asked_for_all_views(tmp_path) -> None:
    fit(make_lens_set(40), tiny("net.backbone=plain", "train.epochs=1"), tmp_path / "plain", tasks=("lens",))
    assert make(tmp_path, "plain", views=8).steps == [1]


@pytest.mark.parametrize("views", [1, 8, 16])
def test_votes_obey_the_tree_for_any_number_of_views(world, views) -> None:
    votes = make(world, views=views).predict(PIXELS)["votes"]
    assert check_tree(votes.astype(float), tolerance=1e-5).is_sound


def test_answers_do_not_depend_on_the_batch_or_on_the_neighbours(world) -> None:
    whole = make(world, batch=256).predict(PIXELS)["votes"]
    parts = np.concatenate([part.tasks["votes"] for part in make(world, batch=7).predict_batches(PIXELS)])
    alone = make(world).predict(PIXELS[4:5])["votes"]
    np.testing.assert_allclose(parts, whole, atol=ROUNDING)
    np.testing.assert_allclose(alone, whole[4:5], atol=ROUNDING)


def test_bf16_answers_stay_near_those_of_float32(world) -> None:
    exact, rough = (make(world, "both", precision=precision).predict(PIXELS)["lens"] for precision in ("fp32", "bf16"))
    np.testing.assert_allclose(rough, exact, atol=0.02)


def test_features_are_what_the_heads_see(world) -> None:
    predictor = make(world, "both")
    features = torch.from_numpy(predictor.extract_features(PIXELS))
    net, _ = load_net(world / "both")
    assert features.shape == (20, net.backbone.features)
    with torch.inference_mode():
        lens = torch.sigmoid(net.heads["lens"](features))
    np.testing.assert_allclose(lens, predictor.predict(PIXELS)["lens"], atol=ROUNDING)


@pytest.mark.parametrize("native", [True, False])
def test_auto_predicts_in_bf16_where_it_is_native(world, monkeypatch, native) -> None:
    monkeypatch.setattr(device, "has_native_bf16", lambda _: native)
    auto, asked = (make(world, precision=one) for one in ("auto", "bf16" if native else "fp32"))
    assert auto.dtype == asked.dtype == (torch.bfloat16 if native else torch.float32)
    np.testing.assert_array_equal(auto.predict(PIXELS)["votes"], asked.predict(PIXELS)["votes"])


@pytest.mark.parametrize("shape", [(2, 48, 48, 3), (2, 32, 32, 1), (2, 32, 40, 3)])
def test_pixels_of_another_size_or_bands_are_refused(world, shape) -> None:
    _, h, w, bands = shape
    message = f"found {h} x {w} px in {bands} bands, expected 32 x 32 px in 3 bands"
    with pytest.raises(InputError, match=message):
        make(world).predict(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size_px": 48}, "size_px 48 instead of 96"),
        ({"bands": 1}, "bands 1 instead of 3"),
        ({"crop_px": None}, "crop_px None instead of 207"),
        ({"pixel_scale_arcsec": 0.4}, r"pixel_scale_arcsec 0\.4 instead of 0\.186"),
        ({"stretch": Stretch(white_sigma=9)}, "stretch .*white_sigma=9"),
    ],
)
def test_every_difference_in_how_pixels_were_made_is_named(change, message) -> None:
    expected = Preprocess(crop_px=207, size_px=96, pixel_scale_arcsec=0.186)
    images = replace(make_lens_set(8), linear=True)

    def made(**change) -> ImageSet:
        return replace(images, preprocess=expected.model_copy(update=change))

    with pytest.raises(InputError, match=message):
        require_preprocess("zoo.pack", made(**change), expected, fix="pack it again")
    require_preprocess("zoo.pack", made(pixel_scale_arcsec=None), expected, fix="")
    require_preprocess("zoo.pack", replace(made(stretch=Composite()), linear=False), expected, fix="")


def test_rows_of_a_set_are_predicted_as_their_pixels_alone_and_counted_batch_by_batch(world, lens_set) -> None:
    predictor, rows, counts = make(world, "both"), np.arange(1, 90, 2), []
    found = predictor.predict_set(lens_set, rows, progress=counts.append)
    expected = predictor.predict_all(lens_set.images[rows])
    for task in ("lens", "flavor"):
        np.testing.assert_array_equal(found.tasks[task], expected.tasks[task])
    np.testing.assert_array_equal(found.features, expected.features)
    assert counts == [16, 16, 13]
    np.testing.assert_array_equal(predictor.predict_set(lens_set).tasks["lens"][rows[:16]], found.tasks["lens"][:16])


@pytest.mark.parametrize("make_set", [make_vote_set, make_lens_set])
def test_a_set_of_other_pixels_is_refused_with_the_command_that_packs_its_kind(world, make_set) -> None:
    images = make_set(8)
    other = replace(images, preprocess=images.preprocess.model_copy(update={"crop_px": 20}))
    with pytest.raises(InputError, match="crop_px 20 instead of None") as refused:
        make(world, "both").predict_set(other)
    assert f"`pack {images.kind} --like {world / 'both'}`" in refused.value.fix


def test_a_predictor_without_calibration_leaves_the_other_one_calibrated(world, lens_set) -> None:
    predictor = make(world, "both")
    predictor.card = replace(predictor.card, calibration={"lens": LensCalibration(2.0, 1.0, 9, 3, 9, 0.3)})
    bare = predictor.without_calibration().predict(lens_set.images)["lens"].astype(float)
    np.testing.assert_allclose(predictor.predict(lens_set.images)["lens"], expit(2 * logit(bare) + 1), atol=1e-5)


def test_an_ensemble_answers_the_mean_of_its_members_and_lays_their_features_side_by_side(world, tmp_path) -> None:
    for seed in (1, 2):
        fit(make_lens_set(), tiny("train.epochs=1", f"seed={seed}"), tmp_path / str(seed), tasks=("lens", "flavor"))
    join_runs([tmp_path / "1", tmp_path / "2"], tmp_path / "two")
    for views in (1, 8):
        both = make(tmp_path, "two", views=views).predict_all(PIXELS)
        members = [make(tmp_path, name, views=views).predict_all(PIXELS) for name in ("1", "2")]
        for task, values in both.tasks.items():
            np.testing.assert_allclose(values, np.mean([one.tasks[task] for one in members], axis=0), atol=1e-6)
        np.testing.assert_allclose(both.features, np.hstack([one.features for one in members]), atol=1e-5)
    assert np.abs(members[0].features - members[1].features).max() > 0.01, "members differ, or the test shows nothing"


def test_half_weights_change_answers_by_less_than_a_thousandth(world, tmp_path) -> None:
    join_runs([world / "both"], tmp_path / "half", half=True)
    exact, rough = make(world, "both").predict(PIXELS), make(tmp_path, "half").predict(PIXELS)
    for task, values in exact.items():
        np.testing.assert_allclose(rough[task], values, atol=1e-3)
