"""Training targets of each image, from the columns of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from convnet_galaxies.data.vote_tree import find_votes, fraction_of_all, share_of_asked
from convnet_galaxies.decision_tree import DecisionTree, dump_tree, load_tree
from convnet_galaxies.errors import InputError

FLAVORS = ("dud", "lensed galaxy", "lensed quasar", "lensing cluster")
"""Classes of the flavor head; ``dud`` is a cutout without a lens."""


@dataclass(frozen=True)
class Target:
    """Target of one head.

    values: float32 [n, answers] for votes and counts, float32 [n] for lens (NaN unknown), int64 [n] for classes (-1
        unknown).
    known: bool [n], where the label is known.
    classes: names of the classes; of votes and counts their tree as texts (see dump_tree); empty for lens.
    """

    values: Tensor
    known: np.ndarray
    classes: tuple[str, ...] = ()


def target_votes(table: pd.DataFrame, classes: tuple[str, ...], centres: np.ndarray | None) -> Target:
    """Return the fractions of all volunteers per answer; one missing fraction makes the galaxy unknown."""
    votes, texts = vote_columns(table, "votes", classes)
    return Target(torch.from_numpy(votes.astype(np.float32)), np.isfinite(votes.sum(axis=1)), texts)


def target_counts(table: pd.DataFrame, classes: tuple[str, ...], centres: np.ndarray | None) -> Target:
    """Return how many volunteers gave each answer; a galaxy without any vote is unknown."""
    found = find_votes(table)
    if found is None or found.kind != "counts":
        raise InputError(
            "pack: found no counts of votes, expected them for the task 'counts'",
            "pack the images with `pack votes` and a table of counts",
        )
    _require_tree(found.tree, classes)
    counts = found.read(table)
    return Target(torch.from_numpy(counts.astype(np.float32)), np.nansum(counts, axis=1) > 0, dump_tree(found.tree))


def target_lens(table: pd.DataFrame, classes: tuple[str, ...], centres: np.ndarray | None) -> Target:
    """Return 1 for lenses, 0 for others, NaN for unknown images."""
    lens = table["lens"].to_numpy(np.float32, copy=True)
    return Target(torch.from_numpy(lens), ~np.isnan(lens))


def target_types(table: pd.DataFrame, classes: tuple[str, ...], centres: np.ndarray | None) -> Target:
    """Return the number of the nearest of the centres, float [k, 37]."""
    if centres is None:
        raise ValueError("types need their centres")
    numbers = nearest_type(vote_columns(table, "types")[0], centres)
    names = classes or tuple(f"type {number}" for number in range(len(centres)))
    return Target(torch.from_numpy(numbers), numbers >= 0, names)


def target_flavor(table: pd.DataFrame, classes: tuple[str, ...], centres: np.ndarray | None) -> Target:
    """Return the number of each flavor among the classes. Raises InputError for a flavor that is none of them."""
    labels = table["flavor_label"]
    names = classes or _class_names(labels)
    numbers = pd.Index(names).get_indexer(labels).astype(np.int64)
    strangers = labels[labels.notna().to_numpy() & (numbers < 0)]
    if len(strangers):
        raise InputError(
            f"pack: column 'flavor_label': found '{strangers.iloc[0]}', expected one of {', '.join(names)}",
            "train the flavors again, or correct the table",
        )
    return Target(torch.from_numpy(numbers), numbers >= 0, names)


def vote_columns(table: pd.DataFrame, task: str, classes: tuple[str, ...] = ()) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the fractions of all volunteers, float64 [n, answers], and their tree as texts; from counts where it has
    these.

    classes: the tree that a head has, if not Kaggle's. Raises InputError when a column is missing or the tree is
    another one.
    """
    found = find_votes(table)
    columns = () if found is None else found.tree.columns
    missing = [column for column in columns if column not in table.columns]
    if found is None or missing:
        raise InputError(
            f"pack: found no {f'column {missing[0]!r}' if missing else 'votes'}, expected {len(columns) or 37} columns "
            f"of votes for the task '{task}'",
            "choose another task, or pack the images with their votes",
        )
    _require_tree(found.tree, classes)
    votes = found.read(table)
    if found.kind == "counts":
        votes = fraction_of_all(share_of_asked(votes, found.tree), found.tree)
    return votes, dump_tree(found.tree)


def _require_tree(found: DecisionTree, classes: tuple[str, ...]) -> None:
    expected = load_tree(classes)
    if classes and found.columns != expected.columns:
        raise InputError(
            f"pack: found votes of the tree {found}, expected {expected} as the run was trained on",
            "give a pack of the same tree, or train another head",
        )


def find_centres(table: pd.DataFrame, count: int, seed: int) -> np.ndarray:
    """Return the centres of the types of these galaxies; see find_types."""
    return find_types(vote_columns(table, "types")[0], count, seed=seed)


def find_types(votes: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Find centres of the morphology types, float64 [count, 37], commonest first: k-means of the votes [n, 37]."""
    votes = votes[~np.isnan(votes).any(axis=1)]
    if len(votes) < count:
        raise InputError(
            f"types: found {len(votes)} galaxies with votes, expected at least {count}", "reduce the number of types"
        )
    from sklearn.cluster import KMeans  # only here: prediction does without

    means = KMeans(count, n_init=4, random_state=seed).fit(votes)
    order = np.argsort(-np.bincount(means.labels_, minlength=count), kind="stable")
    return means.cluster_centers_[order]


def nearest_type(votes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the number of the nearest centre, int64 [n]; -1 where votes are missing."""
    distance = ((votes[:, None, :] - centres[None]) ** 2).sum(axis=2)
    return np.where(np.isnan(votes).any(axis=1), -1, np.nan_to_num(distance).argmin(axis=1)).astype(np.int64)


def _class_names(labels: pd.Series) -> tuple[str, ...]:
    found = sorted(labels.dropna().astype(str).unique())
    return FLAVORS if set(found) <= set(FLAVORS) else tuple(found)
