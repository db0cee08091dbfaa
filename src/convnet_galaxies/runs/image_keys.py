"""How an image is recognised in another data set: by what links it, by its name and by its pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from convnet_galaxies.data.pixel_hash import (
    COLUMN,
    MOST_DIFFERENT,
    SHRUNK_DIFFERENT,
    UNLIKE,
    WHOLE,
    count_different,
    find_alike,
    hash_set,
)
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.sky_groups import name_cells
from convnet_galaxies.data.space_warps import find_zoo_id

PIXELS = f"{COLUMN}="
NEVER = 9
"""Rank of an image that none of the known ones is, or is linked with."""


def link_keys(images: ImageSet) -> list[list[str]]:
    """Return what names each image across data sets, e.g. ``["ZooID=ASW0000xyz", "id=cut7", "pixel_hash=64:..."]``.

    Links come first, then the id, a ZooID that is part of it, and the hashes of the pixels.
    A position on the sky gives the cells that it lies in (see name_cells), since the name of a sky_group depends on
    the other images of its set.
    """
    table = images.table
    keys: list[list[str]] = [[] for _ in range(len(table))]
    for column in images.link_columns:
        if column == "sky_group" and {"ra_deg", "dec_deg"} <= set(table.columns):
            positions = table[["ra_deg", "dec_deg"]].to_numpy(float)
            for row in np.flatnonzero(np.isfinite(positions).all(axis=1)).tolist():
                keys[row] += [f"sky={name}" for name in name_cells(*positions[row])]
        elif column in table.columns:
            present = (table[column].notna() & (table[column].astype(str) != "")).to_numpy()
            for row, value in zip(np.flatnonzero(present).tolist(), table[column][present], strict=True):
                keys[row].append(f"{column}={_plain_number(value)}")
    for found, name, hashes in zip(keys, table["id"].astype(str), hash_set(images), strict=True):
        found.append(f"id={name}")
        zoo_id = find_zoo_id(name)
        if zoo_id and f"ZooID={zoo_id}" not in found:
            found.append(f"ZooID={zoo_id}")
        found += [f"{PIXELS}{one}" for one in hashes.split()]
    return keys


def hash_key(key: str) -> str:
    """Return ``#`` and the first 8 bytes of the key's SHA-256 in hex: enough to recognise an image, not to name it.

    Weights that are given away carry these. Two keys agree by chance once in 10^19 comparisons. A key that is hashed
    already stays as it is, and so does a hash of pixels, which must be compared bit by bit.
    """
    return key if key.startswith(("#", PIXELS)) else f"#{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def find_lowest_rank(keys: Sequence[Sequence[str]], known: Iterable[Sequence[str]], ranks: Iterable[int]) -> np.ndarray:
    """Return the lowest rank of the known images that share a key with each image, int [n]; NEVER where none does.

    keys: of each image; known: of each known image, some hashed; ranks: of the known images, 0 to 8.
    """
    best: dict[str, int] = {}
    pictures: list[tuple[dict[str, str], int]] = []
    for row_keys, rank in zip(known, ranks, strict=True):
        for key in row_keys:
            best[key] = min(best.get(key, rank), rank)
        pictures.append((_hashes_of(row_keys), rank))
    forms: list[Callable[[str], str]] = [str]
    if any(key.startswith("#") for key in best):
        forms.append(hash_key)
    found = np.array(
        [min((best.get(form(key), NEVER) for key in row for form in forms), default=NEVER) for row in keys]
    )
    _add_pictures(found, keys, pictures)
    return found


def pixel_keys(keys: Iterable[str]) -> list[str]:
    """Return those of an image's keys that are hashes of its pixels."""
    return [key for key in keys if key.startswith(PIXELS)]


def _add_pictures(
    found: np.ndarray, keys: Sequence[Sequence[str]], pictures: Sequence[tuple[dict[str, str], int]]
) -> None:
    """Lower the ranks found to those of known pictures that look the same; pictures: hashes by side, and rank."""
    known: dict[str, dict[int, list[str]]] = {}
    for hashes, rank in pictures:
        for side, bits in hashes.items():
            known.setdefault(side, {}).setdefault(rank, []).append(bits)
    lowest = min((rank for ranks in known.values() for rank in ranks), default=NEVER)
    asked: dict[str, list[tuple[int, str]]] = {}
    own: dict[int, dict[str, str]] = {}
    for row in np.flatnonzero(found > lowest).tolist():
        own[row] = _hashes_of(keys[row])
        common = [side for side in own[row] if side in known and side != WHOLE]
        # The largest square that both packs show tells most; the whole also tells an image that was shrunk.
        for side in {*([WHOLE] if WHOLE in own[row] else []), *([max(common, key=int)] if common else [])}:
            asked.setdefault(side, []).append((row, own[row][side]))
    for side, questions in asked.items():
        rows = np.array([row for row, _ in questions])
        for rank, theirs in known.get(side, {}).items():
            alike = rows[find_alike([bits for _, bits in questions], theirs)]
            if side == WHOLE:
                others = [hashes for hashes, other in pictures if other == rank and WHOLE in hashes]
                alike = np.array([row for row in alike.tolist() if _is_among(own[row], others)], int)
            found[alike] = np.minimum(found[alike], rank)


def _is_among(hashes: dict[str, str], others: Sequence[dict[str, str]]) -> bool:
    """Return whether an image is one of others whose whole agrees with its own, as far as their squares agree too.

    Of millions of pairs a few wholes agree by chance.
    """
    whole = count_different([hashes[WHOLE]], [one[WHOLE] for one in others])[0]
    for number in np.flatnonzero(whole <= MOST_DIFFERENT).tolist():
        common = [side for side in hashes if side != WHOLE and side in others[number]]
        if not common or whole[number] <= SHRUNK_DIFFERENT:
            return True
        side = max(common, key=int)
        if count_different([hashes[side]], [others[number][side]])[0, 0] <= UNLIKE:
            return True
    return False


def _hashes_of(keys: Iterable[str]) -> dict[str, str]:
    """Return an image's hashes of pixels by their side."""
    return dict(map(_read_hash, pixel_keys(keys)))


def _read_hash(key: str) -> tuple[str, str]:
    side, bits = key.removeprefix(PIXELS).split(":")
    return side, bits


def _plain_number(value: object) -> object:
    """Joining tables turns 100008 into 100008.0 where some rows have none; the galaxy stays the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
