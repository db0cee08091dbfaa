from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.settings import (
    AugmentSettings,
    NetSettings,
    Settings,
    SplitSettings,
    TrainSettings,
    identify_settings,
    load_settings,
    write_settings,
)

stages = st.integers(1, 4).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(1, 64), min_size=n, max_size=n).map(tuple) for _ in range(2)))
)
nets = st.builds(
    lambda sizes, patch, cells, field, dropout: NetSettings(
        widths=tuple(8 * width for width in sizes[0]),
        depths=sizes[1],
        patch_px=patch,
        input_px=patch * cells * 2 ** (len(sizes[0]) - 1),
        view_px=field,
        dropout=dropout,
    ),
    stages,
    st.integers(1, 5),
    st.integers(16, 40),
    st.none() | st.floats(1, 500),
    st.floats(0, 0.9),
)
trainings = st.builds(
    TrainSettings,
    epochs=st.integers(1, 500),
    learning_rate=st.floats(1e-6, 10),
    average=st.none() | st.floats(0.001, 0.999),
    precision=st.sampled_from(["auto", "bf16", "fp32"]),
)
all_settings = st.builds(
    Settings,
    seed=st.integers(0, 2**32 - 1),
    net=nets,
    augment=st.builds(AugmentSettings, rotate=st.booleans(), zoom=st.floats(1, 3), colour=st.floats(0, 1)),
    train=trainings,
    split=st.sampled_from([SplitSettings(), SplitSettings(train=1, validation=0, test=0)]),
)


@settings(deadline=None, max_examples=50)
@given(all_settings)
def test_settings_survive_their_own_text(wanted) -> None:
    text = write_settings(wanted)
    assert Settings.model_validate(tomllib.loads(text)) == wanted


def test_a_file_of_an_older_run_with_the_number_of_nodes_is_read(tmp_path: Path) -> None:
    wanted = Settings(train=TrainSettings(epochs=3))
    (tmp_path / "settings.toml").write_text(write_settings(wanted).replace("[train]", "[train]\nnodes = 1"))
    assert load_settings(tmp_path / "settings.toml") == wanted


def test_a_former_name_of_a_setting_is_read_from_files_and_changes_and_the_new_one_is_written(tmp_path: Path) -> None:
    wanted = Settings(net=NetSettings(view_px=48))
    former = write_settings(wanted).replace("view_px", "field_px")
    (tmp_path / "settings.toml").write_text(former)
    assert "field_px = 48" in former
    assert "field_px" not in write_settings(wanted)
    assert load_settings(tmp_path / "settings.toml", base=Settings(net=NetSettings(view_px=9))) == wanted
    assert load_settings(None, ["net.field_px=48"], Settings(net=NetSettings(view_px=9))) == wanted
    assert load_settings(None, ["net.field_px=none"], wanted).net.view_px is None
    assert NetSettings.model_validate({"field_px": 48.0}) == wanted.net
    (tmp_path / "both.toml").write_text("[net]\nfield_px = 48\nview_px = 40\n")
    with pytest.raises(InputError, match="field_px: there is no such setting"):
        load_settings(tmp_path / "both.toml")


def test_settings_are_identified_as_before_a_setting_was_renamed() -> None:
    wanted = Settings(net=NetSettings(view_px=48))
    before = write_settings(wanted).replace("view_px", "field_px")
    for later in ("graded_repeats = 1", 'head = "trained"', 'normalise = "fixed"', "surveys = 0.0"):
        assert f"{later}\n" in before
        before = before.replace(f"{later}\n", "")
    assert identify_settings(wanted) == before
    repeated = wanted.model_copy(update={"train": TrainSettings(graded_repeats=3, head="ridge")})
    assert "graded_repeats = 3" in identify_settings(repeated)
    assert 'head = "ridge"' in identify_settings(repeated)


