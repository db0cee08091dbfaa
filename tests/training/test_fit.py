from __future__ import annotations

import json
import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from small_sets import tiny

from convnet_galaxies.data.locks import hold
from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.errors import InputError, OutputExistsError, UsageError
from convnet_galaxies.model import device
from convnet_galaxies.model.tasks import TASKS
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.runs.split import read_split
from convnet_galaxies.runs.weights import fingerprint_file, load_net
from convnet_galaxies.settings import load_settings
from convnet_galaxies.training import fit as fit_module
from convnet_galaxies.training.fit import TrainingProgress, fit, make_fabric

EPOCHS = 3
CHANGES = (f"train.epochs={EPOCHS}", "train.batch=8", "net.dropout=0.2")
"""Of the 96 galaxies 77 are trained on: 10 steps an epoch, so that the progress callback comes at each epoch's end."""


def metrics_of(run: RunFolder) -> pd.DataFrame:
    return pd.read_csv(run.metrics)


@pytest.fixture(scope="module")
def finished(vote_set, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """An uninterrupted run."""
    return fit(vote_set, tiny(*CHANGES), tmp_path_factory.mktemp("fit") / "run", tasks=("votes",))


def test_a_finished_run_holds_exactly_its_files(finished: RunFolder) -> None:
    names = ["environment.json", "metrics.csv", "model.json", "settings.toml", "split.parquet", "weights.safetensors"]
    assert sorted(path.name for path in finished.path.iterdir()) == names
    assert load_settings(finished.settings) == tiny(*CHANGES)
    assert json.loads(finished.environment.read_text())["precision"] == "32-true"
    assert read_card(finished.path).ancestry == ()


def test_metrics_have_a_line_for_each_epoch_and_the_rmse_is_the_root_of_the_loss(finished: RunFolder) -> None:
    table = metrics_of(finished)
    assert list(table) == ["epoch", "train_seconds", "train_loss", "validation_loss", "validation_rmse"]
    assert table["epoch"].tolist() == list(range(1, EPOCHS + 1))
    assert table["train_seconds"].is_monotonic_increasing
    np.testing.assert_allclose(table["validation_rmse"] ** 2, table["validation_loss"], rtol=1e-4)


def test_a_net_learns_by_heart_what_all_galaxies_have_in_common(vote_set, tmp_path) -> None:
    columns = list(VOTE_COLUMNS)
    first = vote_set.table[columns].iloc[[0] * len(vote_set)].to_numpy()
    alike = replace(vote_set, table=vote_set.table.assign(**dict(zip(columns, first.T, strict=True))))
    loss = metrics_of(fit(alike, tiny("train.epochs=6", "train.batch=8"), tmp_path / "run", tasks=("votes",)))
    assert loss["validation_loss"].iloc[-1] < 0.5 * loss["validation_loss"].iloc[0]


@pytest.mark.parametrize("threads", [2, 3])
def test_same_seed_gives_the_same_weights_on_several_threads(vote_set, tmp_path, threads) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        runs = [
            fit(vote_set, tiny("train.epochs=1", "train.batch=39"), tmp_path / name, tasks=("votes",)) for name in "ab"
        ]
    finally:
        torch.set_num_threads(before)
    assert fingerprint_file(runs[0].weights) == fingerprint_file(runs[1].weights)


def test_same_seed_gives_the_same_weights_and_another_seed_others(finished: RunFolder, vote_set, tmp_path) -> None:
    again = fit(vote_set, tiny(*CHANGES), tmp_path / "again", tasks=("votes",))
    assert fingerprint_file(again.weights) == fingerprint_file(finished.weights)
    other = fit(vote_set, tiny("train.epochs=1", "seed=1"), tmp_path / "other", tasks=("votes",))
    assert not torch.equal(*(load_file(run.weights)["heads.votes.linear.bias"] for run in (again, other)))


@pytest.mark.parametrize("step", [10, 16], ids=["at an epoch's end", "in mid-epoch"])
def test_resumed_run_equals_uninterrupted_run(finished: RunFolder, vote_set, tmp_path, monkeypatch, step) -> None:
    # The callback comes every ten steps; a signal handler set off by an earlier validation would not do, so the
    # interrupt is raised from the loss of the wanted step instead, as Ctrl-C may come anywhere.
    count = 0
    parts = TASKS["votes"].parts

    def interrupting(predicted: torch.Tensor, votes: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += predicted.requires_grad
        if count == step and predicted.requires_grad:
            signal.raise_signal(signal.SIGINT)
        return parts.loss(predicted, votes)

    patched = replace(TASKS["votes"], load=lambda: replace(parts, loss=interrupting))
    monkeypatch.setitem(TASKS, "votes", patched)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        fit(vote_set, tiny(*CHANGES), run.path, tasks=("votes",))
    assert count == step, "the step is ended, no other begun"
    assert run.checkpoint.is_file()
    assert not run.is_finished
    monkeypatch.undo()
    states: list[TrainingProgress] = []
    fit(vote_set, tiny(*CHANGES), run.path, tasks=("votes",), resume=True, progress=states.append)
    assert states[0].step == 20
    assert fingerprint_file(run.weights) == fingerprint_file(finished.weights)
    columns = ["epoch", "train_loss", "validation_loss", "validation_rmse"]
    pd.testing.assert_frame_equal(metrics_of(run)[columns], metrics_of(finished)[columns])
    assert not run.checkpoint.exists()


def test_interrupts_from_the_progress_callback_leave_a_run_that_resumes_twice(finished, vote_set, tmp_path) -> None:
    def interrupt(state: TrainingProgress) -> None:
        if state.step < state.steps:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)  # a shell may start jobs in the background with interrupts ignored
    path = tmp_path / "run"
    for attempt in range(EPOCHS - 1):
        with pytest.raises(KeyboardInterrupt):
            fit(vote_set, tiny(*CHANGES), path, tasks=("votes",), resume=attempt > 0, progress=interrupt)
    run = fit(vote_set, tiny(*CHANGES), path, tasks=("votes",), resume=True, progress=interrupt)
    assert fingerprint_file(run.weights) == fingerprint_file(finished.weights)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_does_not_wait(vote_set, tmp_path) -> None:
    def interrupt(state: TrainingProgress) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(vote_set, tiny(*CHANGES), tmp_path / "run", tasks=("votes",), progress=interrupt)
    assert not (tmp_path / "run" / "resume.ckpt").exists()


@pytest.fixture
def unfinished(vote_set, tmp_path) -> RunFolder:
    def interrupt(state: TrainingProgress) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(vote_set, tiny(*CHANGES), tmp_path / "run", tasks=("votes",), progress=interrupt)
    return RunFolder(tmp_path / "run")


def test_resuming_refuses_other_settings_finished_runs_and_damage(unfinished, finished, vote_set, tmp_path) -> None:
    with pytest.raises(InputError, match="was started with other settings, images or parent"):
        fit(vote_set, tiny(*CHANGES, "train.learning_rate=0.5"), unfinished.path, tasks=("votes",), resume=True)
    with pytest.raises(UsageError, match="this run is finished"):
        fit(vote_set, tiny(*CHANGES), finished.path, tasks=("votes",), resume=True)
    with pytest.raises(UsageError, match="nothing to resume"):
        fit(vote_set, tiny(*CHANGES), tmp_path / "none", tasks=("votes",), resume=True)
    assert not (tmp_path / "none").exists()
    unfinished.checkpoint.write_bytes(unfinished.checkpoint.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"resume\.ckpt: cannot be read"):
        fit(vote_set, tiny(*CHANGES), unfinished.path, tasks=("votes",), resume=True)


def test_an_existing_run_is_refused_unless_forced(unfinished: RunFolder, vote_set) -> None:
    settings = tiny("train.epochs=1", "train.batch=80")
    with pytest.raises(OutputExistsError, match="already exists"):
        fit(vote_set, settings, unfinished.path, tasks=("votes",))
    assert unfinished.checkpoint.is_file()
    assert fit(vote_set, settings, unfinished.path, tasks=("votes",), force=True).is_finished


def test_a_forced_training_leaves_the_old_run_in_its_place_until_the_new_one_is_finished(
    finished: RunFolder, unfinished: RunFolder, vote_set, tmp_path
) -> None:
    run = RunFolder(tmp_path / "again")
    settings = tiny("train.epochs=1", "train.batch=80")
    fit(vote_set, settings, run.path, tasks=("votes",))
    old = run.weights.read_bytes()

    def interrupt(progress: TrainingProgress) -> None:
        assert run.weights.read_bytes() == old
        assert run.is_finished
        if progress.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    for _ in range(2):  # the second one finds what the first one left
        with pytest.raises(KeyboardInterrupt):
            fit(vote_set, tiny(*CHANGES), run.path, tasks=("votes",), force=True, progress=interrupt)
    fit(vote_set, tiny(*CHANGES), run.path, tasks=("votes",), resume=True)
    assert run.weights.read_bytes() == finished.weights.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_written_when_the_labels_do_not_allow_a_training(vote_set, tmp_path) -> None:
    with pytest.raises(InputError, match="found no column 'lens'"):
        fit(vote_set, tiny(), tmp_path / "run", tasks=("lens",))
    assert list(tmp_path.iterdir()) == []


def test_the_best_weights_are_kept_not_the_last(vote_set, tmp_path, monkeypatch) -> None:
    losses = iter([0.3, 0.1, 0.2])
    kept = {}

    def pretend(fabric, net, setup):
        loss = next(losses)
        kept[loss] = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        return {"validation_loss": loss}

    monkeypatch.setattr(fit_module, "validate", pretend)
    run = fit(vote_set, tiny(*CHANGES), tmp_path / "run", tasks=("votes",))
    found = load_file(run.weights)
    assert all(torch.equal(found[name], tensor) for name, tensor in kept[0.1].items())
    assert any(not torch.equal(found[name], tensor) for name, tensor in kept[0.2].items())


def test_without_validation_images_the_last_weights_are_kept(vote_set, tmp_path) -> None:
    changes = ("split.train=1", "split.validation=0", "split.test=0", "train.average=none")
    run = fit(vote_set, tiny(*changes), tmp_path / "run", tasks=("votes",))
    assert list(metrics_of(run)) == ["epoch", "train_seconds", "train_loss"]
    assert (read_split(run.split)["part"] == "train").all()
    assert math.isfinite(sum(tensor.double().sum().item() for tensor in load_file(run.weights).values()))


def test_validation_may_come_seldom_but_comes_at_the_end(vote_set, tmp_path) -> None:
    run = fit(vote_set, tiny("train.epochs=3", "train.validate_every=2"), tmp_path / "run", tasks=("votes",))
    assert metrics_of(run)["epoch"].tolist() == [2, 3]


def test_a_training_that_diverges_says_so(vote_set, tmp_path) -> None:
    spoiled = vote_set.table.copy()
    spoiled.loc[:, "Class1.1"] = 1e30  # its square is infinite in float32
    with pytest.raises(InputError, match=r"training: the loss of epoch 1 is .*it diverged"):
        fit(replace(vote_set, table=spoiled), tiny("train.epochs=1"), tmp_path / "run", tasks=("votes",))


def test_a_full_disk_is_one_message_and_the_run_resumes(finished, vote_set, tmp_path, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "append_metrics", fail)
    with pytest.raises(InputError, match="the disk is full"):
        fit(vote_set, tiny(*CHANGES), tmp_path / "run", tasks=("votes",))
    assert not (tmp_path / "run" / "model.json").exists()


def test_lens_and_flavor_heads_are_trained_together(lens_set, tmp_path) -> None:
    run = fit(lens_set, tiny(), tmp_path / "run", tasks=("lens", "flavor"))
    net, card = load_net(run.path)
    assert card.classes == {"lens": (), "flavor": ("dud", "lensed galaxy", "lensed quasar", "lensing cluster")}
    assert set(net.heads) == {"lens", "flavor"}


def test_images_of_one_band_and_another_field_are_trained_on(vote_set, tmp_path) -> None:
    grey = replace(
        vote_set, images=vote_set.images[..., :1], preprocess=vote_set.preprocess.model_copy(update={"bands": 1})
    )
    run = fit(grey, tiny("train.epochs=1", "net.view_px=24"), tmp_path / "run", tasks=("votes",))
    _, card = load_net(run.path)
    assert card.preprocess.bands == 1
    assert card.net.view_px == 24


def test_a_backbone_with_the_names_of_timm_trains_as_well(lens_set, tmp_path) -> None:
    images = lens_set.select(np.arange(24))
    changes = ("net.backbone=convnext_atto", "train.epochs=1", "train.batch=24")
    run = fit(images, tiny(*changes), tmp_path / "run", tasks=("lens",))
    assert load_net(run.path)[1].net.backbone == "convnext_atto"


@pytest.mark.parametrize("native", [True, False])
def test_a_net_trains_in_the_precision_of_the_machine_and_keeps_its_weights_in_fp32(
    monkeypatch, vote_set, tmp_path: Path, native: bool
) -> None:
    monkeypatch.setattr(device, "has_native_bf16", lambda _: native)
    expected = "bf16-mixed" if native else "32-true"
    assert make_fabric("cpu", "auto")._precision.precision == expected
    images = vote_set.select(np.arange(48))
    run = fit(images, tiny("train.epochs=2", "train.precision=auto"), tmp_path / "run", tasks=("votes",))
    assert json.loads(run.environment.read_text())["precision"] == expected
    assert all(tensor.dtype != torch.bfloat16 for tensor in load_file(run.weights).values())
    assert all(math.isfinite(loss) for loss in pd.read_csv(run.metrics)["train_loss"])


def test_a_second_training_into_one_run_refuses_while_the_first_lives(lens_set, tmp_path) -> None:
    with hold(tmp_path / ".run.lock", "run"), pytest.raises(InputError, match=f"process {os.getpid()} on"):
        fit(lens_set, tiny("train.epochs=1"), tmp_path / "run", tasks=("lens",))
    assert not (tmp_path / "run").exists()
    fit(lens_set, tiny("train.epochs=1"), tmp_path / "run", tasks=("lens",))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
