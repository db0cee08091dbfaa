"""Weights on disk: safetensors, one file for all members of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from convnet_galaxies.data.output import new_file
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.runs.card import ModelCard, read_card
from convnet_galaxies.runs.folder import RunFolder, run_path


class SkipInit(TorchFunctionMode):
    """Within this context the functions of torch.nn.init leave their tensors as they are."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Call any function but those that draw the first weights of a module."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def load_nets(run: str | Path, *, draw: bool = False) -> tuple[tuple[GalaxyNet, ...], ModelCard]:
    """Return the members of a run, in evaluation mode on the CPU, and their card. Raises InputError.

    draw: draw random weights before they are filled, as training does, whose later random numbers depend on it.
    """
    path = run_path(run)
    card = read_card(run)
    weights = path / "weights.safetensors"
    if card.weights_sha256 and weights.is_file() and (found := fingerprint_file(weights)) != card.weights_sha256:
        raise InputError(
            f"{weights}: found the SHA-256 {found}, expected {card.weights_sha256} as in model.json: it is damaged, or "
            "of another run",
            "restore the file, or train again",
        )
    nets = []
    for number, state in enumerate(split_members(read_weights(weights), card.members, weights)):
        with nullcontext() if draw else SkipInit():
            net = GalaxyNet(card.nets[number], bands=card.preprocess.bands, classes=card.classes)
        fill(net, state, weights if card.members == 1 else f"{weights}, member {number}")
        nets.append(net.eval())
    return tuple(nets), card


def load_net(run: str | Path, *, draw: bool = False) -> tuple[GalaxyNet, ModelCard]:
    """Return the net of a run, or the first member of an ensemble, and the card. Raises InputError."""
    nets, card = load_nets(run, draw=draw)
    return nets[0], card


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file by name, as they are stored. Raises InputError."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "restore the file, or train again") from None


def split_members(state: dict[str, Tensor], members: int, name: object) -> list[dict[str, Tensor]]:
    """Return the tensors of each member under their plain names. Raises InputError when the file holds another
    number."""
    if members == 1:
        return [state]
    found = {key.partition(".")[0] for key in state}
    if found != {str(number) for number in range(members)}:
        raise InputError(
            f"{name}: found tensors of {', '.join(sorted(found)[:5]) or 'no member'}, expected those of {members} "
            f"members, 0 to {members - 1}",
            "keep weights and model.json of one run together",
        )
    prefixes = [f"{number}." for number in range(members)]
    return [{key.removeprefix(one): tensor for key, tensor in state.items() if key.startswith(one)} for one in prefixes]


def join_members(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the inverse of split_members."""
    if len(states) == 1:
        return dict(states[0])
    return {f"{number}.{key}": tensor for number, state in enumerate(states) for key, tensor in state.items()}


def halve(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights as float16; the statistics of batch norms, whose range is not the weights', stay as they
    are."""
    keep = ("running_mean", "running_var", "num_batches_tracked")
    return {
        key: tensor if key.rpartition(".")[2] in keep or not tensor.is_floating_point() else tensor.half()
        for key, tensor in state.items()
    }


def fill(net: torch.nn.Module, state: dict[str, Tensor], name: object) -> None:
    """Fill a network; every name and shape must agree, float16 becomes float32. Raises InputError."""
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{name}: does not fit the network ({reason})", "keep weights and model.json of one run together"
        ) from None


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """Write weights through a temporary name, so that a reader never finds a partial file."""
    with new_file(path, force=True) as temporary:
        temporary.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}))


def write_card(run: RunFolder, card: ModelCard) -> None:
    """Write the card of a run, with the hash of its weights, which are there already."""
    text = replace(card, weights_sha256=fingerprint_file(run.weights)).dumps()
    with new_file(run.card, force=True) as temporary:
        temporary.write_text(text, "utf-8")


def fingerprint_file(path: Path) -> str:
    """Return the first 16 hex digits of the file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
