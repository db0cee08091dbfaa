"""Fine-tuning and transfer: what is copied, what stands still, and what is never held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from small_sets import make_vote_set, tiny

from convnet_galaxies.errors import InputError
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.runs.split import read_split
from convnet_galaxies.runs.weights import fingerprint_file, load_net
from convnet_galaxies.settings import NetSettings, Settings
from convnet_galaxies.training import fit as fit_module
from convnet_galaxies.training.fit import fit
from convnet_galaxies.training.setup import set_up_training, take_shape


@pytest.fixture(scope="module")
def zoo(vote_set, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on votes and types."""
    path = tmp_path_factory.mktemp("transfer") / "zoo"
    return fit(vote_set, tiny("train.epochs=1", "train.types=5"), path, tasks=("votes", "types"))


def set_up(images, parent: RunFolder, *changes: str, **options):
    return set_up_training(images, tiny(*changes), **{"parent": parent.path, "stage": None, **options})


def backbone_of(net: GalaxyNet) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.backbone.state_dict().items()}


def test_backbone_is_copied_and_only_heads_of_the_same_task_are_kept(zoo, vote_set, lens_set) -> None:
    old, _ = load_net(zoo.path)
    transfer = set_up(lens_set, zoo, tasks=("lens",)).net
    assert all(torch.equal(tensor, old.backbone.state_dict()[name]) for name, tensor in backbone_of(transfer).items())
    assert set(transfer.heads) == {"lens"}
    tuned = set_up(vote_set, zoo, tasks=("votes", "types")).net
    for name, tensor in tuned.heads.state_dict().items():
        assert torch.equal(tensor, old.heads.state_dict()[name]), name


def test_types_of_the_parent_are_kept_and_not_found_anew(zoo) -> None:
    other = make_vote_set(60, seed=9)
    made = set_up(other, zoo, "train.types=3", tasks=("types",))
    np.testing.assert_array_equal(made.type_centres, np.array(read_card(zoo.path).type_centres))
    assert len(made.net.classes["types"]) == 5


def test_shape_of_the_backbone_is_the_parents_whatever_the_settings_say(zoo, lens_set) -> None:
    made = set_up(lens_set, zoo, "net.widths=[8, 8, 8]", "net.depths=[1, 1, 1]", tasks=("lens",))
    assert made.net.settings.widths == (16, 32)


def test_an_input_that_the_parents_patches_do_not_divide_moves_to_the_nearest_size(zoo, lens_set) -> None:
    for asked, (input_px, view_px) in {
        ("net.patch_px=3", "net.input_px=30"): (32, None),
        ("net.patch_px=3", "net.input_px=18", "net.view_px=18"): (16, None),
        ("net.patch_px=3", "net.input_px=18", "net.view_px=15"): (16, 15.0),
        ("net.input_px=24", "net.view_px=20"): (24, 20.0),
    }.items():
        made = set_up(lens_set, zoo, *asked, tasks=("lens",)).net.settings
        assert (made.input_px, made.view_px, made.patch_px) == (input_px, view_px, 2)
    convnext = replace(read_card(zoo.path), net=NetSettings(backbone="convnext_atto", input_px=64))
    small = Settings(net=NetSettings(patch_px=4, input_px=16))
    with pytest.raises(InputError, match=r"net\.input_px is 16, which does not fit the network of the parent run"):
        take_shape(small, convnext, lens_set)


def test_another_number_of_bands_than_the_parents_is_refused(zoo, lens_set) -> None:
    grey = replace(lens_set, preprocess=lens_set.preprocess.model_copy(update={"bands": 1}))
    with pytest.raises(InputError, match="found 1 bands, expected 3 as in the parent run"):
        set_up(grey, zoo, tasks=("lens",))


def test_ancestry_is_recorded_over_two_generations(zoo, lens_set, tmp_path) -> None:
    stage1 = fit(lens_set, tiny("train.epochs=1"), tmp_path / "s1", tasks=("lens",), parent=zoo.path, stage=1)
    stage2 = fit(lens_set, tiny("train.epochs=1"), tmp_path / "s2", tasks=("lens",), parent=stage1.path, stage=2)
    first, second = read_card(stage2.path).ancestry
    assert first == {"run": str(zoo.path), "tasks": ["votes", "types"], "weights_sha256": fingerprint_file(zoo.weights)}
    assert second == {"run": str(stage1.path), "tasks": ["lens"], "weights_sha256": fingerprint_file(stage1.weights)}
    split = read_split(stage2.split)
    own, parents = (split[split["origin"] == origin] for origin in ("this run", str(stage1.path)))
    grandparents = split[split["origin"] == str(zoo.path)]
    assert len(own) == len(lens_set)
    assert parents["used"].all()
    assert len(grandparents) == read_split(zoo.split)["used"].sum()
    # Both stages are of one pack: an image keeps its part.
    merged = own.merge(parents, on="id")
    assert len(merged) == len(parents)
    assert (merged["part_x"] == merged["part_y"]).all()


def test_what_the_parent_trained_on_stays_in_training_under_another_seed(zoo, vote_set) -> None:
    before = read_split(zoo.split)
    after = set_up(vote_set, zoo, "seed=77", tasks=("votes",)).split
    after = after[after["origin"] == "this run"]
    assert after["part"].tolist() == before["part"].tolist()
    free = set_up_training(vote_set, tiny("seed=77"), tasks=("votes",), parent=None, stage=None).split
    assert free["part"].tolist() != before["part"].tolist()


