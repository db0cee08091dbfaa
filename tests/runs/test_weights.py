from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.galaxy_net import GalaxyNet, to_channels_last
from convnet_galaxies.runs.card import LensCalibration, ModelCard
from convnet_galaxies.runs.folder import run_path
from convnet_galaxies.runs.weights import (
    fingerprint_file,
    halve,
    join_members,
    load_net,
    load_nets,
    save_weights,
    split_members,
)
from convnet_galaxies.settings import NetSettings

CARD = ModelCard(
    NetSettings(widths=(8, 16), depths=(1, 1), patch_px=2, input_px=32),
    Preprocess(crop_px=30, size_px=32, pixel_scale_arcsec=0.186),
    {"votes": (), "flavor": ("dud", "arc")},
    1,
    {"lens": LensCalibration(0.8, -1.5, 400, 40, 300, 0.01)},
    ({"run": "zoo", "tasks": ["votes"], "weights_sha256": "ab"},),
    [[0.5, 0.25]],
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = to_channels_last(GalaxyNet(CARD.net, bands=3, classes=CARD.classes))
    save_weights(net.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "model.json").write_text(CARD.dumps())
    return tmp_path


def test_card_survives_its_own_text() -> None:
    assert ModelCard.loads(CARD.dumps(), "card") == CARD


def test_weights_survive_the_round_trip_and_leave_no_other_file(run: Path) -> None:
    torch.manual_seed(0)
    expected = GalaxyNet(CARD.net, bands=3, classes=CARD.classes).state_dict()
    net, card = load_net(run)
    assert card == CARD
    assert not net.training
    assert all(torch.equal(tensor, expected[name]) for name, tensor in net.state_dict().items())
    assert sorted(path.name for path in run.iterdir()) == ["model.json", "weights.safetensors"]


def test_loading_draws_no_random_numbers_unless_it_is_to_and_gives_the_same_net(run: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    plain, _ = load_net(run)
    assert torch.equal(torch.get_rng_state(), before)
    drawn, _ = load_net(run, draw=True)
    assert not torch.equal(torch.get_rng_state(), before)
    image = torch.rand(2, 3, 32, 32)
    for task, answer in plain(image).items():
        assert torch.equal(answer, drawn(image)[task])


def test_equal_weights_are_equal_bytes(run: Path, tmp_path: Path) -> None:
    net, _ = load_net(run)
    save_weights(net.state_dict(), tmp_path / "again.safetensors")
    assert fingerprint_file(tmp_path / "again.safetensors") == fingerprint_file(run / "weights.safetensors")


@pytest.mark.parametrize("keep", [0, 7, 200, -50])
def test_damaged_weights_are_refused(run: Path, keep) -> None:
    path = run / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"weights\.safetensors: cannot be read"):
        load_net(run)


def test_weights_of_another_net_are_refused(run: Path) -> None:
    other = GalaxyNet(CARD.net.model_copy(update={"widths": (16, 16)}), bands=3, classes=CARD.classes)
    save_weights(other.state_dict(), run / "weights.safetensors")
    with pytest.raises(InputError, match=r"weights\.safetensors: does not fit the net"):
        load_net(run)


def test_missing_weights_are_refused(run: Path) -> None:
    (run / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors: cannot be read"):
        load_net(run)


def _without(key: str) -> str:
    tree = json.loads(CARD.dumps())
    del tree[key]
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(json.loads(CARD.dumps()) | {"format": 99}), "found an unknown format, expected 1"),
        ("[]", "is no model card"),
        ("{", "is no model card"),
        (_without("format"), "is no model card"),
        (_without("preprocess"), "is no model card"),
        (CARD.dumps().replace('"symmetric"', '"unheard_of"'), "is no model card"),
    ],
)
def test_a_card_of_a_wrong_format_is_one_line_of_error(run: Path, text, message) -> None:
    (run / "model.json").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_net(run)
    assert "model.json" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_card_that_is_no_text_is_refused(run: Path) -> None:
    (run / "model.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"model\.json: cannot be read"):
        load_net(run)


def test_what_is_no_run_is_refused_with_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder, expected a finished run"):
        run_path(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"found no model.json in it"):
        run_path(tmp_path)
    with pytest.raises(InputError, match=r"builtin:nothing: no such built-in weights; there are: "):
        run_path("builtin:nothing")


def make_states(count: int) -> list[dict[str, torch.Tensor]]:
    states = []
    for seed in range(count):
        torch.manual_seed(seed)
        states.append(GalaxyNet(CARD.net, bands=3, classes=CARD.classes).state_dict())
    return states


def test_a_card_written_before_there_were_ensembles_is_read(run: Path) -> None:
    tree = json.loads(CARD.dumps())
    del tree["members"], tree["calibration"], tree["views"]
    (run / "model.json").write_text(json.dumps(tree | {"temperature": {}}))
    assert load_net(run)[1] == replace(CARD, calibration={})


def test_members_keep_their_order_and_their_weights_also_beyond_ten(tmp_path: Path) -> None:
    states = make_states(12)
    save_weights(join_members(states), tmp_path / "weights.safetensors")
    (tmp_path / "model.json").write_text(replace(CARD, members=12).dumps())
    nets, _ = load_nets(tmp_path)
    for net, state in zip(nets, states, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert load_net(tmp_path)[0].state_dict().keys() == states[0].keys()


@pytest.mark.parametrize("views", [0, 3, "8", 8.0, True])
def test_numbers_of_views_that_there_are_not_are_refused(run: Path, views) -> None:
    tree = json.loads((run / "model.json").read_text()) | {"views": views}
    (run / "model.json").write_text(json.dumps(tree))
    with pytest.raises(InputError, match=r"views is .*, expected one of 1, 8, 16"):
        load_net(run)


@pytest.mark.parametrize(("found", "members"), [(1, 2), (2, 3), (3, 2)])
def test_weights_of_another_number_of_members_are_refused(run: Path, found, members) -> None:
    save_weights(join_members(make_states(found)), run / "weights.safetensors")
    (run / "model.json").write_text(replace(CARD, members=members).dumps())
    with pytest.raises(InputError, match=f"expected those of {members} members"):
        load_net(run)


def test_a_member_that_does_not_fit_is_named(run: Path) -> None:
    first, second = make_states(2)
    del second["heads.votes.linear.bias"]
    save_weights(join_members([first, second]), run / "weights.safetensors")
    (run / "model.json").write_text(replace(CARD, members=2).dumps())
    with pytest.raises(InputError, match=r"member 1: does not fit the network \(Missing key"):
        load_net(run)


@pytest.mark.parametrize(("backbone", "kernel"), [("symmetric", "base"), ("plain", "weight")])
def test_half_the_bytes_keep_three_digits_and_the_statistics_of_norms(run: Path, backbone, kernel) -> None:
    card = replace(CARD, net=CARD.net.model_copy(update={"backbone": backbone}))
    (run / "model.json").write_text(card.dumps())
    torch.manual_seed(0)
    state = GalaxyNet(card.net, bands=3, classes=card.classes).state_dict()
    state["backbone.stem.2.running_var"] *= 1e6  # beyond float16
    stored = halve(state)
    assert stored["backbone.stem.2.running_var"].dtype == torch.float32
    if backbone == "plain":
        assert stored["backbone.stem.2.num_batches_tracked"].dtype == torch.int64
    assert stored[f"backbone.stem.1.{kernel}"].dtype == torch.float16
    save_weights(stored, run / "weights.safetensors")
    for name, tensor in load_net(run)[0].state_dict().items():
        assert tensor.dtype == state[name].dtype
        torch.testing.assert_close(tensor, state[name], rtol=1e-3, atol=1e-7)


def test_members_of_one_keep_plain_names() -> None:
    (state,) = make_states(1)
    assert join_members([state]).keys() == state.keys()
    assert split_members(state, 1, "weights") == [state]


def test_calibration_is_a_line_in_the_log_odds_and_keeps_the_order() -> None:
    probability = np.array([0.001, 0.2, 0.5, 0.9])
    one = LensCalibration(0.5, -2.0, 100, 10, 90, 0.1)
    np.testing.assert_allclose(one.apply(probability), expit(0.5 * logit(probability) - 2))
    assert np.isfinite(logit(one.apply(np.array([0.0, 1.0])))).all()
