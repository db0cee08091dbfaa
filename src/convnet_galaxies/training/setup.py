"""Setup of a training before its first step: split, targets, network, ancestry."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from convnet_galaxies.data.records import PARTS, ImageSet, split_groups, stage_rows
from convnet_galaxies.data.stretch import Stretch
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.model.targets import Target
from convnet_galaxies.model.tasks import find_task, make_target
from convnet_galaxies.runs.card import ModelCard
from convnet_galaxies.runs.folder import run_path
from convnet_galaxies.runs.image_keys import NEVER, find_lowest_rank, link_keys
from convnet_galaxies.runs.split import known_keys, read_split_of, was_trained_on
from convnet_galaxies.runs.weights import fingerprint_file, load_net
from convnet_galaxies.settings import INHERITED, NetSettings, Settings, identify_settings
from convnet_galaxies.training.grade_labels import GRADED


@dataclass(frozen=True)
class TrainingSetup:
    """The images, targets, split and net of a training, before its first step.

    split: one row per image of the set, then those of the ancestors; see write_split.
    train_rows, validation_rows: row numbers in images, int [n]; a training image that is shown several times per epoch
        stands there as often.
    kept_heads: tasks whose heads come from the parent.
    identity: equal for equal data, settings and parent; a resumed run must agree in it.
    """

    images: ImageSet
    targets: dict[str, Target]
    net: GalaxyNet
    split: pd.DataFrame
    train_rows: np.ndarray
    validation_rows: np.ndarray
    ancestry: tuple[dict[str, Any], ...]
    type_centres: np.ndarray | None
    identity: str
    kept_heads: tuple[str, ...] = ()

    @property
    def has_parent(self) -> bool:
        """Return whether the backbone comes from another run, or from an encoder file."""
        return bool(self.ancestry) or self.net.settings.encoder_weights is not None

    @property
    def input_px(self) -> int:
        return self.net.settings.input_px

    @property
    def view_px(self) -> float:
        return self.net.settings.view_px_of(self.images.preprocess.size_px)

    def card(self) -> ModelCard:
        """Return the card of the trained net."""
        settings = self.net.settings.model_copy(update={"encoder_weights": None})
        centres = None if self.type_centres is None else self.type_centres.tolist()
        return ModelCard(
            settings, self.images.preprocess, self.net.classes, ancestry=self.ancestry, type_centres=centres
        )


def set_up_training(
    images: ImageSet,
    settings: Settings,
    *,
    tasks: Sequence[str],
    parent: str | Path | None,
    stage: int | None,
    parts: np.ndarray | None = None,
) -> TrainingSetup:
    """Choose the split, make the targets and build the net of a training.

    parts: part of each image (str [n]) when it was chosen elsewhere; None splits by the settings.
    Raises InputError when labels, parts or the parent do not allow the training.
    """
    torch.manual_seed(settings.seed)
    old, card = (None, None) if parent is None else load_net(parent, draw=True)
    if card is not None:
        settings = take_shape(settings, card, images)
        if not images.linear and isinstance(images.preprocess.stretch, Stretch):
            # Pictures of unknown make: what the parent takes linear images for is the best that is known.
            made = images.preprocess.model_copy(update={"stretch": card.preprocess.stretch})
            images = replace(images, preprocess=made)
    inherited = None if parent is None else read_split_of(parent)
    keys = link_keys(images)
    if parts is None:
        parts = assign_parts(
            images.table["group"].to_numpy(), keys, settings.split.fractions, inherited, seed=settings.seed
        )
    elif inherited is not None:
        _check_held_out(images, parts, inherited)

    chosen = np.ones(len(images), bool)
    if stage is not None:
        chosen = stage_rows(images.table, stage)
    centres = None
    for task in tasks:
        find_centres = find_task(task).parts.centres
        if find_centres is not None:
            kept = None if card is None else card.type_centres
            learned = images.table[parts == "train"]
            centres = np.array(kept) if kept else find_centres(learned, settings.train.types, settings.seed)
    targets = {
        task: make_target(
            task, images.table, classes=() if card is None else card.classes.get(task, ()), centres=centres
        )
        for task in tasks
    }
    known = np.any([target.known for target in targets.values()], axis=0) & chosen
    train_rows = np.flatnonzero(known & (parts == "train"))
    validation_rows = np.flatnonzero(known & (parts == "validation"))
    _check_labels(targets, train_rows)
    if GRADED in images.table:
        is_graded = images.table[GRADED].to_numpy(bool)[train_rows]
        train_rows = np.repeat(train_rows, np.where(is_graded, settings.train.graded_repeats, 1))

    classes = {task: target.classes for task, target in targets.items()}
    net = GalaxyNet(settings.net, bands=images.preprocess.bands, classes=classes)
    kept_heads = () if old is None else inherit(net, old)
    split = pd.DataFrame({"id": images.table["id"], "part": parts, "used": known, "keys": keys, "origin": "this run"})
    ancestry: tuple[dict[str, Any], ...] = ()
    if parent is not None and card is not None:
        weights = fingerprint_file(run_path(parent) / "weights.safetensors")
        ancestry = (*card.ancestry, {"run": str(parent), "tasks": list(card.classes), "weights_sha256": weights})
        # Only what the ancestors used matters further on; the rest of their images was never looked at.
        if inherited is not None:
            origin = inherited["origin"].where(inherited["origin"] != "this run", str(parent))
            split = pd.concat([split, inherited.assign(origin=origin)[inherited["used"]]], ignore_index=True)
    text = "\n".join(
        [identify_settings(settings), str(tuple(tasks)), str(stage), str(ancestry), *images.table["id"], *parts]
    )
    identity = hashlib.sha256(text.encode())
    for target in targets.values():
        identity.update(target.values.numpy().tobytes())
    return TrainingSetup(
        images, targets, net, split, train_rows, validation_rows, ancestry, centres, identity.hexdigest(), kept_heads
    )


def assign_parts(
    groups: np.ndarray,
    keys: Sequence[Sequence[str]],
    fractions: Sequence[float],
    inherited: pd.DataFrame | None,
    *,
    seed: int,
) -> np.ndarray:
    """Return the part of each image (str [n]), whole groups only; training images of ancestors are never held out.

    A group that an ancestor used keeps its part there (train before validation before test, if it had several);
    the others are assigned by the fractions.
    """
    parts = split_groups(groups, fractions, seed=seed)
    if inherited is None:
        return parts
    past = find_lowest_rank(keys, *known_keys(inherited, PARTS, used=False))
    of_group = pd.Series(past).groupby(groups).transform("min").to_numpy()
    return np.where(of_group < NEVER, np.array(PARTS, dtype=object)[of_group % NEVER], parts)


def inherit(net: GalaxyNet, old: GalaxyNet) -> tuple[str, ...]:
    """Copy the backbone, and the heads of the tasks (and classes) that both nets have; return these tasks."""
    net.backbone.load_state_dict(old.backbone.state_dict())
    kept = tuple(task for task in net.heads if old.classes.get(task) == net.classes[task])
    for task in kept:
        net.heads[task].load_state_dict(old.heads[task].state_dict())
    return kept


def take_shape(settings: Settings, card: ModelCard, images: ImageSet) -> Settings:
    """Return the settings with the shape of the network of a card, to start from it or to compare with it.

    Raises InputError when the images have other bands, or the input does not fit.
    """
    if card.preprocess.bands != images.preprocess.bands:
        raise InputError(
            f"pack: found {images.preprocess.bands} bands, expected {card.preprocess.bands} as in the parent run",
            "pack with the same bands, or train from scratch",
        )
    fixed = {name: getattr(card.net, name) for name in INHERITED}
    wanted = settings.net.model_dump()
    step = card.net.input_step_px
    if settings.net.input_px % step:
        # Settings are written for the default net; another's squares take the nearest size that they divide.
        wanted["input_px"] = max(1, round(settings.net.input_px / step)) * step
        if settings.net.view_px == settings.net.input_px:
            wanted["view_px"] = None  # shown pixel by pixel
    try:
        net = NetSettings.model_validate({**wanted, **fixed, "encoder_weights": None})
    except ValueError:
        raise InputError(
            f"settings: net.input_px is {settings.net.input_px}, which does not fit the network of the parent run",
            f"pass --set net.input_px={card.net.input_px}, as the parent has",
        ) from None
    return settings.model_copy(update={"net": net})


def _check_held_out(images: ImageSet, parts: np.ndarray, inherited: pd.DataFrame) -> None:
    seen = was_trained_on(images, inherited) & (parts != "train")
    if seen.any():
        raise InputError(
            f"pack: the parent run was trained on {int(seen.sum())} of the images that are to be held out",
            "choose a parent that was trained on other images",
        )


def _check_labels(targets: dict[str, Target], train_rows: np.ndarray) -> None:
    if len(train_rows) < 2:
        raise InputError(
            f"pack: found {len(train_rows)} labelled training images, expected at least 2", "pack more images"
        )
    for task, target in targets.items():
        rows = train_rows[target.known[train_rows]]
        values = target.values[torch.from_numpy(rows)]
        if not len(rows):
            raise InputError(
                f"pack: none of the training images has a label for '{task}'", "leave out this task, or label images"
            )
        if len(values.unique()) < 2:
            raise InputError(
                f"pack: all {len(rows)} training images with a label for '{task}' have the same one, "
                "expected at least two",
                "add images of the other kind, or choose another stage or seed",
            )
