"""Tables with image locations (Records), pixels with their table (ImageSet), and splits without leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.sky_groups import group_by_sky
from convnet_galaxies.errors import InputError, UsageError

PARTS = ("train", "validation", "test")
PIXEL_HASH = "pixel_hash"
"""Column of a pack with the hashes of each image (pixel_hash.py); images of equal pixels have equal ones."""


@dataclass(frozen=True)
class Records:
    """A data set as a reader found it: a table, and where its images are; nothing is decoded yet.

    kind: ``galaxy-zoo``, ``space-warps`` or ``images``.
    table: one row per image, index 0..n-1, always with the string columns ``id`` (unique) and ``group``
        (images of one group never stand on both sides of a split); labels and everything else the source had.
    files: one per row, in the same order; None for a table that was read without its images.
    link_columns: columns of the table of which one shared value puts two images into one group.
    remarks: what the reader noticed and the user should know, one sentence each.
    skipped: what was left out because skip_bad allowed it, and why, one text each.
    """

    kind: str
    table: pd.DataFrame
    files: tuple[ImageFile, ...] | None
    link_columns: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.files is not None and len(self.files) != len(self.table):
            raise ValueError(f"{len(self.files)} files for {len(self.table)} rows")

    def __len__(self) -> int:
        return len(self.table)

    def select(self, rows: np.ndarray) -> Records:
        """Return the records at the given row numbers (int) or where a mask (bool, [n]) is true."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        files = None if self.files is None else tuple(self.files[row] for row in rows)
        return replace(self, table=self.table.iloc[rows].reset_index(drop=True), files=files)


@dataclass(frozen=True)
class ImageSet:
    """Images that went through one Preprocess, and their table.

    images: uint8 [n, h, w, bands]; may be memory-mapped.
    table: one row per image, in the same order (see Records).
    preprocess: how the pixels were made; predictions must make theirs the same way.
    link_columns: see Records.
    linear: whether some of the images had linear values, which preprocess.stretch made into pixels; it did nothing
        to the others.
    warnings: what was guessed or amiss when the pixels were made, one sentence each (see InputNotes).
    """

    images: np.ndarray
    table: pd.DataFrame
    preprocess: Preprocess
    kind: str = "images"
    link_columns: tuple[str, ...] = ()
    linear: bool = False
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    def select(self, rows: np.ndarray) -> ImageSet:
        """Return the images at the given row numbers (int) or where a mask (bool, [n]) is true.

        The pixels of the selected images are copied, unless all are selected in order.
        """
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        everything = len(rows) == len(self) and bool((rows == np.arange(len(self))).all())
        images = self.images if everything else self.images[rows]
        return replace(self, images=images, table=self.table.iloc[rows].reset_index(drop=True))

    def split(self, fractions: Sequence[float] = (0.8, 0.1, 0.1), *, seed: int) -> np.ndarray:
        """Return the part of each image (str [n]: train, validation or test), whole groups only."""
        return split_groups(self.table["group"].to_numpy(), fractions, seed=seed)


