"""Split of a run: its training images, and keys by which other packs recognise them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.parquet_file import read_frame
from convnet_galaxies.data.records import PARTS, ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.runs.folder import BUILTIN, run_path
from convnet_galaxies.runs.image_keys import NEVER, PIXELS, find_lowest_rank, hash_key, link_keys, pixel_keys

CALIBRATION = "calibration"
"""Origin of the images on which `calibrate` fitted the probabilities of a run."""


def write_split(path: Path, table: pd.DataFrame) -> None:
    """Write the split: columns id, part, used (bool: this run trained or validated on it), keys (list), origin."""
    table.to_parquet(path, index=False, compression="zstd")


def read_split(path: Path) -> pd.DataFrame:
    """Read what write_split wrote. Raises InputError."""
    try:
        return read_frame(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "restore the file, or train again") from None


def read_split_of(run: str | Path) -> pd.DataFrame | None:
    """Read the split of a run; None for built-in weights that carry none."""
    path = run_path(run) / "split.parquet"
    return read_split(path) if path.is_file() or not str(run).startswith(BUILTIN) else None


def hash_split(split: pd.DataFrame) -> pd.DataFrame:
    """A split without names: each image that was used once, its keys hashed, sorted; origins are ``an ancestor``."""
    used = split[split["used"]].copy()
    used["keys"] = [sorted(hash_key(key) for key in keys) for keys in used["keys"]]
    used["id"] = [keys[0] for keys in used["keys"]]
    used["origin"] = np.where(used["origin"] == "this run", "this run", "an ancestor")
    used["text"] = used["keys"].map(" ".join)
    used = used.drop_duplicates(["part", "text", "origin"]).drop(columns="text")
    return used.sort_values(["part", "id"], ignore_index=True)


def known_keys(split: pd.DataFrame, parts: Sequence[str], *, used: bool = True) -> tuple[list[list[str]], list[int]]:
    """Return the keys of each image in these parts of a split, some hashed, and the number of its part.

    used: only images that the run or an ancestor trained or validated on.
    """
    rows = split[split["part"].isin(parts) & (split["used"].astype(bool) | (not used))]
    # Earlier versions gave no key to the id of an image that had any link.
    keys = [
        [*found] if str(name).startswith("#") else [*found, f"id={name}"]
        for found, name in zip(rows["keys"], rows["id"], strict=True)
    ]
    return keys, [list(parts).index(part) for part in rows["part"]]


def find_past_use(images: ImageSet, split: pd.DataFrame, parts: Sequence[str] = PARTS[:2]) -> np.ndarray:
    """Return for what a run or an ancestor used each image: the number of the first such part, int [n], else NEVER.

    Whole groups, since an image may be linked to a training image by a third one that was not used itself.
    """
    own = find_lowest_rank(link_keys(images), *known_keys(split, parts))
    return pd.Series(own).groupby(images.table["group"].to_numpy()).transform("min").to_numpy()


def was_trained_on(images: ImageSet, split: pd.DataFrame) -> np.ndarray:
    """Mask [n] of the images whose group shares a link, an id or its pixels with the training images."""
    return find_past_use(images, split, ("train",)) < NEVER


def was_validated_on(images: ImageSet, split: pd.DataFrame) -> np.ndarray:
    """The same mask for the images by which the run's or an ancestor's best weights were chosen."""
    return find_past_use(images, split, ("validation",)) < NEVER


def find_learned_pictures(images: ImageSet, split: pd.DataFrame) -> np.ndarray:
    """Mask [n] of the images whose own pixels are those of a training image, whatever it was called."""
    known, ranks = known_keys(split, ("train",))
    keys = [pixel_keys(row) for row in link_keys(images)]
    return find_lowest_rank(keys, [pixel_keys(row) for row in known], ranks) < NEVER


def remark_on_recognition(images: ImageSet, run: str | Path) -> str:
    """Return a warning where nothing but names tells which images a run was trained on; empty elsewhere."""
    split = read_split_of(run)
    if split is None or not len(split):
        return f"{run}: carries no list of its training images, so that nothing tells whether these are among them"
    known = {_kind(key) for row in known_keys(split, PARTS[:2])[0] for key in row}
    few = images.select(np.arange(min(len(images), 1000)))
    own = {_kind(key) for row in link_keys(few) for key in row}
    if known & own - {"id"}:
        return ""
    return (
        f"{run}: its training images are recognised by their ids alone; it was trained by an earlier version, "
        "and the pack shares none of its links (GalaxyID, ZooID, image file, position). Renamed copies are not refused"
    )


def _kind(key: str) -> str:
    """``ZooID``, or ``pixel_hash=64`` since only hashes of the same square can be compared; ``#`` if hashed."""
    return "#" if key.startswith("#") else key.split(":" if key.startswith(PIXELS) else "=")[0]
