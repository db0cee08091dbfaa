"""Describe a run folder for ``describe``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from convnet_galaxies.blocks import Table
from convnet_galaxies.data.describe import Description
from convnet_galaxies.runs.folder import BUILTIN, RunFolder, run_path
from convnet_galaxies.runs.split import read_split
from convnet_galaxies.runs.weights import load_nets

MODEL_CARD = "CARD.md"
"""Model card of the built-in weights."""


def describe_run(source: str | Path) -> Description:
    """Return net, tasks, ancestry, split and last validation of a run or of built-in weights, and their model card.

    Raises InputError when files are damaged.
    """
    path = run_path(source) if str(source).startswith(BUILTIN) else Path(source)
    run = RunFolder(path)
    lines, tables, problems = [], [], []
    if run.is_finished:
        nets, card = load_nets(path)
        sizes = [sum(parameter.numel() for parameter in net.parameters()) for net in nets]
        members = [f"{one.backbone} net, {size:,} parameters" for one, size in zip(card.nets, sizes, strict=True)]
        kind = "a finished run" if card.members == 1 else f"an ensemble of {card.members}"
        each = ", each" if card.members > 1 and not card.member_nets else ":"
        lines.append(f"{kind}{each} a {'; a '.join(members if card.member_nets else members[:1])}")
        square = card.net.view_px_of(card.preprocess.size_px)
        shown = "" if square == card.net.input_px else f", resampled to {card.net.input_px} px"
        lines.append(f"predicts {', '.join(card.classes)}; input {square:g} px of {card.preprocess}{shown}")
        lines += [
            f"{'has the member' if 'member' in one else 'descends from'} {one['run']} ({', '.join(one['tasks'])})"
            for one in card.ancestry
        ]
        lines += [
            f"{task} calibrated on {one.images:,} images for {one.prevalence:.3g} of them positive: "
            f"log odds x {one.slope:.3f} {one.intercept:+.3f}" + (f". Caution: {one.caution}" if one.caution else "")
            for task, one in card.calibration.items()
        ]
        if run.familiarity.is_file():
            lines.append("familiarity (an out-of-distribution score) is fitted")
    elif run.checkpoint.is_file():
        lines.append("an unfinished run; continue it with the same `train` command and --resume")
    else:
        problems.append("an unfinished run without resume.ckpt; start it again with --force")
    if run.split.is_file():
        split = read_split(run.split)
        own = split[split["origin"] == "this run"]
        counts = pd.crosstab(own["part"], own["used"])
        rows = tuple(
            (part, *(int(counts[used].get(part, 0)) if used in counts else 0 for used in (True, False)))
            for part in ("train", "validation", "test")
        )
        tables.append(Table("split", ("part", "labelled", "not used"), rows))
    if run.metrics.is_file():
        last = pd.read_csv(run.metrics).iloc[-1]
        figures = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in last.items())
        lines.append(f"last validation: {figures}")
    model_card = path / MODEL_CARD
    if model_card.is_file():
        lines += ["", *model_card.read_text("utf-8").splitlines()]
    return Description(str(source), "run", tuple(lines), tuple(tables), tuple(problems))