def connect(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Group name (str [n]) of each row: rows that share a value in any of the columns are connected.

    Missing values (NaN, None, empty text) connect nothing. A group is named after its first row's first
    present value, so that the names do not depend on the order of the other rows.
    """
    from scipy.sparse import coo_array  # slow to load, and only readers need it
    from scipy.sparse.csgraph import connected_components

    n = len(table)
    rows, nodes, offset = [], [], 0
    for column in columns:
        values = table[column]
        present = (values.notna() & (values.astype(str) != "")).to_numpy()
        codes, names = pd.factorize(values[present].astype(str))
        rows.append(np.flatnonzero(present))
        nodes.append(codes + offset)
        offset += len(names)
    left = np.concatenate(rows) if rows else np.empty(0, int)
    right = np.concatenate(nodes) + n if nodes else np.empty(0, int)
    size = n + offset
    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    component = component[:n]
    first_rows = pd.Series(np.arange(n)).groupby(component).transform("min").to_numpy()
    names_of_rows = table["id"].astype(str).to_numpy().copy()
    for column in reversed(columns):
        values = table[column]
        present = (values.notna() & (values.astype(str) != "")).to_numpy()
        names_of_rows[present] = f"{column}=" + values[present].astype(str).to_numpy().astype(object)
    return names_of_rows[first_rows].astype(object)


def join_copies(table: pd.DataFrame, first: np.ndarray) -> pd.DataFrame:
    """Return the table with the groups of copies joined, under the name of the group that comes first.

    first: int [n], as found by find_copies. Without copies the table is returned as it is.
    """
    if (first == np.arange(len(table))).all():
        return table
    links = pd.DataFrame({"id": table["id"], "group": table["group"], "copy": first})
    joined = pd.Series(connect(links, ("group", "copy"))).str.removeprefix("group=")
    return table.assign(group=joined.to_numpy(object))


def find_copies(table: pd.DataFrame, images: np.ndarray) -> np.ndarray:
    """Return the row of the first image of exactly the same pixels, int [n]; the own row where there is none.

    images: uint8 [n, h, w, bands]. An image of one colour is no copy: it shows nothing that could leak. Compared are
    images whose hashes agree, or all where the table has none.
    """
    first = np.arange(len(images))
    rows = first.copy()
    if PIXEL_HASH in table:
        hashes = table[PIXEL_HASH]
        rows = np.flatnonzero((hashes.isna() | ((hashes != "") & hashes.duplicated(keep=False))).to_numpy(bool))
    seen: dict[bytes, int] = {}
    for row in rows.tolist():
        pixels = np.ascontiguousarray(images[row])
        if (pixels != pixels[0, 0]).any():
            first[row] = seen.setdefault(hashlib.sha256(pixels.tobytes()).digest(), row)
    return first


def split_groups(groups: np.ndarray, fractions: Sequence[float], *, seed: int) -> np.ndarray:
    """Return the part of each image (str [n]) such that no group stands in two parts.

    groups: str [n]; fractions: shares of train, validation and test, adding to 1. Groups are shuffled by the
    seed and dealt, largest deficit first, so that each part comes within one group of its share of images.
    """
    shares = np.asarray(fractions, float)
    if shares.shape != (3,) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise UsageError(
            f"split: found fractions {list(fractions)}, expected three that add to 1", "use e.g. 0.8 0.1 0.1"
        )
    codes, names = pd.factorize(groups)
    sizes = np.bincount(codes, minlength=len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    wanted, have = shares * len(groups), np.zeros(3)
    part_of_group = np.empty(len(names), int)
    for group in order:
        part = int(np.argmax(np.where(shares > 0, wanted - have, -np.inf)))
        part_of_group[group] = part
        have[part] += sizes[group]
    return np.array(PARTS, dtype=object)[part_of_group[codes]]


def stage_rows(table: pd.DataFrame, stage: int) -> np.ndarray:
    """Return the mask of the images of a Space Warps stage, bool [n]. Raises InputError when there is no such stage."""
    if "stage" not in table.columns:
        raise InputError("--stage: the pack has no column 'stage'", "leave out --stage")
    stages = pd.to_numeric(table["stage"], errors="coerce").astype(float)
    mask = (stages == stage).to_numpy()
    if not mask.any():
        found = ", ".join(f"{value:g}" for value in sorted(stages.dropna().unique())) or "none"
        raise InputError(f"--stage {stage}: found only stages {found}", "choose one of these")
    return mask


def join_sets(sets: Sequence[ImageSet]) -> ImageSet:
    """Return one set of several. Groups are connected again across them, since surveys share images across stages."""
    if len(sets) == 1:
        return sets[0]
    first = next((one for one in sets if one.linear), sets[0])  # its stretch has touched pixels
    for other in sets:
        made = (
            other.preprocess
            if other.linear
            else other.preprocess.model_copy(update={"stretch": first.preprocess.stretch})
        )
        if other.images.shape[1:] != first.images.shape[1:] or made != first.preprocess:
            raise InputError(
                f"packs: found images of shape {other.images.shape[1:]} made by [{other.preprocess}], "
                f"expected {first.images.shape[1:]} made by [{first.preprocess}] as in the others",
                "pack all sources with the same settings",
            )
    links = tuple(dict.fromkeys(column for one in sets for column in one.link_columns))
    table = pd.concat([one.table for one in sets], ignore_index=True)
    if table["id"].duplicated().any():
        twice = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise InputError(f"packs: image {twice} stands in more than one pack", "give each image once")
    if "sky_group" in links:
        table["sky_group"] = group_by_sky(table["ra_deg"].to_numpy(float), table["dec_deg"].to_numpy(float))
    if links:
        table["group"] = connect(table, links)
    kind = first.kind if all(one.kind == first.kind for one in sets) else "images"
    pixels = np.concatenate([one.images for one in sets])
    table = join_copies(table, find_copies(table, pixels))
    warnings = tuple(dict.fromkeys(text for one in sets for text in one.warnings))
    return ImageSet(pixels, table, first.preprocess, kind, links, linear=first.linear, warnings=warnings)
