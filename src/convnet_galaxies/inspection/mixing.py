"""What is shown: candidates, and among them lenses, known others and repeats, which no page can tell apart.

A showing has a name made by a keyed hash, so that nothing of the candidate is in it. In blind sessions each showing is
also turned and flipped by chance, so that a repeat has not even the same bytes as the image that it repeats.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies.data.human_grades import CANDIDATE, MIXED, REPEAT
from convnet_galaxies.data.labels import read_label
from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.inspection.sources import Source

RADIUS = "einstein_radius_arcsec"


@dataclass(frozen=True, eq=False)
class Showings:
    """All that is shown, n of them; the candidates come first, in their own order.

    keys: str [n], names for the page; ids: str [n], of the candidate or of the image mixed in. role: str [n].
    source, row: int [n], which source (0: the candidates) and which row of it.
    truth: float [n], 1 lens, 0 none, NaN unknown; radius_arcsec: float [n], Einstein radius where it is known.
    turn: int [n], which of the eight symmetries of a square an image is shown in.
    """

    keys: np.ndarray
    ids: np.ndarray
    role: np.ndarray
    source: np.ndarray
    row: np.ndarray
    truth: np.ndarray
    radius_arcsec: np.ndarray
    turn: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    def facts(self, index: int) -> dict[str, Any]:
        """Return what the table of grades keeps of a showing, for the results."""
        facts: dict[str, Any] = {"role": str(self.role[index])}
        if np.isfinite(self.truth[index]):
            facts["lens"] = int(self.truth[index])
        if np.isfinite(self.radius_arcsec[index]):
            facts[RADIUS] = round(float(self.radius_arcsec[index]), 4)
        return facts


def make_showings(
    candidates: Source,
    chosen: np.ndarray,
    *,
    mixed: Sequence[Source] = (),
    mix_share: float = 0.1,
    repeat_share: float = 0.05,
    blind: bool,
    seed: int,
    secret: bytes,
) -> Showings:
    """Plan the showings of the chosen candidates (int [m], rows).

    mixed: sources whose column lens (1 lens, 0 none) is known; without the column all of a source are lenses.
    mix_share, repeat_share: fractions of all showings that are mixed in, and that are candidates shown again.
    Repeats and turns are for blind sessions. Raises UsageError for shares that leave no room, and InputError for a
    source whose column lens has gaps.
    """
    if not (0 <= mix_share < 1 and 0 <= repeat_share < 1 and mix_share + repeat_share < 0.9):
        raise UsageError(
            f"--mix-share and --repeat-share: found {mix_share:g} and {repeat_share:g}, expected fractions that leave "
            "room for candidates",
            "give e.g. 0.1 and 0.05",
        )
    rng = np.random.default_rng([seed, len(chosen)])
    m = len(chosen)
    room = 1 - (mix_share if mixed else 0) - (repeat_share if blind else 0)
    truth, radius = _find_truth(candidates.table, is_mixed=False)
    parts = [_part(candidates, 0, chosen, CANDIDATE, truth, radius)]
    if mixed:
        pool = [_part(one, k, np.arange(len(one)), MIXED, *_find_truth(one.table)) for k, one in enumerate(mixed, 1)]
        everything = pd.concat([part[part["shows"]] for part in pool], ignore_index=True)
        wanted = min(len(everything), max(1, round(m * mix_share / room)))
        parts.append(everything.iloc[np.sort(rng.permutation(len(everything))[:wanted])])
    if blind and repeat_share:
        shown = chosen[candidates.has_image[chosen]]
        wanted = min(len(shown), round(m * repeat_share / room))
        parts.append(_part(candidates, 0, rng.permutation(shown)[:wanted], REPEAT, truth, radius))
    table = pd.concat(parts, ignore_index=True)
    names = table["role"] + "\0" + table["source"].astype("str") + "\0" + table["id"]
    keys = np.array([_make_key(secret, name) for name in names], dtype=str)
    turn = _draw_turns(secret, table, keys) if blind else np.zeros(len(keys), int)
    return Showings(
        keys=keys,
        ids=table["id"].to_numpy().astype(str),
        role=table["role"].to_numpy().astype(str),
        source=table["source"].to_numpy(int),
        row=table["row"].to_numpy(int),
        truth=table["truth"].to_numpy(float),
        radius_arcsec=table["radius"].to_numpy(float),
        turn=turn,
    )


def shuffle(number: int, seed: int, grader: str) -> np.ndarray:
    """Return the order in which a grader sees the showings, int [number]: by the seed, another for each grader."""
    digest = hashlib.blake2b(f"{seed}\0{grader}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest)).permutation(number)


def turn_image(image: LinearImage, turn: int) -> LinearImage:
    """Return an image in one of the eight symmetries of a square; 0 leaves it as it is."""
    if not turn:
        return image

    def move(values: np.ndarray) -> np.ndarray:
        turned = np.rot90(values, turn % 4)
        return np.ascontiguousarray(turned[:, ::-1] if turn >= 4 else turned)

    return replace(image, planes=tuple(replace(plane, values=move(plane.values)) for plane in image.planes))


def _part(
    source: Source, number: int, rows: np.ndarray, role: str, truth: np.ndarray, radius: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": source.table["id"].to_numpy()[rows],
            "role": role,
            "source": number,
            "row": rows,
            "truth": truth[rows],
            "radius": radius[rows],
            "shows": source.has_image[rows],
        }
    )


def _find_truth(table: pd.DataFrame, *, is_mixed: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Truth (1, 0, NaN) and Einstein radius of each row of a source, float [n]."""
    truth = np.full(len(table), np.nan)
    if "lens" in table and table["lens"].notna().any():
        truth = np.asarray(read_label(table, "lens", "the table").get("lens", truth), float)
    elif is_mixed:
        truth = np.ones(len(table))
    if not is_mixed and "known" in table:  # a scan's column: the name of the system that lies there
        truth[(table["known"].notna() & (table["known"].astype("str") != "")).to_numpy()] = 1
    if is_mixed and np.isnan(truth).any():
        raise InputError(
            f"--mix: found {int(np.isnan(truth).sum()):,} images whose column lens is empty, expected 1 or 0",
            "leave these images out of what is mixed in",
        )
    radius = table[RADIUS] if RADIUS in table else pd.Series(np.nan, index=table.index)
    return truth, pd.to_numeric(radius, errors="coerce").to_numpy(float, na_value=np.nan)


def _draw_turns(secret: bytes, table: pd.DataFrame, keys: np.ndarray) -> np.ndarray:
    """One of eight turns for each showing, int [n]; that of a repeat is never the one of its candidate."""
    drawn = np.array([int.from_bytes(_digest(secret, f"turn\0{key}")[:2]) for key in keys])
    first = dict(zip(table["row"][table["role"] == CANDIDATE], drawn[table["role"] == CANDIDATE], strict=True))
    return np.array(
        [
            (first[row] % 8 + 1 + turn % 7) % 8 if role == REPEAT else turn % 8
            for role, row, turn in zip(table["role"], table["row"], drawn, strict=True)
        ],
        dtype=int,
    )


def _digest(secret: bytes, text: str) -> bytes:
    return hashlib.blake2b(text.encode(), key=secret, digest_size=12).digest()


def _make_key(secret: bytes, text: str) -> str:
    return base64.urlsafe_b64encode(_digest(secret, text)).decode()
