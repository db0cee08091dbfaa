"""The folder of a run: what was trained, on what, how, and everything needed to use it or go on.

``settings.toml``, ``weights.safetensors``, ``model.json``, ``metrics.csv``, ``split.parquet``,
``environment.json``, ``familiarity.safetensors`` when it was fitted, and ``resume.ckpt`` while unfinished.
``model.json`` is written last, so a folder that has it is a finished run.
"""

from __future__ import annotations

import csv
import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from convnet_galaxies import __version__
from convnet_galaxies.data.sky_groups import name_cells
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.runs.weights import BUILTIN, run_path


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

    def create(self, *, force: bool) -> None:
        """Make the folder. Raises OutputExistsError unless it is new, empty, or a run and force is given.

        Only a run's own files are ever removed; a folder that holds anything else is refused.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            if not force:
                raise OutputExistsError(self.path)
            self._remove_files()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be made ({error.strerror})", "choose another output") from None

    def _remove_files(self) -> None:
        if not self.path.is_dir() or not is_run(self.path):
            raise InputError(f"{self.path}: is not a run, so it is not replaced", "choose another output")
        left_over, strangers = self._look()
        if strangers:
            raise InputError(
                f"{self.path}: holds {strangers[0]}, which is no file of a run, so it is not replaced",
                "move it away, or choose another output",
            )
        # model.json goes first: what is left when this is cut off is no finished run.
        for path in (self.card, *self._own, *left_over):
            path.unlink(missing_ok=True)

    @property
    def _own(self) -> tuple[Path, ...]:
        logs = (self.metrics, self.split, self.environment, self.checkpoint)
        return (self.settings, self.weights, self.familiarity, self.card, *logs)

    def _look(self) -> tuple[list[Path], list[str]]:
        """What unfinished writing left over, and names of what no run has."""
        left_over = [path for one in self._own for path in self.path.glob(f".{one.name}.unfinished-*")]
        return left_over, sorted(path.name for path in self.path.iterdir() if path not in (*self._own, *left_over))

    def write_environment(self, extra: Mapping[str, Any]) -> None:
        """Record versions and machine."""
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
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(
                {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            )

    def keep_metrics_until(self, epoch: int) -> None:
        """Drop the lines after the given epoch, which a resumed run will write again."""
        if self.metrics.exists():
            table = pd.read_csv(self.metrics, dtype=str)
            table[table["epoch"].astype(int) <= epoch].to_csv(self.metrics, index=False)


def is_run(path: Path) -> bool:
    """Whether a folder is a run, finished or not."""
    run = RunFolder(path)
    return run.is_finished or (run.settings.is_file() and run.environment.is_file())


def is_run_alone(path: Path) -> bool:
    """Whether a folder is a run and holds nothing that a run does not."""
    return is_run(path) and not RunFolder(path)._look()[1]


def link_keys(table: pd.DataFrame, link_columns: tuple[str, ...]) -> list[list[str]]:
    """What names each image across data sets, e.g. ``["ZooID=ASW0000xyz", "image_file=5183.png"]``; else its id.

    A position on the sky gives the cells that it lies in (see name_cells), since the name of a sky_group depends on
    the other images of its set.
    """
    keys: list[list[str]] = [[] for _ in range(len(table))]
    for column in link_columns:
        if column == "sky_group" and {"ra_deg", "dec_deg"} <= set(table.columns):
            positions = table[["ra_deg", "dec_deg"]].to_numpy(float)
            for row in np.flatnonzero(np.isfinite(positions).all(axis=1)).tolist():
                keys[row] += [f"sky={name}" for name in name_cells(*positions[row])]
        elif column in table.columns:
            for row, value in enumerate(table[column]):
                if not pd.isna(value) and str(value) != "":
                    keys[row].append(f"{column}={_plain_number(value)}")
    return [found or [f"id={name}"] for found, name in zip(keys, table["id"], strict=True)]


def _plain_number(value: object) -> object:
    """Joining tables turns 100008 into 100008.0 where some rows have none; the galaxy stays the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def write_split(path: Path, table: pd.DataFrame) -> None:
    """Write the split: columns id, part, used (bool: this run trained or validated on it), keys (list), origin."""
    table.to_parquet(path, index=False)


def read_split(path: Path) -> pd.DataFrame:
    """Read what write_split wrote. Raises InputError."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "restore the file, or train again") from None


def read_split_of(run: str | Path) -> pd.DataFrame | None:
    """The split of a run; None for built-in weights that carry none."""
    path = run_path(run) / "split.parquet"
    return read_split(path) if path.is_file() or not str(run).startswith(BUILTIN) else None


def hash_key(key: str) -> str:
    """``#`` and the first 8 bytes of the key's SHA-256 in hex: enough to recognise an image, not to name it.

    Weights that are given away carry these. Two keys agree by chance once in 10^19 comparisons. A key that is hashed
    already stays as it is.
    """
    return key if key.startswith("#") else f"#{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def hash_split(split: pd.DataFrame) -> pd.DataFrame:
    """A split without names: only what was used, its keys hashed, sorted by them; the origin is ``an ancestor``."""
    used = split[split["used"]].copy()
    used["keys"] = [sorted(hash_key(key) for key in keys) for keys in used["keys"]]
    used["id"] = [keys[0] for keys in used["keys"]]
    used["origin"] = np.where(used["origin"] == "this run", "this run", "an ancestor")
    return used.sort_values(["part", "id"], ignore_index=True)


def used_keys(split: pd.DataFrame, part: str) -> set[str]:
    """Keys of all images that the run or an ancestor used in a part, ``train`` or ``validation``; some hashed."""
    rows = split[(split["part"] == part) & split["used"]]
    return {key for keys in rows["keys"] for key in keys}


def was_trained_on(table: pd.DataFrame, link_columns: tuple[str, ...], split: pd.DataFrame) -> np.ndarray:
    """Mask [n] of the images whose group shares a galaxy, a field, an image file or an id with the training images."""
    return _shares_key(table, link_columns, split, "train")


def was_validated_on(table: pd.DataFrame, link_columns: tuple[str, ...], split: pd.DataFrame) -> np.ndarray:
    """The same mask for the images by which the run's or an ancestor's best weights were chosen."""
    return _shares_key(table, link_columns, split, "validation")


def _shares_key(table: pd.DataFrame, link_columns: tuple[str, ...], split: pd.DataFrame, part: str) -> np.ndarray:
    seen = used_keys(split, part)
    own = [any(key in seen or hash_key(key) in seen for key in keys) for keys in link_keys(table, link_columns)]
    # Whole groups: an image may be linked to a training image by a third one that was not used itself.
    return pd.Series(own, dtype=bool).groupby(table["group"].to_numpy()).transform("any").to_numpy()
