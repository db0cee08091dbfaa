"""Split of a run: its training images, and keys by which other packs recognise them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.sky_groups import name_cells
from convnet_galaxies.errors import InputError
from convnet_galaxies.runs.folder import BUILTIN, run_path


def link_keys(table: pd.DataFrame, link_columns: tuple[str, ...]) -> list[list[str]]:
    """Return the keys of each image across data sets, e.g. ``["ZooID=ASW0000xyz", "image_file=3.png"]``; else its id.

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
    """Read the split of a run; None for built-in weights that carry none."""
    path = run_path(run) / "split.parquet"
    return read_split(path) if path.is_file() or not str(run).startswith(BUILTIN) else None


def hash_key(key: str) -> str:
    """Return ``#`` and the first 8 bytes of the key's SHA-256 in hex: enough to recognise an image, not to name it.

    Weights that are given away carry these. Two keys agree by chance once in 10^19 comparisons. A key that is hashed
    already stays as it is.
    """
    return key if key.startswith("#") else f"#{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def hash_split(split: pd.DataFrame) -> pd.DataFrame:
    """Return a split without names: only what was used, its keys hashed, sorted by them; the origin is ``an
    ancestor``."""
    used = split[split["used"]].copy()
    used["keys"] = [sorted(hash_key(key) for key in keys) for keys in used["keys"]]
    used["id"] = [keys[0] for keys in used["keys"]]
    used["origin"] = np.where(used["origin"] == "this run", "this run", "an ancestor")
    return used.sort_values(["part", "id"], ignore_index=True)


def used_keys(split: pd.DataFrame, part: str) -> set[str]:
    """Return keys of all images that the run or an ancestor used in a part, ``train`` or ``validation``; some
    hashed."""
    rows = split[(split["part"] == part) & split["used"]]
    return {key for keys in rows["keys"] for key in keys}


def was_trained_on(table: pd.DataFrame, link_columns: tuple[str, ...], split: pd.DataFrame) -> np.ndarray:
    """Return a mask [n] of the images whose group shares a galaxy, a field, an image file or an id with the training
    images."""
    return _shares_key(table, link_columns, split, "train")


def was_validated_on(table: pd.DataFrame, link_columns: tuple[str, ...], split: pd.DataFrame) -> np.ndarray:
    """Return the same mask for the images by which the run's or an ancestor's best weights were chosen."""
    return _shares_key(table, link_columns, split, "validation")


def _shares_key(table: pd.DataFrame, link_columns: tuple[str, ...], split: pd.DataFrame, part: str) -> np.ndarray:
    seen = used_keys(split, part)
    own = [any(key in seen or hash_key(key) in seen for key in keys) for keys in link_keys(table, link_columns)]
    # Whole groups: an image may be linked to a training image by a third one that was not used itself.
    return pd.Series(own, dtype=bool).groupby(table["group"].to_numpy()).transform("any").to_numpy()
