"""Weights on disk: safetensors, and beside them all that is needed to use them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.settings import NetSettings

FORMAT = 1
BUILTIN = "builtin:"


@dataclass(frozen=True)
class ModelCard:
    """What a net needs besides its weights.

    classes: names of the classes of each task that the net answers; empty for votes and lens.
    temperature: by task, the log odds are divided by it to calibrate them; 1 as trained.
    ancestry: one entry a run that the weights went through before this one, oldest first.
    type_centres: float [k, 37], the centres of the morphology types, if the net knows them.
    """

    net: NetSettings
    preprocess: Preprocess
    classes: dict[str, tuple[str, ...]]
    temperature: dict[str, float] = field(default_factory=dict)
    ancestry: tuple[dict[str, Any], ...] = ()
    type_centres: list[list[float]] | None = None

    def dumps(self) -> str:
        """As JSON text."""
        tree = asdict(self) | {
            "format": FORMAT,
            "net": self.net.model_dump(mode="json"),
            "preprocess": self.preprocess.model_dump(mode="json"),
        }
        return json.dumps(tree, indent=2)

    @staticmethod
    def loads(text: str, name: object) -> ModelCard:
        """From JSON text. Raises InputError when it is no such card, or of a later format."""
        try:
            tree = json.loads(text)
            if tree.pop("format") != FORMAT:
                raise InputError(f"{name}: found an unknown format, expected {FORMAT}", "update convnet-galaxies")
            return ModelCard(
                net=NetSettings.model_validate(tree["net"]),
                preprocess=Preprocess.model_validate(tree["preprocess"]),
                classes={task: tuple(names) for task, names in tree["classes"].items()},
                temperature=dict(tree["temperature"]),
                ancestry=tuple(tree["ancestry"]),
                type_centres=tree["type_centres"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{name}: is no model card ({reason})", "give a finished run folder") from None


def run_path(run: str | Path) -> Path:
    """The folder of a run: a path, or ``builtin:NAME`` for weights that ship with the package."""
    text = str(run)
    if text.startswith(BUILTIN):
        folder = Path(str(resources.files("convnet_galaxies"))) / "model" / "builtin"
        names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        name = text.removeprefix(BUILTIN)
        if name not in names:
            have = ", ".join(BUILTIN + name for name in names) or "none"
            raise InputError(
                f"{text}: no such built-in weights; there are: {have}", "give one of these or a run folder"
            )
        return folder / name
    path = Path(run)
    if not (path / "model.json").is_file():
        found = "no such folder" if not path.is_dir() else "found no model.json in it"
        raise InputError(f"{path}: {found}, expected a finished run", "give the folder that `train -o` wrote")
    return path


def read_card(run: str | Path) -> ModelCard:
    """The card of a run. Raises InputError."""
    path = run_path(run) / "model.json"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "restore the file, or train again") from None
    return ModelCard.loads(text, path)


def load_net(run: str | Path) -> tuple[GalaxyNet, ModelCard]:
    """The net of a run, in evaluation mode on the CPU, and its card. Raises InputError."""
    path = run_path(run)
    card = read_card(run)
    net = GalaxyNet(card.net, bands=card.preprocess.bands, classes=card.classes)
    load_weights(net, path / "weights.safetensors")
    return net.eval(), card


def load_weights(net: torch.nn.Module, path: Path) -> None:
    """Fill a net from a safetensors file; every name and shape must agree. Raises InputError."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "restore the file, or train again") from None
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{path}: does not fit the net ({reason})", "keep weights and model.json of one run together"
        ) from None


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """Write weights through a temporary name, so that a reader never sees half of them."""
    with new_file(path, force=True) as temporary:
        temporary.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}))


def fingerprint(path: Path) -> str:
    """The first 16 hex digits of the file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
