"""Provenance of a report: data counts, settings, versions, and commands to reproduce it."""

from __future__ import annotations

import json
import platform
import tomllib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import pandas as pd

from convnet_galaxies import __version__
from convnet_galaxies.blocks import Table, Verbatim
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.runs.split import read_split

LIBRARIES = ("torch", "numpy", "scikit-learn", "quapy", "mapie", "matplotlib")


def count_images(images: ImageSet, title: str) -> Table:
    """Return images of a pack by stage and label, or their number, with what was guessed when they were packed."""
    table = images.table
    notes = tuple(f"When packed: {text}" for text in images.warnings)
    if "lens" not in table:
        groups = table["group"].nunique()
        return Table(title, ("", "images", "groups"), (("all", f"{len(table):,}", f"{groups:,}"),), notes)
    stage = table["stage"].map("stage {:g}".format) if "stage" in table else pd.Series("all", index=table.index)
    kind = table["lens"].map({1.0: "lenses", 0.0: "no lens"}).fillna("unknown")
    counts = pd.crosstab(stage, kind).reindex(columns=["lenses", "no lens", "unknown"], fill_value=0)
    groups = table.groupby(stage)["group"].nunique()
    rows = tuple(
        (str(name), *(f"{int(n):,}" for n in row), f"{int(groups[name]):,}")
        for name, row in zip(counts.index, counts.to_numpy(), strict=True)
    )
    return Table(title, ("", *counts.columns, "groups"), rows, notes)


def count_split(run: Path) -> Table | None:
    """Return labelled images of each part of a run's split; None for a run without one."""
    path = RunFolder(run).split
    if not path.is_file():
        return None
    split = read_split(path)
    own = split[split["origin"] == "this run"]
    rows = tuple(
        (part, f"{int((own['part'] == part).sum()):,}", f"{int(((own['part'] == part) & own['used']).sum()):,}")
        for part in ("train", "validation", "test")
    )
    return Table(f"Split of {run.name}", ("part", "images", "labelled for its tasks"), rows)


def list_settings(run: Path) -> Verbatim | None:
    """List the run's settings.toml, folded."""
    path = RunFolder(run).settings
    return Verbatim(f"Settings of {run.name}", path.read_text("utf-8").rstrip(), True) if path.is_file() else None


def list_versions(run: Path | None = None) -> Table:
    """List versions with which the report was made and, where recorded, the run trained."""
    now = {"convnet-galaxies": __version__, "python": platform.python_version()}
    now |= {name: metadata.version(name) for name in LIBRARIES}
    then: Mapping[str, object] = {}
    if run is not None and RunFolder(run).environment.is_file():
        then = json.loads(RunFolder(run).environment.read_text("utf-8"))
    names = list(dict.fromkeys([*now, *then]))
    head = ("", "this report", *(("training",) if then else ()))
    rows = tuple((name, now.get(name, ""), *((str(then.get(name, "")),) if then else ())) for name in names)
    return Table("Versions", head, rows)


def list_commands(commands: Sequence[str]) -> Verbatim:
    """List the commands, one per line."""
    return Verbatim("Commands", "\n".join(commands))


def guess_training(run: Path, pack: object, images: ImageSet | None, tasks: Sequence[str]) -> str:
    """Return the command that trained a run, as far as its folder records it."""
    words = ["convnet-galaxies train", str(pack)]
    card = RunFolder(run).card
    if card.is_file():
        ancestry = json.loads(card.read_text("utf-8")).get("ancestry") or []
        words += [f"--task {task}" for task in tasks]
        if ancestry:
            words.append(f"--from {ancestry[-1]['run']}")
    stage = used_stage(run, images)
    if stage is not None:
        words.append(f"--stage {stage}")
    settings = RunFolder(run).settings
    if settings.is_file():
        words.append(f"--settings {settings}")
        words.append(f"--seed {tomllib.loads(settings.read_text('utf-8')).get('seed', 0)}")
    return " ".join([*words, f"-o {run}-again"])


def used_stage(run: Path, images: ImageSet | None) -> int | None:
    """Return the only stage of the training images of a run; None if it is unknown or not unique."""
    path = RunFolder(run).split
    if images is None or "stage" not in images.table or not path.is_file():
        return None
    try:
        split = read_split(path)
    except InputError:
        return None
    used = split.loc[split["used"] & (split["origin"] == "this run"), "id"]
    stages = set(images.table.loc[images.table["id"].isin(used), "stage"].astype(float))
    return int(next(iter(stages))) if len(stages) == 1 else None