def test_parts_given_from_outside_are_refused_when_the_parent_trained_on_what_they_hold_out(zoo, vote_set) -> None:
    parts = read_split(zoo.split)["part"].to_numpy(dtype=object)
    assert (set_up(vote_set, zoo, tasks=("votes",), parts=parts).split["part"][:96] == parts).all()
    swapped = np.where(parts == "train", "test", "train").astype(object)
    with pytest.raises(InputError, match=r"the parent run was trained on \d+ of the images that are to be held out"):
        set_up(vote_set, zoo, tasks=("votes",), parts=swapped)


def watch_epochs(monkeypatch) -> list[dict[str, torch.Tensor]]:
    """The state of the whole net at each validation, that is after each epoch."""
    states: list[dict[str, torch.Tensor]] = []

    def record(fabric, net, setup):
        states.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
        return {"validation_loss": 1 / len(states)}

    monkeypatch.setattr(fit_module, "validate", record)
    return states


def moved(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], prefix: str) -> list[str]:
    return [name for name in one if name.startswith(prefix) and not torch.equal(one[name], other[name])]


def test_a_frozen_backbone_and_its_statistics_stand_still_as_long_as_they_shall(
    zoo, lens_set, tmp_path, monkeypatch
) -> None:
    start = {f"backbone.{name}": tensor for name, tensor in backbone_of(load_net(zoo.path)[0]).items()}
    states = watch_epochs(monkeypatch)
    settings = tiny("train.epochs=3", "train.frozen_epochs=2", "train.average=none")
    fit(lens_set, settings, tmp_path / "run", tasks=("lens",), parent=zoo.path)
    assert moved(start, states[0], "backbone") == moved(start, states[1], "backbone") == []
    assert moved(states[0], states[1], "heads.lens") == ["heads.lens.linear.weight", "heads.lens.linear.bias"]
    assert set(moved(start, states[2], "backbone")) == set(start), "weights and statistics move once they are free"


def test_frozen_stages_never_move_and_the_others_do(zoo, lens_set, tmp_path, monkeypatch) -> None:
    start = {f"backbone.{name}": tensor for name, tensor in backbone_of(load_net(zoo.path)[0]).items()}
    states = watch_epochs(monkeypatch)
    settings = tiny("train.frozen_stages=2", "train.average=none")
    fit(lens_set, settings, tmp_path / "run", tasks=("lens",), parent=zoo.path)
    still = [name for name in start if name.startswith(("backbone.stem", "backbone.blocks.0"))]
    assert moved(start, states[-1], "backbone") == [name for name in start if name not in still]


def test_a_backbone_may_be_frozen_whole(zoo, lens_set, tmp_path) -> None:
    settings = tiny("train.epochs=1", "train.frozen_stages=99")
    run = fit(lens_set, settings, tmp_path / "run", tasks=("lens",), parent=zoo.path)
    before, after = load_file(zoo.weights), load_file(run.weights)
    assert moved({k: v for k, v in before.items() if k.startswith("backbone")}, after, "backbone") == []


def test_without_a_parent_nothing_is_frozen(lens_set, tmp_path, monkeypatch) -> None:
    states = watch_epochs(monkeypatch)
    settings = tiny("train.frozen_epochs=2", "train.frozen_stages=2", "train.average=none")
    fit(lens_set, settings, tmp_path / "run", tasks=("lens",))
    assert set(moved(states[0], states[1], "backbone")) == {n for n in states[0] if n.startswith("backbone")}


def test_resuming_a_fine_tuning_continues_it(zoo, lens_set, tmp_path, monkeypatch) -> None:
    settings = tiny("train.epochs=2", "train.frozen_epochs=1", "train.batch=40")
    whole = fit(lens_set, settings, tmp_path / "whole", tasks=("lens",), parent=zoo.path)
    validate = fit_module.validate

    def interrupt(fabric, net, setup):
        import signal

        signal.raise_signal(signal.SIGINT)
        return validate(fabric, net, setup)

    monkeypatch.setattr(fit_module, "validate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(lens_set, settings, tmp_path / "cut", tasks=("lens",), parent=zoo.path)
    monkeypatch.undo()
    cut = fit(lens_set, settings, tmp_path / "cut", tasks=("lens",), parent=zoo.path, resume=True)
    assert fingerprint_file(cut.weights) == fingerprint_file(whole.weights)
    columns = ["epoch", "train_loss", "validation_loss"]
    pd.testing.assert_frame_equal(pd.read_csv(cut.metrics)[columns], pd.read_csv(whole.metrics)[columns])


def test_settings_of_the_run_tell_the_net_that_was_trained(zoo, lens_set, tmp_path) -> None:
    settings = tiny("train.epochs=1", "net.widths=[8]", "net.depths=[1]")
    run = fit(lens_set, settings, tmp_path / "run", tasks=("lens",), parent=zoo.path)
    assert "16,\n    32," in run.settings.read_text()


def test_weights_that_ship_with_the_package_carry_no_split_and_may_be_a_parent(
    zoo, lens_set, tmp_path, monkeypatch
) -> None:
    (tmp_path / "model" / "builtin").mkdir(parents=True)
    folder = tmp_path / "model" / "builtin" / "zoo"
    folder.mkdir()
    for path in (zoo.weights, zoo.card):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("convnet_galaxies.runs.folder.resources.files", lambda name: tmp_path)
    made = set_up_training(lens_set, tiny(), tasks=("lens",), parent="builtin:zoo", stage=None)
    assert made.has_parent
    assert made.ancestry[0]["run"] == "builtin:zoo"
    assert (made.split["origin"] == "this run").all()
