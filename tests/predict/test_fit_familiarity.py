from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_sets import SIDE_PX, draw_pixels, make_lens_set, tiny, write_pngs

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.model import device
from convnet_galaxies.predict.familiarity import STRANGE
from convnet_galaxies.predict.fit_familiarity import choose_images_to_fit, fit_familiarity
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_file
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.runs.ensemble import join_runs
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.runs.weights import write_card
from convnet_galaxies.training.fit import fit


def make(run: Path, **options) -> Predictor:
    return Predictor(run, **{"device": "cpu", "precision": "fp32", **options})


def draw_strange() -> dict[str, np.ndarray]:
    """Kinds of images that no cutout is like, uint8 [n, 32, 32, 3] each."""
    rng = np.random.default_rng(0)
    known = draw_pixels(20, 77)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX
    slopes = np.stack([200 * (np.cos(a) * x + np.sin(a) * y) / 1.5 for a in rng.uniform(0, 1.57, 20)])
    shape = (20, SIDE_PX, SIDE_PX, 3)
    return {
        "noise": rng.integers(0, 256, shape, np.uint8),
        "grey noise": np.repeat(rng.integers(0, 256, (*shape[:3], 1), np.uint8), 3, axis=3),
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        "inverted": 255 - known,
        "brightened": (255 * (known / 255.0) ** 0.4).astype(np.uint8),
        "gradients": np.repeat(slopes[..., None].astype(np.uint8), 3, axis=3) + np.uint8(40),
    }


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return make_lens_set(1500)


def make_run(folder: Path, images: ImageSet, *, native_bf16: bool) -> Path:
    """A run that knows what its images look like, fitted as on a processor with bf16 or without.

    Its net is the one that its training begins with, whose numbers are the same everywhere: training amplifies the
    rounding of a processor until other images lie at the rim.
    """
    shares = ("split.train=0.6", "split.validation=0.1", "split.test=0.3")
    still = ("train.epochs=1", "train.batch=64", "train.learning_rate=1e-9")
    fit(images, tiny(*still, *shares), folder, tasks=("lens",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "has_native_bf16", lambda _: native_bf16)
        summary = fit_familiarity(folder, images, device="cpu")
    assert (summary.fitted, summary.held_out) == (round(0.6 * len(images)), round(0.4 * len(images)))
    assert summary.are_unseen
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images) -> Path:
    return make_run(tmp_path_factory.mktemp("known") / "run", images, native_bf16=False)


def test_fitted_in_bf16_known_images_are_familiar_in_bf16(images, tmp_path) -> None:
    """In the precision that the run was fitted in: rounding is a part of how far images lie from one another."""
    run = make_run(tmp_path / "run", images.select(np.arange(700)), native_bf16=True)
    found = make(run, precision="bf16").predict_all(make_lens_set(600, seed=5).images).familiarity
    assert found is not None
    assert (found < 0.5).mean() == pytest.approx(0.5, abs=0.1)
    assert (found < 0.1).mean() == pytest.approx(0.1, abs=0.05)
    for kind, pixels in draw_strange().items():
        strange = make(run, precision="bf16").predict_all(pixels).familiarity
        assert strange is not None
        assert strange.max() < STRANGE, kind


@pytest.mark.parametrize("views", [1, 8, 16])
def test_other_known_images_are_familiar_as_often_as_they_should_be(run, views) -> None:
    found = make(run, views=views).predict_all(make_lens_set(600, seed=5).images).familiarity
    assert found is not None
    assert found.dtype == np.float32
    assert (found < 0.5).mean() == pytest.approx(0.5, abs=0.1)
    assert (found < 0.1).mean() == pytest.approx(0.1, abs=0.05)
    assert (found < STRANGE).mean() <= 0.005


@pytest.mark.parametrize("views", [1, 8])
@pytest.mark.parametrize("kind", list(draw_strange()))
def test_images_of_other_kinds_are_strange(run, kind, views) -> None:
    found = make(run, views=views).predict_all(draw_strange()[kind]).familiarity
    assert found is not None
    assert found.max() < STRANGE


