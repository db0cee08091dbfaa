"""Folder of a run: weights, data, settings, and everything needed to use or resume it.

``settings.toml``, ``weights.safetensors``, ``model.json``, ``metrics.csv``, ``split.parquet``,
``environment.json``, ``familiarity.safetensors`` when it was fitted, and ``resume.ckpt`` while unfinished.
``model.json`` is written last, so a folder that has it is a finished run.
Nothing here loads torch or pandas before a run is written, so that a missing run is reported at once.
"""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from convnet_galaxies import __version__
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.paths import StrPath

BUILTIN = "builtin:"


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run's folder."""

    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "settings.toml"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def card(self) -> Path:
        return self.path / "model.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def split(self) -> Path:
        return self.path / "split.parquet"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def familiarity(self) -> Path:
        return self.path / "familiarity.safetensors"

    @property
    def checkpoint(self) -> Path:
        return self.path / "resume.ckpt"

    @property
    def is_finished(self) -> bool:
        return self.card.is_file()

    def create(self, *, force: bool, fill: Callable[[RunFolder], None] = lambda run: None) -> None:
        """Make the folder, with what fill writes into it: whole or not at all. Its lock is held by the caller.

        Raises OutputExistsError unless it is new, empty, or a run and force is given; a folder that holds anything
        else than a run's own files is refused.
        """
        from convnet_galaxies.data.output import beside, replace_folder

        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            if not force:
                raise OutputExistsError(self.path)
            self.require_replaceable()
        try:
            with beside(self.path.resolve()) as temporary:
                temporary.mkdir()
                fill(RunFolder(temporary))
                replace_folder(temporary, self.path.resolve())
        except (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError) as error:
            raise InputError(f"{self.path}: cannot be made ({error.strerror})", "choose another output") from None

    def require_replaceable(self) -> None:
        """Raise InputError unless the folder is a run and holds nothing else."""
        if not self.path.is_dir() or not is_run(self.path):
            raise InputError(f"{self.path}: is not a run, so it is not replaced", "choose another output")
        if strangers := self._look()[1]:
            raise InputError(
                f"{self.path}: holds {strangers[0]}, which is no file of a run, so it is not replaced",
                "move it away, or choose another output",
            )

    def clear_up(self) -> None:
        """Remove what killed processes left in the folder."""
        for path in self._look()[0]:
            path.unlink(missing_ok=True)

    @property
    def _own(self) -> tuple[Path, ...]:
        logs = (self.metrics, self.split, self.environment, self.checkpoint)
        return (self.settings, self.weights, self.familiarity, self.card, *logs)

    def _look(self) -> tuple[list[Path], list[str]]:
        """Find leftovers of unfinished writing, and files that no run has."""
        left_over = [
            path
            for one in self._own
            for ending in ("unfinished-*", "lock")
            for path in self.path.glob(f".{one.name}.{ending}")
        ]
        return left_over, sorted(path.name for path in self.path.iterdir() if path not in (*self._own, *left_over))

    def write_environment(self, extra: Mapping[str, Any]) -> None:
        """Record versions and machine."""
        import numpy as np
        import torch

        facts = {
            "convnet-galaxies": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "system": platform.platform(),
            "processor": platform.machine(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            **extra,
        }
        self.environment.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")

    def append_metrics(self, row: Mapping[str, float | int]) -> None:
        """Add one line to metrics.csv; the first call writes the header."""
        new = not self.metrics.exists()
        with self.metrics.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row), lineterminator=os.linesep)  # as pandas writes it
            if new:
                writer.writeheader()
            writer.writerow(
                {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            )
            file.flush()
            os.fsync(file.fileno())  # before the checkpoint, whose lines they are

    def keep_metrics_until(self, epoch: int) -> None:
        """Drop the lines after the given epoch, which a resumed run will write again."""
        if self.metrics.exists():
            import pandas as pd

            from convnet_galaxies.data.output import new_file

            table = pd.read_csv(self.metrics, dtype=str)
            with new_file(self.metrics, force=True) as temporary:
                table[table["epoch"].astype(int) <= epoch].to_csv(temporary, index=False)


def is_run(path: Path) -> bool:
    """Return whether a folder is a run, finished or not."""
    run = RunFolder(path)
    return run.is_finished or (run.settings.is_file() and run.environment.is_file())


def is_run_alone(path: Path) -> bool:
    """Return whether a folder is a run and holds nothing that a run does not."""
    return is_run(path) and not RunFolder(path)._look()[1]


def run_path(run: StrPath) -> Path:
    """Return the folder of a run: a path, or ``builtin:NAME`` for weights that ship with the package."""
    text = os.fspath(run)
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
