"""Train the lens finder: first on painted lenses and look-alikes, then on real candidates and known lenses."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from lens_examples import Example, make_examples, pretraining_tasks
from real_lenses import LINKS, PIXELS, read_neighbours
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.runs.image_keys import link_keys
from convnet_galaxies.runs.split import read_split_of, write_split
from convnet_galaxies.runs.weights import join_members, load_net, load_nets, save_weights, write_card
from convnet_galaxies.settings import load_settings
from convnet_galaxies.training.fit import fit
from convnet_galaxies.training.setup import inherit

TASKS = ("lens", "flavor")

NET = (
    "net.input_px=80",
    "net.view_px=64",  # 12 arcsec: arcs of a few arcsec deserve the pixels (docs/experiments.md)
    "net.dropout=0.3",
    "augment.shift_fraction=0.05",
    "augment.zoom=1.3",
    "augment.brightness=0.2",
    "augment.colour=0.1",
    "train.batch=64",
)
PRETRAINING = (
    "train.epochs=16",
    "train.learning_rate=0.003",
    "train.backbone_rate=0.7",
    "train.warmup=0.03",
    "train.validate_every=3",
    "split.train=0.94",
    "split.validation=0.05",
    "split.test=0.01",
)
FINE_TUNING = (
    "train.epochs=4",
    "train.learning_rate=0.0015",
    "train.backbone_rate=0.4",
    "train.warmup=0.1",
    "train.average=0.1",
    "train.validate_every=4",
)


@dataclass(frozen=True)
class Recipe:
    """Training data of fine-tuning.

    repeats: times that each real image counts. painted: share of painted examples and lookalikes, relative to them.
    """

    repeats: int = 8
    painted: float = 1.0
    settings: Sequence[str] = ()


@dataclass(frozen=True)
class HeadRecipe:
    """A new head on an unchanged finder.

    view_px: side of the square that it is shown. alpha: of the ridge regression on standardised features.
    others: what ordinary galaxies count together, and painted examples too, next to the candidates (gather_others).
    """

    view_px: float = 40
    alpha: float = 200
    others: float = 0.3


def gather(examples: Sequence[Example], name: str) -> ImageSet:
    """Examples as a set."""
    table = pd.DataFrame(
        {
            "id": [f"{name}{number}" for number in range(len(examples))],
            "group": [example.group for example in examples],
            "lens": [example.lens for example in examples],
            "flavor_label": [example.flavor for example in examples],
            "kind": [example.kind for example in examples],
        }
    )
    return ImageSet(np.stack([example.stamp for example in examples]), table, PIXELS, link_columns=LINKS)


def paint_examples(data: Path, *, number: int = 1350, seed: int = 1) -> ImageSet:
    """Make the first training set: about six examples per number, in a fifth of a second each."""
    return gather(make_examples(pretraining_tasks(data, number=number, seed=seed)), "painted")


def pretrain(painted: ImageSet, output: Path, *, parent: str | Path | None, seed: int, changes: Sequence[str]) -> Path:
    """Train a finder without any real lens, into a run folder."""
    settings = load_settings(None, [*NET, *PRETRAINING, *changes, f"seed={seed}"])
    fit(painted, settings, output, tasks=TASKS, parent=parent, force=True)
    return output


def fine_tune(
    real: ImageSet,
    painted: ImageSet,
    output: Path,
    *,
    held_out: np.ndarray,
    parent: str | Path | None,
    recipe: Recipe,
    seed: int,
) -> Path:
    """Train on the real images that are not held out (bool [n]), among painted ones, into a run folder."""
    settings = load_settings(None, [*NET, *FINE_TUNING, *recipe.settings, f"seed={seed}"])
    rows = np.repeat(np.flatnonzero(~held_out), recipe.repeats)
    count = min(int(len(rows) * recipe.painted), len(painted))
    chosen = np.sort(np.random.default_rng(seed).choice(len(painted), count, replace=False))
    sets = [real.select(rows), painted.select(chosen)]
    columns = ["id", "lens", "flavor_label", *LINKS, "ra_deg", "dec_deg"]
    table = pd.concat([one.table.reindex(columns=columns) for one in sets], ignore_index=True)
    images = ImageSet(np.concatenate([one.images for one in sets]), table, PIXELS, link_columns=LINKS)
    parts = np.full(len(images), "train", dtype=object)
    fit(images, settings, output, tasks=TASKS, parent=parent, parts=parts, force=True)
    return output


def attach_head(
    parent: str | Path, real: ImageSet, others: ImageSet, output: Path, *, held_out: np.ndarray, recipe: HeadRecipe
) -> Path:
    """A copy of a finder with another lens head, by ridge regression of the soft labels on the features of its views.

    256 numbers of 200 images are hardly ever learned by heart, and a backbone that stays as it was keeps all that it
    learned from thousands of painted examples. held_out: bool [n], not learned from, nor are others of their groups.
    others: what is not a candidate (see gather_others). The head's log odds are 4 (y - 1/2) for a regression y, so
    that its probability is nearly y; calibration comes later.
    """
    key = str(parent), recipe.view_px
    if key not in _FEATURES:  # the backbone is the same in every fold
        found = features_of(parent, recipe.view_px, {"real": real.images}, views=16)
        _FEATURES[key] = found["real"], features_of(parent, recipe.view_px, {"others": others.images})["others"]
    of_real, of_others = _FEATURES[key]
    strangers = ~others.table["group"].isin(real.table["group"][held_out]).to_numpy()
    features = np.concatenate([of_real[~held_out], of_others[strangers]])
    labels = np.concatenate([real.table["lens"][~held_out], others.table["lens"][strangers]])
    weight_of_others = recipe.others * len(real) * others.table["share"][strangers]
    weights = np.concatenate([np.ones((~held_out).sum()), weight_of_others])
    scaler = StandardScaler().fit(of_real[~held_out])
    ridge = Ridge(recipe.alpha).fit(scaler.transform(features), labels, sample_weight=weights)
    weight = ridge.coef_ / scaler.scale_
    head = 4 * weight[:, None], np.array([4 * (ridge.intercept_ - weight @ scaler.mean_ - 0.5)])
    split = describe_split(parent, real, held_out)
    return write_finder(parent, output, recipe.view_px, *head, split=split, note=f"ridge, penalty {recipe.alpha:g}")


def write_finder(
    parent: str | Path,
    output: Path,
    view_px: float,
    weight: np.ndarray,
    bias: np.ndarray,
    *,
    split: pd.DataFrame,
    note: str,
) -> Path:
    """A copy of a finder with another lens head, float [features, 1] and [1], and another view, into a run folder."""
    old, card = load_net(parent)
    classes = {"lens": (), **{task: names for task, names in card.classes.items() if task == "flavor"}}
    net = GalaxyNet(card.net, bands=card.preprocess.bands, classes=classes)
    inherit(net, old)
    state = net.state_dict()
    state["heads.lens.linear.weight"] = torch.from_numpy(weight.T).float().contiguous()
    state["heads.lens.linear.bias"] = torch.from_numpy(bias).float()
    run = RunFolder(output)
    run.create(force=True)
    save_weights(state, run.weights)
    write_split(run.split, split)
    run.write_environment({"head": note, "parent": str(parent)})
    settings = card.net.model_copy(update={"view_px": view_px})
    write_card(
        run, replace(card, net=settings, members=1, member_nets=(), preprocess=PIXELS, classes=classes, calibration={})
    )
    return output


def features_of(
    run: str | Path,
    view_px: float,
    pixels: Mapping[str, np.ndarray],
    *,
    views: Literal[1, 8, 16] = 8,
    grey: bool = False,
) -> dict[str, np.ndarray]:
    """Features of the central square of sets of images by name, float32 [n, c] of uint8 [n, h, w, 3].

    Those of the members of an ensemble lie side by side. The images of all sets have one size. grey: of the mean of the
    bands.
    """
    nets, card = load_nets(run)
    side = next(iter(pixels.values())).shape[1]
    settings = tuple(one.model_copy(update={"view_px": view_px}) for one in card.nets)
    shown = card.preprocess.model_copy(update={"crop_px": side, "size_px": side})
    with tempfile.TemporaryDirectory() as folder:
        draft = RunFolder(Path(folder))
        save_weights(join_members([net.state_dict() for net in nets]), draft.weights)
        members = settings if len(settings) > 1 else ()
        write_card(draft, replace(card, net=settings[0], member_nets=members, preprocess=shown, weights_sha256=None))
        predictor = Predictor(folder, views=views, grey=grey, with_familiarity=False)
        return {name: predictor.extract_features(one) for name, one in pixels.items()}


_FEATURES: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]] = {}


def gather_others(folder: Path, real: ImageSet, painted: ImageSet, *, seed: int = 0) -> ImageSet:
    """Ordinary galaxies near candidates, and a fifth of the painted examples; column share, adding up to 1 for each.

    Without them a head knows nothing but what volunteers liked.
    """
    stamps, rows = read_neighbours(folder, real)
    chosen = np.sort(np.random.default_rng(seed).choice(len(painted), len(painted) // 5, replace=False))
    table = pd.DataFrame(
        {
            "group": [*real.table["group"].iloc[rows], *painted.table["group"].iloc[chosen]],
            "lens": [*np.zeros(len(rows)), *0.95 * painted.table["lens"].iloc[chosen]],
            "share": np.repeat([1 / len(rows), 1 / len(chosen)], [len(rows), len(chosen)]),
        }
    )
    table["id"] = [f"other{number}" for number in range(len(table))]
    return ImageSet(np.concatenate([stamps, painted.images[chosen]]), table, PIXELS, link_columns=("group",))


def describe_split(parent: str | Path, real: ImageSet, held_out: np.ndarray) -> pd.DataFrame:
    split = pd.DataFrame(
        {
            "id": real.table["id"],
            "part": np.where(held_out, "test", "train"),
            "used": True,
            "keys": link_keys(real),
            "origin": "this run",
        }
    )
    inherited = read_split_of(parent)
    if inherited is None:
        return split
    return pd.concat([split, inherited.assign(origin=str(parent))[inherited["used"]]], ignore_index=True)


def save_set(images: ImageSet, path: Path) -> None:
    """Keep a set between runs of the scripts."""
    np.savez(path, images=images.images, **{name: images.table[name].to_numpy().astype(str) for name in images.table})


def load_set(path: Path) -> ImageSet:
    """What save_set kept."""
    held = np.load(path)
    table = pd.DataFrame({name: held[name] for name in held.files if name != "images"})
    table["lens"] = table["lens"].astype(float)
    return ImageSet(held["images"], table, PIXELS, link_columns=LINKS)
