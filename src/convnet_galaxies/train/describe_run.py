"""What a run folder holds, for ``describe``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from convnet_galaxies.data.describe import CountTable, Description
from convnet_galaxies.model.weights import load_net
from convnet_galaxies.train.run_folder import RunFolder, read_split


def describe_run(path: Path) -> Description:
    """Net, tasks, ancestry, split and last validation of a run. Raises InputError when its files are damaged."""
    run = RunFolder(path)
    lines, tables, problems = [], [], []
    if run.is_finished:
        net, card = load_net(path)
        size = sum(parameter.numel() for parameter in net.parameters())
        lines.append(f"a finished run: {card.net.backbone} net, {size:,} parameters")
        lines.append(f"answers {', '.join(card.classes)}; sees {card.net.input_px} px of {card.preprocess}")
        lines += [f"descends from {one['run']} ({', '.join(one['tasks'])})" for one in card.ancestry]
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
        tables.append(CountTable("split", ("part", "labelled", "not used"), rows))
    if run.metrics.is_file():
        last = pd.read_csv(run.metrics).iloc[-1]
        figures = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in last.items())
        lines.append(f"last validation: {figures}")
    return Description(str(path), "run", tuple(lines), tuple(tables), tuple(problems))
