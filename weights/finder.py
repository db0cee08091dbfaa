"""How the lens finder learns: painted lenses and lookalikes first, then what real candidates and known lenses add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from lens_examples import Example, Task, make_examples, painted_on_real, pretraining_tasks
from real_lenses import LINKS, OTHER_GRADE, PIXELS

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.settings import load_settings
from convnet_galaxies.train.fit import fit

TASKS = ("lens", "flavor")

NET = (
    "net.input_px=80",
    "net.field_px=64",  # 12 arcsec: arcs of a few arcsec deserve the pixels (docs/experiments.md)
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
    """What fine-tuning is fed.

    repeats: times that each real image counts. painted: share of painted examples and lookalikes, relative to them.
    on_candidates: whether lenses painted round the candidates that are none are among it.
    known_lenses: whether the guide's known lenses are among the real images.
    """

    repeats: int = 8
    painted: float = 1.0
    on_candidates: bool = False
    known_lenses: bool = True
    settings: Sequence[str] = ()


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


def paint_examples(data: Path, *, number: int = 900, seed: int = 1) -> ImageSet:
    """What the finder learns first: about six examples a number, in a fifth of a second each."""
    return gather(make_examples(pretraining_tasks(data, number=number, seed=seed)), "painted")


def paint_on_candidates(real: ImageSet, *, rounds: int = 4, seed: int = 9) -> ImageSet:
    """Lenses painted round the candidates of a grade below 1, and the same without; groups are the candidates'."""
    rows = np.flatnonzero((real.table["grade"] < OTHER_GRADE).to_numpy())
    tasks: list[Task] = [
        (painted_on_real, (real.images[row],), seed, turn * len(real) + int(row), real.table["group"][row])
        for turn in range(rounds)
        for row in rows
    ]
    return gather(make_examples(tasks), "on_candidate")


def pretrain(painted: ImageSet, output: Path, *, parent: str | Path | None, seed: int) -> Path:
    """A finder that has seen no real lens, into a run folder."""
    settings = load_settings(None, [*NET, *PRETRAINING, f"seed={seed}"])
    fit(painted, settings, output, tasks=TASKS, parent=parent, force=True)
    return output


def fine_tune(
    real: ImageSet,
    painted: ImageSet,
    on_candidates: ImageSet | None,
    output: Path,
    *,
    held_out: np.ndarray,
    parent: str | Path | None,
    recipe: Recipe,
    seed: int,
) -> Path:
    """Train on the real images that are not held out (bool [n]), among painted ones, into a run folder."""
    settings = load_settings(None, [*NET, *FINE_TUNING, *recipe.settings, f"seed={seed}"])
    kept = ~held_out if recipe.known_lenses else ~held_out & (real.table["kind"] == "candidate").to_numpy()
    rows = np.repeat(np.flatnonzero(kept), recipe.repeats)
    count = min(int(len(rows) * recipe.painted), len(painted))
    chosen = np.sort(np.random.default_rng(seed).choice(len(painted), count, replace=False))
    sets = [real.select(rows), painted.select(chosen)]
    if recipe.on_candidates and on_candidates is not None:
        strangers = ~on_candidates.table["group"].isin(real.table["group"][held_out]).to_numpy()
        sets.append(on_candidates.select(strangers))
    columns = ["id", "lens", "flavor_label", *LINKS, "ra_deg", "dec_deg"]
    table = pd.concat([one.table.reindex(columns=columns) for one in sets], ignore_index=True)
    images = ImageSet(np.concatenate([one.images for one in sets]), table, PIXELS, link_columns=LINKS)
    parts = np.full(len(images), "train", dtype=object)
    fit(images, settings, output, tasks=TASKS, parent=parent, parts=parts, force=True)
    return output


def save_set(images: ImageSet, path: Path) -> None:
    """Keep a set between runs of the scripts."""
    np.savez(path, images=images.images, **{name: images.table[name].to_numpy().astype(str) for name in images.table})


def load_set(path: Path) -> ImageSet:
    """What save_set kept."""
    held = np.load(path)
    table = pd.DataFrame({name: held[name] for name in held.files if name != "images"})
    table["lens"] = table["lens"].astype(float)
    return ImageSet(held["images"], table, PIXELS, link_columns=LINKS)
