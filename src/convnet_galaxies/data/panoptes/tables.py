"""Classifications to the tables that the rest of the pipeline reads: counts of votes, clicks, yes/no answers."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import pandas as pd

from convnet_galaxies.data.panoptes.classifications import Classifications
from convnet_galaxies.data.panoptes.tree_columns import fit_tree
from convnet_galaxies.data.panoptes.workflow import Workflow
from convnet_galaxies.decision_tree import DecisionTree
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.paths import name_some

LEAST_DRAWN = 0.9
"""Of the classifications must have a drawing task whose marks tell who saw a lens."""


def count_votes(
    classifications: Classifications, workflow: Workflow | None = None, tree: DecisionTree | None = None
) -> pd.DataFrame:
    """Count the votes: one row per id, with id, subject_id, retired, classifications, and ``{question}_{answer}``.

    Counts are int64. workflow: its named answers have a column in the order of their names, also where nobody gave
    them; other columns come in the order of the tasks and of the alphabet. Subjects that share an id are added up, and
    subject_id is that of the first.
    tree: the columns are those of this tree, also where nobody gave the answer, and other questions are left out (their
    names are in ``attrs["left_out"]``). Raises InputError where the answers do not fit it (see tree_columns.py).
    """
    subjects, rows, answers = classifications.subjects, classifications.rows, classifications.answers
    numbers, ids = pd.factorize(subjects["id"])
    number = numbers[rows["subject"].to_numpy()]
    question, answer = (answers[name].cat for name in ("question", "answer"))
    pair = question.codes.to_numpy(np.int64) * len(answer.categories) + answer.codes.to_numpy(np.int64)
    given, which = np.unique(pair, return_inverse=True)
    found = [
        (str(question.categories[one // len(answer.categories)]), str(answer.categories[one % len(answer.categories)]))
        for one in given.tolist()
    ]
    named_first = workflow.list_answers() if workflow is not None else []
    columns = list(dict.fromkeys([*named_first, *sorted(found, key=_in_order)]))
    place = np.array([columns.index(one) for one in found], np.int64)
    cells = number[answers["row"].to_numpy(np.int64)] * len(columns) + place[which]
    counts = np.bincount(cells, minlength=len(ids) * len(columns)).reshape(len(ids), len(columns))
    table = subjects[~subjects["id"].duplicated()].reset_index(drop=True)
    table["classifications"] = np.bincount(number, minlength=len(table))
    if tree is not None:
        column_of, left_out = fit_tree(columns, tree)
        sums = pd.DataFrame(0, index=table.index, columns=list(tree.columns))
        for pair, values in zip(columns, counts.T, strict=True):
            if pair in column_of:
                sums[column_of[pair]] += values
        table = pd.concat([table, sums], axis=1).sort_values("id", ignore_index=True)
        table.attrs["left_out"] = left_out
        return table
    names = [f"{question}_{answer}" for question, answer in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"names: two questions have the column {name_some(twice)}, expected a column per answer",
            "give one of the questions another name with --names",
        )
    named = dict(zip(names, counts.T, strict=True))
    return pd.concat([table, pd.DataFrame(named, index=table.index)], axis=1).sort_values("id", ignore_index=True)


def list_markers(classifications: Classifications) -> pd.DataFrame:
    """List the marks as clicks for `cutouts`: ZooID (the id of the subject), volunteer, x, y (pixels), frame, tool."""
    marks, rows = classifications.marks, classifications.rows
    row = marks["row"].to_numpy(np.int64)
    return pd.DataFrame(
        {
            "ZooID": classifications.subjects["id"].to_numpy()[rows["subject"].to_numpy()[row]],
            "volunteer": rows["volunteer"].to_numpy()[row],
            "x": marks["x_px"].to_numpy(),
            "y": marks["y_px"].to_numpy(),
            "frame": marks["frame"].to_numpy(),
            "tool": marks["tool"].to_numpy(),
        }
    )


def list_verdicts(
    classifications: Classifications, question: str | None = None, lens_answers: Collection[str] = ("yes",)
) -> pd.DataFrame:
    """List who said "lens" of what, in order of time: subject (int, row of subjects), row, volunteer (str), time,
    said_lens (bool).

    question: its answers among lens_answers are "lens", all others are not. None takes the drawing task: who marked
    anything said "lens". Who was not asked, or gave answers of both kinds, is left out.
    Raises InputError for a question or answers that the export does not have.
    """
    rows, marks = classifications.rows, classifications.marks
    if question is None:
        looked = classifications.looks["row"].to_numpy(np.int64)
        if not len(looked):
            questions = name_some(list(map(str, classifications.answers["question"].cat.categories)), 20)
            raise InputError(
                f"export: found no drawing task (but the questions {questions}), expected marks on lenses",
                "choose the question with --question, and its answers that mean a lens with --lens-answer",
            )
        row = np.unique(looked)
        if len(row) < LEAST_DRAWN * len(rows):
            raise InputError(
                f"export: found {len(row):,} of {len(rows):,} classifications with the drawing task, expected nearly "
                "all: who was not led to it seems to have said that there is no lens",
                "choose the question before it with --question, and its answers that mean a lens with --lens-answer",
            )
        said = np.isin(row, marks["row"].to_numpy(np.int64))
    else:
        answers = classifications.answers
        own = answers[answers["question"] == question]
        given = sorted(set(own["answer"].astype("str")))
        if not len(own) or not set(given) & set(lens_answers):
            listed = name_some(list(map(str, answers["question"].cat.categories)), 20)
            raise InputError(
                f"export: found the questions {listed}"
                + (f", and the answers {name_some(given, 20)} to {question}" if given else "")
                + f", expected {question} with {' or '.join(lens_answers)}",
                "choose with --question and --lens-answer",
            )
        is_lens = own["answer"].isin(list(lens_answers))
        kinds = is_lens.groupby(own["row"].to_numpy()).agg(["min", "max"])
        kinds = kinds[kinds["min"] == kinds["max"]]
        row, said = kinds.index.to_numpy(np.int64), kinds["max"].to_numpy(bool)
    table = rows.iloc[row].reset_index(drop=True).assign(row=row, said_lens=said)
    return table.sort_values("time", kind="stable", ignore_index=True)


def _in_order(pair: tuple[str, str]) -> tuple[list[tuple[bool, int, str]], str]:
    """T2 before T10."""
    parts = re.split(r"(\d+)", pair[0])
    return [(not one.isdigit(), int(one) if one.isdigit() else 0, one) for one in parts], pair[1]
