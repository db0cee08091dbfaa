"""Reads votes as catalogues of Galaxy Zoo campaigns have them, with the images: counts, or fractions with totals.

Columns are ``{question}_{answer}``, where the question may carry its campaign (``bar-dr5_yes``); counts have no ending,
or ``_count`` or ``_votes``, fractions ``_fraction``, and ``{question}_total-votes`` is the number of volunteers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.missing_values import find_missing
from convnet_galaxies.data.panoptes.blocks import is_export
from convnet_galaxies.data.records import Records
from convnet_galaxies.data.vote_table import check_tree
from convnet_galaxies.data.vote_tree import VoteKind, fraction_of_all, note_votes
from convnet_galaxies.decision_tree import DecisionTree, Question
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, name_some

_COUNTS, _FRACTIONS, _TOTALS = (
    ("", "_count", "_counts", "_votes"),
    ("_fraction", "_frac"),
    ("_total-votes", "_total_votes", "_total"),
)
_IGNORED = ("_debiased", "_debiased_fraction", "_mean", "_weighted_fraction", "_weight", "_flag")
ROUNDING = 0.02
"""Published fractions of few volunteers are rounded to two digits."""


@dataclass(frozen=True)
class _Columns:
    """Columns of one tree in a table. counts, fractions: by column of the tree; totals: by question; campaign: the
    ending of their questions."""

    campaign: str
    counts: dict[str, str]
    fractions: dict[str, str]
    totals: dict[str, str]


def read_vote_counts(
    images: StrPath,
    table: StrPath,
    trees: Sequence[DecisionTree],
    *,
    campaign: str | None = None,
    skip_bad: bool = False,
) -> Records:
    """Read images and a catalogue of votes with a row for each.

    images, table, skip_bad: as in read_image_folder. trees: of the campaigns whose columns the table has; several give
    one tree with the questions of all, named ``question-campaign``.
    campaign: the ending of the questions to read where the table has several, such as ``dr5``.
    The votes are whole numbers of volunteers under the tree's columns, float64, NaN for a question without any. Where
    the table has fractions but no totals, they are fractions of all volunteers, which the task ``votes`` learns.
    Raises InputError for columns that are missing or too many, and for votes that are no counts.
    """
    if is_export(Path(table)):
        raise InputError(
            f"{table}: is a classification export of Zooniverse, expected a table of votes",
            "count its votes first: `zooniverse votes EXPORT --names FILE -o votes.csv`",
        )
    records = read_image_folder(images, table, skip_bad=skip_bad)
    given = records.table
    remarks = list(records.remarks)
    made: dict[str, np.ndarray] = {}
    kinds: set[VoteKind] = set()
    used: set[str] = set()
    whole = trees[0] if len(trees) == 1 else join_trees(trees)
    names = iter(whole.columns)
    for tree in trees:
        found = _find_columns(given, tree, str(table), campaign if len(trees) == 1 else campaign or tree.name)
        values, kind, remark = _read_values(given, tree, found, str(table))
        kinds.add(kind)
        used.update((*found.counts.values(), *found.fractions.values(), *found.totals.values()))
        remarks.append(f"{tree.name}: {remark}")
        remarks += _remark_on_sums(values, tree, kind)
        made.update({next(names): column for column in values.T})
    if len(kinds) > 1:
        raise InputError(
            f"{table}: found counts for some campaigns and fractions alone for others, expected one kind",
            "give the totals of all, or pack the campaigns apart",
        )
    (kind,) = kinds
    kept = given.drop(columns=[name for name in given if name in used or name in made])
    joined = pd.concat([kept, pd.DataFrame(made, index=kept.index)], axis=1)
    joined.attrs = dict(given.attrs)
    return replace(records, kind="votes", table=note_votes(joined, whole, kind), remarks=tuple(remarks))


def join_trees(trees: Sequence[DecisionTree]) -> DecisionTree:
    """Return one tree with the questions of several campaigns, each named after its campaign: ``bar-euclid_yes``."""
    questions: list[Question] = []
    for tree in trees:
        new = {
            column: f"{question.name}-{tree.name}{column.removeprefix(question.name)}"
            for question in tree.questions
            for column in question.columns
        }
        questions += [
            Question(
                f"{one.name}-{tree.name}",
                f"{one.text} ({tree.name})",
                tuple(new[column] for column in one.columns),
                one.answers,
                None if one.after is None else tuple(new[column] for column in one.after),
            )
            for one in tree.questions
        ]
    return DecisionTree(" and ".join(tree.name for tree in trees), tuple(questions))


def _find_columns(frame: pd.DataFrame, tree: DecisionTree, where: str, campaign: str | None) -> _Columns:
    by_campaign: dict[str, dict[str, dict[str, str]]] = {}
    strangers: list[str] = []
    longest = sorted((question.name for question in tree.questions), key=len, reverse=True)
    answers = {
        question.name: [c.removeprefix(f"{question.name}_") for c in question.columns] for question in tree.questions
    }
    columns = {(q.name, c.removeprefix(f"{q.name}_")): c for q in tree.questions for c in q.columns}
    for name in map(str, frame):
        match = next((m for q in longest if (m := re.fullmatch(rf"({re.escape(q)})(?:-([\w.-]+?))?_(.+)", name))), None)
        if match is None:
            continue
        question, ending, rest = match[1], match[2] or "", match[3]
        kinds = by_campaign.setdefault(ending, {"counts": {}, "fractions": {}, "totals": {}})
        if f"_{rest}" in _TOTALS:
            kinds["totals"].setdefault(question, name)
            continue
        for kind, endings in (("counts", _COUNTS), ("fractions", _FRACTIONS)):
            answer = next((a for a in answers[question] for e in endings if rest == f"{a}{e}"), None)
            if answer is not None:
                kinds[kind].setdefault(columns[question, answer], name)
                break
        else:
            if not rest.endswith(_IGNORED):
                strangers.append(name)
    by_campaign = {ending: kinds for ending, kinds in by_campaign.items() if kinds["counts"] or kinds["fractions"]}
    if not by_campaign:
        raise InputError(
            f"{where}, header: found {name_some(list(map(str, frame)), 8)}, expected columns of the tree {tree} "
            f"such as {tree.columns[0]}",
            "give another --tree, or a file of your own tree",
        )
    if campaign is None and len(by_campaign) == 1:
        campaign = next(iter(by_campaign))
    elif campaign is None and "" in by_campaign:
        campaign = ""
    if campaign not in by_campaign:
        campaigns = [ending or "none" for ending in by_campaign]
        raise InputError(
            f"{where}, header: found questions of the campaigns {name_some(campaigns)}, expected "
            f"{campaign if campaign else 'one'}",
            f"choose one, e.g. --campaign {campaigns[-1]}",
        )
    if strangers:
        raise InputError(
            f"{where}, header: found {name_some(strangers)}, which is no answer of the tree {tree}",
            "give the tree of this catalogue, or remove the columns",
        )
    kinds = by_campaign[campaign]
    found = _Columns(campaign, kinds["counts"], kinds["fractions"], kinds["totals"])
    have = found.counts if len(found.counts) >= len(found.fractions) else found.fractions
    missing = [column for column in tree.columns if column not in have]
    if missing:
        raise InputError(
            f"{where}, header: found no {name_some(missing)}, expected every answer of the tree {tree}",
            "give the tree of this catalogue, or add the columns",
        )
    return found


def _read_values(
    frame: pd.DataFrame, tree: DecisionTree, found: _Columns, where: str
) -> tuple[np.ndarray, VoteKind, str]:
    """Votes as float64 [n, answers], their kind, and a sentence on what was read."""
    if len(found.counts) == len(tree.columns):
        counts = _read_counts(frame, [found.counts[column] for column in tree.columns], where)
        for part in tree.slices:
            empty = ~(np.nansum(counts[:, part], axis=1) > 0)
            counts[empty, part] = np.nan
            counts[:, part] = np.where(np.isnan(counts[:, part]) & ~empty[:, None], 0, counts[:, part])
        beside = " (fractions are there as well)" if found.fractions else ""
        return counts, "counts", f"counts of votes are read{beside}"
    shares = np.stack(
        [pd.to_numeric(frame[found.fractions[c]], errors="coerce").to_numpy(float) for c in tree.columns], axis=1
    )
    bad = np.flatnonzero(((shares < -1e-6) | (shares > 1 + 1e-6)).any(axis=1))
    if len(bad):
        raise InputError(
            f"{where}, row {bad[0] + 1}: found a fraction outside 0 to 1, expected fractions of the volunteers asked",
            "correct the table",
        )
    if len(found.totals) < len(tree.questions):
        missing = [question.name for question in tree.questions if question.name not in found.totals]
        lack = f"counts and the totals of {name_some(missing, 2)} are missing"
        return fraction_of_all(shares, tree), "fractions", f"fractions of the volunteers asked are read, since {lack}"
    totals = _read_counts(frame, [found.totals[question.name] for question in tree.questions], where)
    counts = np.full(shares.shape, np.nan)
    for question, part in enumerate(tree.slices):
        asked = totals[:, question] > 0
        counts[asked, part] = np.rint(np.nan_to_num(shares[asked, part]) * totals[asked, question, None])
    return counts, "counts", "counts are made of fractions and totals"


def _read_counts(frame: pd.DataFrame, names: Sequence[str], where: str) -> np.ndarray:
    columns = []
    for name in names:
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
        gone = find_missing(frame[name])
        bad = np.flatnonzero(~gone & ~((values >= 0) & (values == np.rint(values))))
        if len(bad):
            raise InputError(
                f"{where}, row {bad[0] + 1}, column {name}: found {frame[name].iloc[bad[0]]}, expected a whole number "
                "of volunteers",
                "rename columns of fractions to end in _fraction, or correct the table",
            )
        columns.append(np.where(gone, np.nan, values))
    return np.stack(columns, axis=1)


def _remark_on_sums(values: np.ndarray, tree: DecisionTree, kind: str) -> list[str]:
    if kind == "fractions":
        sound = check_tree(values[np.isfinite(values).all(axis=1)], ROUNDING, tree=tree)
        return [] if sound.is_sound else [str(sound)]
    remarks = []
    for question, part in zip(tree.questions, tree.slices, strict=True):
        if question.after is None:
            continue
        above = [tree.columns.index(column) for column in question.after]
        most = np.nansum(values[:, above], axis=1)
        over = int((np.nansum(values[:, part], axis=1) > most + 0.5).sum())
        if over:
            remarks.append(f"{question.name}: {over:,} images have more votes than the answers that lead to it")
    return remarks