def test_what_a_run_wrote_is_read_back_over_any_defaults(tmp_path: Path) -> None:
    wanted = Settings(train=TrainSettings(average=None), net=NetSettings(view_px=None))
    (tmp_path / "settings.toml").write_text(write_settings(wanted))
    base = Settings(train=TrainSettings(average=0.5), net=NetSettings(view_px=33.0))
    assert load_settings(tmp_path / "settings.toml", base=base) == wanted


def test_changes_stand_over_the_file_and_the_file_over_the_base(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("seed = 5\n[train]\nepochs = 7\nbatch = 9\n")
    base = Settings(seed=1, train=TrainSettings(epochs=2, batch=3, types=4))
    found = load_settings(tmp_path / "s.toml", ["train.batch=11", "net.backbone=resnet18"], base)
    assert (found.seed, found.train.epochs, found.train.batch, found.train.types) == (5, 7, 11, 4)
    assert found.net.backbone == "resnet18"
    assert found.net.widths == base.net.widths


@pytest.mark.parametrize("word", ["none", "None", '"none"', " none "])
def test_none_switches_off(word) -> None:
    assert load_settings(None, [f"train.average={word}"]).train.average is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("net.colour=3", r"settings: net\.colour: there is no such setting"),
        ("nets.widths=[3]", r"settings: nets: there is no such setting"),
        ("train.epochs=0", r"train\.epochs: found 0, input should be greater than 0"),
        ("train.epochs=many", r"train\.epochs: found 'many', input should be a valid integer"),
        ("train.epochs=none", r"train\.epochs: found None, input should be a valid integer"),
        ("train.epochs=", r"train\.epochs: found ''"),
        ("train.learning_rate=inf", "input should be a finite number"),
        ("train.learning_rate=nan", r"train\.learning_rate: found nan"),
        ("train=5", "train: found 5"),
        ("seed=-1", "seed: found -1, input should be greater than or equal to 0"),
        ("net.backbone=vgg", r"net\.backbone: found 'vgg', input should be 'symmetric', 'plain', 'resnet18'"),
        ("net.widths=[8]", "net: widths has 1 stages and depths"),
        ("net.widths=[8", r"net\.widths: found '\[8'"),
        ("net.input_px=40", "net: input_px is 40, expected a multiple of 16 px for these patches and stages"),
        ("net.widths=[8,16,20]", r"net: widths are \(8, 16, 20\), expected multiples of 8"),
        (
            "net.encoder_weights=zoobot.ckpt",
            "net: encoder_weights needs a resnet or convnext, found the backbone symmetric",
        ),
        ("split.test=0.5", r"split: train \+ validation \+ test is .*it must be 1"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_found(change, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_settings(None, [change])
    assert "\n" not in caught.value.message


def test_a_convnext_needs_room_for_its_five_halvings() -> None:
    with pytest.raises(InputError, match="input_px is 24, expected at least 32 for convnext_nano"):
        load_settings(None, ["net.backbone=convnext_nano", "net.input_px=24"])


@pytest.mark.parametrize("change", ["train.epochs", "=3", ""])
def test_a_change_without_name_or_value_is_wrong_usage(change) -> None:
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        load_settings(None, [change])


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.toml: cannot be read \(No such file"):
        load_settings(tmp_path / "nothing.toml")
    (tmp_path / "s.toml").write_text("seed = = 5")
    with pytest.raises(InputError, match=r"s\.toml: found no valid TOML"):
        load_settings(tmp_path / "s.toml")
    (tmp_path / "s.toml").write_text("[train]\nepoch = 5")
    with pytest.raises(InputError, match=r"s\.toml: train\.epoch: there is no such setting"):
        load_settings(tmp_path / "s.toml")


FILES = Path(__file__).parents[1] / "settings"


def test_settings_of_galaxy_zoo_are_the_defaults_written_out() -> None:
    assert load_settings(FILES / "galaxy_zoo.toml") == load_settings(None)


def test_settings_of_space_warps_show_the_net_the_whole_stamp() -> None:
    net = load_settings(FILES / "space_warps.toml").net
    assert net.view_px == net.input_px == 96  # of stamps of 96 px, rim and all: no zoom in, so that arcs stay in view
