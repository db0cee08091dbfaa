from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from small_sets import make_lens_set, make_vote_set, tiny, without_pixels

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.card import ModelCard, read_card
from convnet_galaxies.runs.ensemble import join_runs, unite_splits
from convnet_galaxies.runs.image_keys import hash_key
from convnet_galaxies.runs.split import read_split, was_trained_on
from convnet_galaxies.runs.weights import load_net, load_nets
from convnet_galaxies.training.fit import fit


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the runs ``a``, ``b`` of one kind and other splits; those of other kinds are named after them."""
    folder = tmp_path_factory.mktemp("runs")
    lenses = make_lens_set()
    for name, changes in {
        "a": ["seed=0"],
        "b": ["seed=1"],
        "wide": ["net.widths=[8,24]"],
        "small": ["net.input_px=24"],
        "own": ["net.normalise=own"],
    }.items():
        fit(lenses, tiny("train.epochs=1", *changes), folder / name, tasks=("lens",))
    fit(make_vote_set(), tiny("train.epochs=1"), folder / "votes", tasks=("votes",))
    return folder


def test_members_are_the_runs_and_the_split_holds_out_what_none_was_trained_on(runs, tmp_path) -> None:
    summary = join_runs([runs / "a", runs / "b"], tmp_path / "two")
    assert (summary.members, read_card(tmp_path / "two").members) == (2, 2)
    for net, name in zip(load_nets(tmp_path / "two")[0], "ab", strict=True):
        expected = load_net(runs / name)[0].state_dict()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in net.state_dict().items())
    images = make_lens_set()
    trained = {name: was_trained_on(images, read_split(runs / name / "split.parquet")) for name in "ab"}
    united = read_split(tmp_path / "two" / "split.parquet")
    assert len(united) == len(images)
    either = was_trained_on(images, united)
    assert (either == (trained["a"] | trained["b"])).all()
    assert (trained["a"] != trained["b"]).any()
    assert [one["run"] for one in read_card(tmp_path / "two").ancestry] == [str(runs / "a"), str(runs / "b")]


def test_the_strictest_use_of_an_image_counts() -> None:
    def split(part: str, used: bool) -> pd.DataFrame:
        return pd.DataFrame({"id": ["x"], "part": [part], "used": [used], "keys": [["k=1"]], "origin": ["this run"]})

    for parts, expected in (
        ([("test", True), ("train", True)], ("train", True)),
        ([("validation", True), ("test", True)], ("validation", True)),
        ([("train", False), ("test", True)], ("test", True)),
        ([("test", False), ("validation", False)], ("validation", False)),
    ):
        united = unite_splits([(str(k), split(*one)) for k, one in enumerate(parts)])
        assert united[["part", "used"]].to_numpy().tolist() == [list(expected)]
    assert len(unite_splits([("builtin:lens", None)])) == 0


def test_half_weights_take_half_the_bytes_and_an_ensemble_of_ensembles_has_all_members(runs, tmp_path) -> None:
    join_runs([runs / "a", runs / "b"], tmp_path / "two")
    whole, half = (
        join_runs([tmp_path / "two", runs / "a"], tmp_path / name, half=name == "three") for name in ("whole", "three")
    )
    assert whole.members == half.members == 3
    tensors = load_file(tmp_path / "whole" / "weights.safetensors")
    weights = [tensor.numel() for name, tensor in tensors.items() if "running" not in name and tensor.numel() > 1]
    assert whole.size_bytes - half.size_bytes == pytest.approx(2 * sum(weights), rel=0.02)
    assert load_file(tmp_path / "three" / "weights.safetensors")["2.heads.lens.linear.weight"].dtype == torch.float16


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("small", r"small: found net\.input_px 24, expected 32 as in .*/a"),
        ("own", r"own: found net\.normalise own, expected fixed as in .*/a"),
        ("votes", r"votes: found classes \{'votes': \(\)\}, expected \{'lens': \(\)\}"),
    ],
)
def test_runs_of_another_kind_are_refused_and_nothing_is_written(runs, tmp_path, other, message) -> None:
    with pytest.raises(InputError, match=message):
        join_runs([runs / "a", runs / other], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("views", [1, 8])
def test_members_may_be_different_nets(runs, tmp_path, views) -> None:
    images = make_lens_set()
    fit(images, tiny("net.backbone=plain", "train.epochs=1"), tmp_path / "plain", tasks=("lens",))
    join_runs([runs / "a", runs / "wide", tmp_path / "plain"], tmp_path / "three")
    card = read_card(tmp_path / "three")
    assert [(net.backbone, net.widths) for net in card.nets] == [
        ("symmetric", (16, 32)),
        ("symmetric", (8, 24)),
        ("plain", (16, 32)),
    ]
    assert card == ModelCard.loads(card.dumps(), "card")
    ask = {"device": "cpu", "precision": "fp32", "views": views}
    members = [runs / "a", runs / "wide", tmp_path / "plain"]
    alone = [Predictor(member, **ask).predict_all(images.images[:20]) for member in members]
    join_runs([tmp_path / "three"], tmp_path / "again")
    for run in ("three", "again"):
        found = Predictor(tmp_path / run, **ask).predict_all(images.images[:20])
        np.testing.assert_allclose(
            found.tasks["lens"], np.mean([one.tasks["lens"] for one in alone], axis=0), atol=1e-6
        )
        np.testing.assert_allclose(found.features, np.concatenate([one.features for one in alone], axis=1), atol=1e-5)


@pytest.mark.parametrize("nets", [1, 3])
def test_a_card_with_another_number_of_nets_than_members_is_refused(runs, tmp_path, nets) -> None:
    join_runs([runs / "a", runs / "wide"], tmp_path / "two")
    tree = json.loads((tmp_path / "two" / "model.json").read_text())
    (tmp_path / "two" / "model.json").write_text(json.dumps(tree | {"member_nets": tree["member_nets"][:1] * nets}))
    with pytest.raises(InputError, match=f"member_nets has {nets} nets, expected one for each of 2 members"):
        read_card(tmp_path / "two")


def test_runs_of_other_pixels_are_refused(runs, tmp_path) -> None:
    images = replace(make_lens_set(), preprocess=Preprocess(size_px=32, crop_px=40))
    fit(images, tiny("train.epochs=1"), tmp_path / "cropped", tasks=("lens",))
    with pytest.raises(InputError, match=r"cropped: found preprocess\.crop_px 40, expected None"):
        join_runs([runs / "a", tmp_path / "cropped"], tmp_path / "out")


def drop_hash(run: Path) -> None:
    """Make the card one of before, which lacks the hash of its weights."""
    tree = json.loads((run / "model.json").read_text())
    assert tree.pop("weights_sha256")
    (run / "model.json").write_text(json.dumps(tree))


def test_a_member_whose_weights_are_of_another_run_is_an_error(runs, tmp_path) -> None:
    join_runs([runs / "a"], tmp_path / "one")
    weights = (runs / "wide" / "weights.safetensors").read_bytes()
    (tmp_path / "one" / "weights.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match=r"one/weights\.safetensors: found the SHA-256 \w{16}, expected \w{16}"):
        join_runs([runs / "a", tmp_path / "one"], tmp_path / "out")
    drop_hash(tmp_path / "one")
    with pytest.raises(InputError, match=r"one/weights\.safetensors: does not fit the net"):
        join_runs([runs / "a", tmp_path / "one"], tmp_path / "out")


def test_weights_too_large_for_half_are_refused(runs, tmp_path) -> None:
    from safetensors.torch import save_file

    join_runs([runs / "a"], tmp_path / "one")
    state = load_file(tmp_path / "one" / "weights.safetensors")
    state["heads.lens.linear.bias"] += 1e6
    save_file(state, tmp_path / "one" / "weights.safetensors")
    drop_hash(tmp_path / "one")
    with pytest.raises(InputError, match=r"found the weight 1e\+06, which float16 cannot hold"):
        join_runs([tmp_path / "one"], tmp_path / "out", half=True)


def test_an_existing_run_is_replaced_only_under_force_and_only_when_it_is_a_run(runs, tmp_path) -> None:
    out = tmp_path / "out"
    join_runs([runs / "a"], out)
    with pytest.raises(OutputExistsError):
        join_runs([runs / "b"], out)
    join_runs([runs / "b"], out, force=True)
    (out / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not removed even with --force"):
        join_runs([runs / "a"], out, force=True)
    assert (out / "thesis.tex").is_file()


def test_published_weights_name_no_image_and_no_folder_but_know_what_they_were_trained_on(runs, tmp_path) -> None:
    join_runs([runs / "a", runs / "b"], tmp_path / "two")
    child = fit(make_lens_set(), tiny("train.epochs=1"), tmp_path / "child", tasks=("lens",), parent=tmp_path / "two")
    join_runs([child.path], tmp_path / "given", publish=True)
    assert sorted(path.name for path in (tmp_path / "given").iterdir()) == [
        "model.json",
        "split.parquet",
        "weights.safetensors",
    ]
    images = make_lens_set()
    split = read_split(tmp_path / "given" / "split.parquet")
    text = (tmp_path / "given" / "model.json").read_text() + split.to_csv()
    assert str(tmp_path) not in text
    assert str(runs) not in text
    assert "ASW" not in text
    assert "cutout" not in text
    assert [one["run"] for one in json.loads((tmp_path / "given" / "model.json").read_text())["ancestry"]] == [
        "a",
        "b",
        "two",
    ]
    expected = was_trained_on(images, read_split(child.split))
    assert (was_trained_on(images, split) == expected).all()
    assert not expected.all()
    renamed = images.table.assign(ZooID=images.table["ZooID"] + "x", id=[f"other{row}" for row in range(len(images))])
    assert (was_trained_on(replace(images, table=renamed), split) == expected).all()  # by their pixels
    assert not was_trained_on(without_pixels(renamed, images.link_columns), split).any()
    assert hash_key(hash_key("ZooID=ASW1")) == hash_key("ZooID=ASW1") != hash_key("ZooID=ASW2")


def test_training_from_published_weights_never_holds_out_what_they_were_trained_on(runs, tmp_path) -> None:
    join_runs([runs / "a", runs / "b"], tmp_path / "given", publish=True)
    images = make_lens_set()
    seen = was_trained_on(images, read_split(tmp_path / "given" / "split.parquet"))
    child = fit(
        images, tiny("train.epochs=1", "seed=5"), tmp_path / "child", tasks=("lens",), parent=tmp_path / "given"
    )
    own = read_split(child.split).iloc[: len(images)]
    assert (own["part"].to_numpy()[seen] == "train").all()
    assert (own["part"].to_numpy()[~seen] != "train").any()
    first = load_net(runs / "a")[0].state_dict()
    assert all(torch.equal(tensor, first[key]) for key, tensor in load_net(tmp_path / "given")[0].state_dict().items())
