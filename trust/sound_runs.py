"""Small sound runs and files of weights, and the functions that read what each is made of."""

from __future__ import annotations

import gzip
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the sets that the tests use

from small_sets import make_vote_set, tiny

from convnet_galaxies.data.panoptes.classifications import ExportOptions, read_classifications
from convnet_galaxies.measure.familiarity import LEVELS, DistanceQuantiles, FeatureDistribution
from convnet_galaxies.model.encoder_file import load_encoder
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.predict.familiarity import FamiliarityModel, read_familiarity, write_familiarity
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.runs.weights import load_net
from convnet_galaxies.simulate.zooniverse import simulate_export
from convnet_galaxies.training.average import WeightAverage
from convnet_galaxies.training.checkpoint import load_checkpoint, save_checkpoint
from convnet_galaxies.training.fit import fit
from convnet_galaxies.training.optimizer import make_optimizers

SETTINGS = tiny("train.epochs=1", "net.widths=[8,8]")
IDENTITY = "0123456789abcdef"


def make_run(folder: Path) -> None:
    """A run of before, whose card has no hash of its weights, so that damaged ones are not refused at once."""
    fit(make_vote_set(24), SETTINGS, folder, tasks=("votes",))
    card = folder / "model.json"
    facts = json.loads(card.read_text("utf-8"))
    facts["weights_sha256"] = ""
    card.write_text(json.dumps(facts), "utf-8")


def make_unfinished(folder: Path) -> None:
    """A run with a checkpoint after two steps."""
    make_run(folder)
    net, optimizers, average = _make_trained(folder)
    save_checkpoint(RunFolder(folder), IDENTITY, net, optimizers, average, step=2, best=0.5, seconds=1.5, loss_sum=0.25)
    (folder / "model.json").rename(folder / "kept.json")


def read_checkpoint(folder: Path) -> object:
    """Read and restore as a training does that goes on."""
    card = folder / "kept.json"
    checkpoint = load_checkpoint(RunFolder(folder), IDENTITY)
    card.rename(folder / "model.json")
    net, optimizers, average = _make_trained(folder)
    done = checkpoint.restore(net, optimizers, average)
    _step(net, optimizers, average, 3)
    return done


def make_encoder(path: Path) -> None:
    """A state dict as torch saves it."""
    torch.save({f"encoder.{name}": tensor for name, tensor in _make_backbone().state_dict().items()}, path)


def read_encoder(path: Path) -> None:
    """Fill a backbone."""
    load_encoder(_make_backbone(), path)


def make_familiar(folder: Path) -> None:
    """A run with features of known images."""
    make_run(folder)
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(0, 1, (8, 3)))[0].astype(np.float32)
    known = FeatureDistribution(np.zeros(8, np.float32), np.ones(8, np.float32), axes, np.ones(3, np.float32), 0.5)
    distances = {1: DistanceQuantiles(np.linspace(0, 9, len(LEVELS)), 2.0)}
    run = RunFolder(folder)
    write_familiarity(folder / "familiarity.safetensors", FamiliarityModel(known, distances), run.weights, images=24)


def use_familiar(folder: Path) -> object:
    """Read it, and tell how familiar two images are."""
    model = read_familiarity(folder / "familiarity.safetensors", RunFolder(folder).weights)
    return None if model is None else model.familiarity(np.ones((2, 8), np.float32), 1)


def make_export(path: Path) -> None:
    """Some rows of Zooniverse's classifications, not compressed, since a damaged gzip file tells so itself."""
    folder = path.with_name(f"{path.name}.export")
    simulate_export(folder, subjects=10, seed=0, looks=3, volunteers=10, force=True)
    path.write_bytes(gzip.decompress((folder / "classifications.csv.gz").read_bytes()))


def read_export(path: Path) -> object:
    """Read all classifications."""
    return read_classifications(path, ExportOptions(workflow="5678"))


@cache
def _make_backbone() -> torch.nn.Module:
    return GalaxyNet(SETTINGS.net, bands=3, classes={"votes": ()}).backbone


def _make_trained(folder: Path):  # type: ignore[no-untyped-def]
    net, _ = load_net(folder)
    optimizers = make_optimizers(net.train(), SETTINGS.train, inherited=False)
    average = WeightAverage(net, SETTINGS.train.average, 10)
    if not (folder / "resume.ckpt").exists():
        _step(net, optimizers, average, 0)
    return net, optimizers, average


def _step(net: torch.nn.Module, optimizers: list[torch.optim.Optimizer], average: WeightAverage, step: int) -> None:
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    average.update(net, step)
