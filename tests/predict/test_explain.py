from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_sets import SIDE_PX, draw_pixels, make_lens_set, tiny

import convnet_galaxies
from convnet_galaxies.decision_tree import builtin_trees, dump_tree, read_tree
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.predict import explain
from convnet_galaxies.predict.explain import (
    METHODS,
    Explainer,
    attribute,
    correlate_with_random,
    open_explainer,
    require_captum,
)
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.ensemble import join_runs
from convnet_galaxies.training.fit import fit


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return draw_pixels(1, seed=8, bright=np.array([True]))[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A net that learned what the second blob is."""
    run = tmp_path_factory.mktemp("explain") / "run"
    fit(make_lens_set(192), tiny("train.epochs=12"), run, tasks=("lens", "flavor"))
    return run


@pytest.fixture(scope="module")
def explainers(world, trained, tmp_path_factory) -> dict[str, Explainer]:
    joined = tmp_path_factory.mktemp("joined") / "both"
    join_runs([str(world / "lens"), str(world / "lens")], joined)
    zoo = open_explainer(world / "zoo")
    assert zoo.card.net.backbone == "symmetric"
    seen = {"view_px": 24.0, "input_px": 24}
    part = replace(zoo.card, net=zoo.card.net.model_copy(update=seen))
    plain = replace(zoo.card, net=zoo.card.net.model_copy(update={"backbone": "plain"}))
    return {
        "votes": zoo,
        "lens and flavor": open_explainer(trained),
        "ensemble": open_explainer(joined),
        "plain": Explainer((), plain).with_random_weights(seed=3),
        "a part of the image": Explainer((), part).with_random_weights(seed=3),
    }


KINDS = ["votes", "lens and flavor", "ensemble", "plain", "a part of the image"]


@pytest.mark.parametrize("kind", KINDS)
def test_integrated_gradients_add_up_to_the_change_of_the_answer_from_an_empty_sky(
    explainers, pixels, kind, monkeypatch
) -> None:
    monkeypatch.setattr(explain, "STEPS", 400)
    found = explainers[kind].explain(pixels)
    change = found.answer - found.empty_answer
    assert abs(change) > 1e-4
    # The sum is exact but for the finite number of steps through the bends of the rectifiers.
    assert found.map.sum(dtype=float) == pytest.approx(change, abs=0.03 * np.abs(found.map).sum(dtype=float))
    assert found.map.shape == (SIDE_PX, SIDE_PX)
    assert found.map.dtype == np.float32


@pytest.mark.parametrize("method", METHODS)
def test_the_map_of_a_turned_image_is_the_turned_map_for_a_symmetric_net(explainers, pixels, method) -> None:
    explainer = explainers["a part of the image"]
    found = explainer.explain(pixels, "Class1.1", method=method).map
    turned = explainer.explain(np.ascontiguousarray(pixels[::-1].swapaxes(0, 1)), "Class1.1", method=method).map
    np.testing.assert_allclose(turned, found[::-1].T, atol=1e-3 * np.abs(found).max())


@pytest.mark.parametrize("method", METHODS)
def test_pixels_that_the_network_does_not_see_have_no_part_in_the_answer(explainers, pixels, method) -> None:
    found = explainers["a part of the image"].explain(pixels, "Class1.1", method=method).map  # sees 24 of 32 px
    assert not np.concatenate(
        [found[:4].ravel(), found[-4:].ravel(), found[:, :4].ravel(), found[:, -4:].ravel()]
    ).any()
    assert found[4:-4, 4:-4].any()


def test_occlusion_is_the_loss_of_the_answer_when_squares_are_hidden(explainers, pixels) -> None:
    explainer = explainers["lens and flavor"]
    found = explainer.explain(pixels, "lens", method="occlusion")
    rim = np.ones((SIDE_PX, SIDE_PX), bool)
    rim[4:-4, 4:-4] = False
    sky = np.sort(pixels[rim].astype(float), axis=0)[(rim.sum() - 1) // 2]  # torch takes the lower of two medians
    total, hidden = np.zeros((SIDE_PX, SIDE_PX)), np.zeros((SIDE_PX, SIDE_PX))
    for y in range(0, SIDE_PX - 3, 2):
        for x in range(0, SIDE_PX - 3, 2):
            changed = pixels.copy()
            changed[y : y + 4, x : x + 4] = sky
            total[y : y + 4, x : x + 4] += found.answer - explainer.explain_answer(changed, "lens")
            hidden[y : y + 4, x : x + 4] += 1
    np.testing.assert_allclose(found.map, total / hidden, atol=1e-4)


def test_the_answer_is_that_of_prediction(explainers, trained, pixels) -> None:
    predictor = Predictor(trained, device="cpu", precision="fp32", views=1)
    probability = float(predictor.predict(pixels[None])["lens"][0])
    found = open_explainer(trained).explain(pixels, "lens")
    assert 1 / (1 + np.exp(-found.answer)) == pytest.approx(probability, abs=1e-4)
    np.testing.assert_array_equal(attribute(predictor, pixels, "lens"), found.map)


def test_networks_of_random_weights_give_another_map(trained, pixels) -> None:
    explainer = open_explainer(trained)
    assert correlate_with_random(explainer, pixels, "lens") < 0.3
    # The measure itself sees what is alike: the same networks in place of random ones.
    same = replace_random(explainer)
    assert correlate_with_random(same, pixels, "lens", seeds=(0,)) == pytest.approx(1)


def replace_random(explainer: Explainer) -> Explainer:
    class Same(Explainer):
        def with_random_weights(self, *, seed: int) -> Explainer:
            return explainer

    return Same(explainer.nets, explainer.card)


def test_random_weights_leave_the_generator_and_the_trained_nets_alone(trained, pixels) -> None:
    explainer = open_explainer(trained)
    before = explainer.explain(pixels, "lens").map
    state = torch.get_rng_state()
    drawn = [explainer.with_random_weights(seed=seed).explain(pixels, "lens").map for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(explainer.explain(pixels, "lens").map, before)


def test_targets_are_columns_of_the_predictions_or_short_for_them(explainers, pixels) -> None:
    explainer = explainers["lens and flavor"]
    assert explainer.explain(pixels).target == "lens_probability"
    assert explainer.explain(pixels, "lensed quasar").target == "flavor_lensed quasar"
    assert explainers["votes"].explain(pixels).target in ("Class1.1", "Class1.2", "Class1.3")
    with pytest.raises(UsageError, match=r"found 'Class99', expected a column .*Class1.1, Class1.2"):
        explainers["votes"].explain(pixels, "Class99")
    with pytest.raises(UsageError, match="expected one of integrated-gradients, occlusion"):
        explainer.explain(pixels, method="guessing")
    with pytest.raises(InputError, match=r"found pixels of shape \[8, 8, 3\], expected \[32, 32, 3\]"):
        explainer.explain(pixels[:8, :8])


@pytest.mark.parametrize("task", ["votes", "counts", "counts-multinomial"])
def test_answers_to_any_tree_are_explained_in_the_unit_of_their_head(world, pixels, task) -> None:
    tree = read_tree(builtin_trees()[0])
    card = replace(open_explainer(world / "zoo").card, classes={task: dump_tree(tree)})
    explainer = Explainer((), card).with_random_weights(seed=1)
    found = explainer.explain(pixels)
    assert found.target in tree.columns[tree.slices[0]]
    shares = {column: explainer.explain_answer(pixels, column) for column in tree.columns[tree.slices[0]]}
    assert found.answer == pytest.approx(max(shares.values()), abs=1e-5)
    if task == "votes":
        assert found.unit == "fraction"
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    else:
        assert found.unit == "log odds"
        assert sum(1 / (1 + np.exp(-one)) for one in shares.values()) == pytest.approx(1, abs=1e-4)
        name = f"{tree.questions[0].name}_concentration"
        assert explainer.explain(pixels, name).unit == "log concentration"


def test_captum_is_imported_in_one_file_only() -> None:
    package = Path(convnet_galaxies.__file__).parent
    files = {
        path.name for path in package.rglob("*.py") if re.search(r"import captum|\"captum", path.read_text("utf-8"))
    }
    assert files == {"explain.py"}


def test_without_captum_the_message_names_the_extra(explainers, pixels, monkeypatch) -> None:
    def without(name: str, *arguments: object) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name="captum")

    monkeypatch.setattr(explain, "import_module", without)
    monkeypatch.setattr(explain, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="found no captum") as caught:
        explainers["votes"].explain(pixels)
    assert "convnet-galaxies[explain]" in caught.value.fix
    with pytest.raises(InputError, match="found no captum"):
        require_captum()
