"""A checkpoint that is damaged, or of another network, is refused with one message, and goes on to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_sets import tiny

from convnet_galaxies.errors import InputError
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.training.average import WeightAverage
from convnet_galaxies.training.checkpoint import load_checkpoint, save_checkpoint
from convnet_galaxies.training.optimizer import make_optimizers

SETTINGS = tiny("net.widths=[8,8]")


def make_parts(widths: str = "[8,8]"):  # type: ignore[no-untyped-def]
    net = GalaxyNet(tiny(f"net.widths={widths}").net, bands=3, classes={"votes": ()})
    return net, make_optimizers(net, SETTINGS.train, inherited=False), WeightAverage(net, 0.1, 10)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    save_checkpoint(run, "mine", *make_parts(), step=3, best=0.5, seconds=1.5, loss_sum=0.25)
    return run


def test_a_checkpoint_gives_back_what_was_saved(run: RunFolder) -> None:
    assert load_checkpoint(run, "mine").restore(*make_parts()) == (3, 0.5, 1.5, 0.25)


@pytest.mark.parametrize("at", [0.02, 0.3, 0.6, 0.999])
def test_a_byte_that_was_changed_is_found(run: RunFolder, at: float) -> None:
    data = bytearray(run.checkpoint.read_bytes())
    data[int(at * len(data))] ^= 255
    run.checkpoint.write_bytes(data)
    with pytest.raises(InputError, match=r"resume\.ckpt: cannot be read as a checkpoint") as caught:
        load_checkpoint(run, "mine")
    assert caught.value.fix == "start the run again with --force"


def test_a_file_of_something_else_is_refused(run: RunFolder) -> None:
    torch.save([1, 2], run.checkpoint)
    with pytest.raises(InputError, match="found something else than a checkpoint"):
        load_checkpoint(run, "mine")


def test_a_checkpoint_of_another_network_or_with_missing_parts_is_refused(run: RunFolder) -> None:
    checkpoint = load_checkpoint(run, "mine")
    with pytest.raises(InputError, match=r"does not fit the network .*size mismatch"):
        checkpoint.restore(*make_parts("[8,16]"))
    del checkpoint.state["best"]
    with pytest.raises(InputError, match=r"does not fit the network \('best'\)"):
        checkpoint.restore(*make_parts())
