"""Ensembles (deep ensembles): several runs joined into one run that predicts the mean of their probabilities."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from convnet_galaxies.data.output import new_folder
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.runs.card import ModelCard, read_card
from convnet_galaxies.runs.folder import RunFolder, is_run_alone, run_path
from convnet_galaxies.runs.split import hash_split, read_split_of, write_split
from convnet_galaxies.runs.weights import (
    fingerprint_file,
    halve,
    join_members,
    load_nets,
    read_weights,
    save_weights,
    split_members,
    write_card,
)
from convnet_galaxies.settings import NetSettings

RANK = {"train": 0, "validation": 1, "test": 2}
LARGEST_HALF = 65504.0
SEEN_ALIKE = ("input_px", "view_px", "normalise")
"""Settings of a network that decide what it sees; members are shown one view."""


@dataclass(frozen=True)
class EnsembleSummary:
    """Result of joining: members, size of the weights in bytes, images of the united split by part."""

    run: Path
    members: int
    size_bytes: int
    used: dict[str, int]


def join_runs(
    runs: Sequence[str | Path], output: StrPath, *, half: bool = False, publish: bool = False, force: bool = False
) -> EnsembleSummary:
    """Join finished runs (ensembles count with all their members) into one run folder.

    half: store the weights as float16. publish: nothing but model.json, weights and a split of hashed keys, no names
    of images or of the runs' folders, for weights that are given away.
    The runs must agree in what their nets see, in preprocess, classes and types; the nets may differ. The united split
    holds out an image only where no member used it; calibration and familiarity are those of no member and must be
    fitted again.
    A single run keeps its calibration and familiarity, so that publishing comes last.
    Raises InputError when they do not agree or one cannot be read.
    """
    output = Path(output)
    cards = [read_card(run) for run in runs]
    for run, card in zip(runs[1:], cards[1:], strict=True):
        _require_alike(runs[0], cards[0], run, card)
    states: list[dict[str, Tensor]] = []
    for run, card in zip(runs, cards, strict=True):
        load_nets(run)  # a member that does not fit its card is told here, by its own name
        weights = run_path(run) / "weights.safetensors"
        states += split_members(read_weights(weights), card.members, weights)
    state = join_members(states)
    if half:
        _require_halvable(state)
        state = halve(state)
    split = unite_splits([(str(run), read_split_of(run)) for run in runs])
    ancestry = [_describe(run, card, number) for number, (run, card) in enumerate(zip(runs, cards, strict=True))]
    older = [one for card in cards for one in card.ancestry]
    history = [one for k, one in enumerate(older) if one not in older[:k]] + (ancestry if len(runs) > 1 else [])
    if publish:
        split = hash_split(split)
        history = [{**one, "run": Path(one["run"]).name} for one in history]
    nets = tuple(net for card in cards for net in card.nets)
    different = any(_architecture(net) != _architecture(nets[0]) for net in nets)
    card = replace(
        cards[0],
        members=len(states),
        member_nets=nets if different else (),
        calibration={},
        ancestry=tuple(history),
    )
    familiarity = RunFolder(run_path(runs[0])).familiarity
    if len(runs) == 1:
        card = replace(card, calibration=cards[0].calibration)
    with new_folder(output, force=force, is_ours=is_run_alone) as folder:
        made = RunFolder(folder)
        save_weights(state, made.weights)
        write_split(made.split, split)
        if len(runs) == 1 and familiarity.is_file():
            shutil.copyfile(familiarity, made.familiarity)
        if not publish:
            made.write_environment({"members": [str(run) for run in runs]})
        write_card(made, card)
    own = split[split["used"]].groupby("part").size()
    size = RunFolder(output).weights.stat().st_size
    return EnsembleSummary(output, len(states), size, {part: int(own.get(part, 0)) for part in RANK})


def unite_splits(splits: Sequence[tuple[str, pd.DataFrame | None]]) -> pd.DataFrame:
    """Return one split of several: each image once, in the strictest part that any member had used it in.

    splits: name and split of each run; a run without one (built-in weights) adds nothing.
    An image that no member used keeps its part when all agree in it, else the strictest one.
    """
    tables = [split for _, split in splits if split is not None]
    if not tables:
        return pd.DataFrame({"id": [], "part": [], "used": [], "keys": [], "origin": []}).astype({"used": bool})
    if len(tables) == 1:
        return tables[0]
    table = pd.concat(tables, ignore_index=True)
    table["rank"] = table["part"].map(RANK).fillna(3) + 4 * ~table["used"].astype(bool)
    table["key"] = [
        "\n".join(sorted(keys)) + f"\n{name}" for keys, name in zip(table["keys"], table["id"], strict=True)
    ]
    best = table.sort_values("rank", kind="stable").drop_duplicates("key").sort_index()
    return best.drop(columns=["rank", "key"]).reset_index(drop=True)


def _describe(run: str | Path, card: ModelCard, number: int) -> dict[str, Any]:
    weights = fingerprint_file(run_path(run) / "weights.safetensors")
    return {"run": str(run), "tasks": list(card.classes), "weights_sha256": weights, "member": number}


def _require_alike(first: str | Path, expected: ModelCard, run: str | Path, found: ModelCard) -> None:
    for name, ours, theirs in (
        *((f"net.{key}", getattr(expected.net, key), getattr(found.net, key)) for key in SEEN_ALIKE),
        *((f"preprocess.{key}", ours, getattr(found.preprocess, key)) for key, ours in expected.preprocess),
        ("classes", expected.classes, found.classes),
        ("type_centres", expected.type_centres, found.type_centres),
    ):
        if ours != theirs:
            raise InputError(
                f"{run}: found {name} {theirs}, expected {ours} as in {first}",
                "join runs of the same images and tasks with the same input square; train this run again with the "
                "settings of the others",
            )


def _architecture(net: NetSettings) -> dict[str, Any]:
    return net.model_dump(exclude={"dropout"})  # which is of the training alone


def _require_halvable(state: dict[str, Tensor]) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool((tensor.abs() <= LARGEST_HALF).all()) and "running" not in name:
            largest = float(torch.nan_to_num(tensor.abs(), nan=torch.inf).max())
            raise InputError(
                f"{name}: found the weight {largest:g}, which float16 cannot hold (at most {LARGEST_HALF:g})",
                "leave out --float16",
            )