def test_familiarity_comes_from_the_same_pass_as_the_answers(run, monkeypatch) -> None:
    predictor = make(run)
    net, calls = predictor.nets[0], []
    monkeypatch.setattr(net, "features", lambda view, see=net.features: calls.append(len(view)) or see(view))
    predictor.predict_all(draw_pixels(20, 3))
    assert calls == [20]


def test_predictions_get_a_column_and_one_sentence_with_the_first_names(run, tmp_path) -> None:
    folder = write_pngs(make_lens_set(30, seed=6), tmp_path / "images")
    for number, pixels in enumerate(draw_strange()["noise"][:5]):
        Image.fromarray(pixels).save(folder / f"a_photo{number}.png")
    summary = predict_file(make(run), folder, tmp_path / "p.csv")
    table = pd.read_csv(tmp_path / "p.csv")
    assert list(table) == ["id", "lens_probability", "familiarity"]
    assert set(table["id"][table["familiarity"] < STRANGE]) == {f"a_photo{number}" for number in range(5)}
    assert summary.warnings == (
        "5 of 35 images are unlike all known images of the run (familiarity below 0.001): "
        "a_photo0, a_photo1, a_photo2 and 2 more.",
    )


def test_a_run_without_the_file_has_no_column_and_answers_alike(run, tmp_path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    (bare / "familiarity.safetensors").unlink()
    pixels = draw_pixels(20, 3)
    assert make(bare).predict_all(pixels).familiarity is None
    np.testing.assert_array_equal(make(bare).predict(pixels)["lens"], make(run).predict(pixels)["lens"])
    predict_file(make(bare), write_pngs(make_lens_set(4), tmp_path / "images"), tmp_path / "p.csv")
    assert list(pd.read_csv(tmp_path / "p.csv")) == ["id", "lens_probability"]


def test_published_weights_keep_it_and_an_ensemble_needs_its_own(run, images, tmp_path) -> None:
    join_runs([run], tmp_path / "one", publish=True)
    assert make(tmp_path / "one").familiarity_model is not None
    join_runs([run, run], tmp_path / "two", half=True)
    assert make(tmp_path / "two").familiarity_model is None
    fit_familiarity(tmp_path / "two", images, device="cpu")
    found = make(tmp_path / "two").predict_all(draw_strange()["noise"]).familiarity
    assert found is not None
    assert found.max() < STRANGE


def test_a_file_of_other_weights_or_a_broken_one_is_refused(run, tmp_path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    weights = bytearray((other / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "weights.safetensors").write_bytes(weights)
    write_card(RunFolder(other), read_card(other))
    with pytest.raises(InputError, match=r"familiarity\.safetensors: was fitted for other weights"):
        make(other)
    (other / "familiarity.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match=r"familiarity\.safetensors: cannot be read"):
        make(other)


def test_it_is_replaced_only_under_force_and_never_in_the_package(run, images) -> None:
    with pytest.raises(OutputExistsError, match=r"familiarity\.safetensors: already exists"):
        fit_familiarity(run, images)
    with pytest.raises(InputError, match="builtin:lens: ships with the package and is not changed"):
        fit_familiarity("builtin:lens", images)
    with pytest.raises(InputError, match="found 40 images, expected at least 50"):
        fit_familiarity(run, images.select(np.arange(60)), device="cpu", force=True)
    assert RunFolder(run).familiarity.is_file()


def test_where_too_little_was_held_out_other_groups_judge(run, images) -> None:
    few = images.select(np.arange(300))
    fitted, judged, are_unseen = choose_images_to_fit(few, run, seed=0)
    groups = few.table["group"].to_numpy()
    assert not set(groups[fitted]) & set(groups[judged])
    assert not are_unseen
    assert (len(fitted), len(judged)) == (200, 100)
