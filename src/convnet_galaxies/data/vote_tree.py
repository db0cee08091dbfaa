"""The votes of a table of images: of which tree, and whether as counts or as fractions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS, DecisionTree, dump_tree, load_tree

VoteKind = Literal["counts", "fractions"]


@dataclass(frozen=True)
class TableVotes:
    """The votes of a table. kind: counts of volunteers, or fractions of all volunteers as in the Galaxy Challenge."""

    tree: DecisionTree
    kind: VoteKind

    def read(self, table: pd.DataFrame) -> np.ndarray:
        """Return the votes as float64 [n, answers] in the order of the tree's columns; NaN where there are none."""
        return table[list(self.tree.columns)].to_numpy(float, copy=True)


def note_votes(table: pd.DataFrame, tree: DecisionTree, kind: VoteKind) -> pd.DataFrame:
    """Return the table itself, with its votes noted where packs keep them."""
    table.attrs["votes"] = {"tree": list(dump_tree(tree)), "kind": kind}
    return table


def find_votes(table: pd.DataFrame) -> TableVotes | None:
    """Return the votes of a table: those that were noted, else the 37 fractions of Kaggle; None without any."""
    noted = table.attrs.get("votes")
    if noted is not None:
        return TableVotes(load_tree(tuple(noted["tree"])), noted["kind"])
    return TableVotes(KAGGLE, "fractions") if VOTE_COLUMNS[0] in table.columns else None


def share_of_asked(counts: np.ndarray, tree: DecisionTree) -> np.ndarray:
    """Return the fraction of each answer among the volunteers asked, float [n, answers]; NaN without votes.

    counts: float [n, answers], NaN where there are none.
    """
    shares = np.full(counts.shape, np.nan)
    for part in tree.slices:
        total = counts[:, part].sum(axis=1, keepdims=True)
        np.divide(counts[:, part], total, out=shares[:, part], where=total > 0)
    return shares


def fraction_of_all(shares: np.ndarray, tree: DecisionTree) -> np.ndarray:
    """Return the fraction of all volunteers who give each answer, float [n, answers].

    shares: among those who are asked. Of a question that nobody is asked, missing shares (NaN) become 0.
    """
    found = np.array(tree.fill(lambda question, answer: shares[:, tree.slices[question].start + answer]), dtype=float).T
    for question, part in enumerate(tree.slices):
        asked = tree.asked(question, list(found.T), lambda q, a: shares[:, tree.slices[q].start + a])
        if asked is not None:
            found[np.asarray(asked) == 0, part] = 0
    return found
