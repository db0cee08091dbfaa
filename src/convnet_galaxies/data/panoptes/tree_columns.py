"""Questions and answers of an export as the columns of a decision tree.

A tree has its own names, and a workflow has keys of tasks and the texts of a page. A task is the question of its name
(`--names` gives names), or the only one whose answers it has. What neither decides is refused, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convnet_galaxies.data.panoptes.annotations import clean_answer
from convnet_galaxies.decision_tree import DecisionTree, Question
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import name_some

Pair = tuple[str, str]
"""Question and answer of an export, as Workflow names them."""


def fit_tree(pairs: Sequence[Pair], tree: DecisionTree) -> tuple[dict[Pair, str], list[str]]:
    """Return the column of the tree of each answer, and the questions of the export that the tree does not have.

    pairs: the answers that were given, or that the workflow is known to have. Raises InputError for a question of the
    tree to which no question of the export belongs, and for an answer that the tree does not have.
    """
    answers: dict[str, list[str]] = {}
    for question, answer in pairs:
        answers.setdefault(question, []).append(answer)
    chosen = {one.name: one for one in tree.questions if one.name in answers}
    left = [name for name in answers if name not in chosen]
    # Both ways: a task that could be two questions, or one of two tasks, is neither.
    able = {
        name: [one for one in tree.questions if one.name not in chosen and _has(one, answers[name])] for name in left
    }
    for name, found in able.items():
        if len(found) == 1 and sum(found[0] in other for other in able.values()) == 1:
            chosen[name] = found[0]
    found_names = {one.name for one in chosen.values()}
    missing = [one for one in tree.questions if one.name not in found_names]
    if missing:
        first = missing[0]
        ours = "; ".join(f"{name}: {name_some(answers[name])}" for name in left) or "none"
        raise InputError(
            f"export: found no question that is certainly {name_some([one.name for one in missing])} of the tree "
            f"{tree.name}; the questions without a place are {ours}",
            f'name the tasks with --names, such as [T0] with name = "{first.name}" and '
            f"answers = {list(_list_answers(first))}, or choose another --tree".replace("'", '"'),
        )
    columns: dict[Pair, str] = {}
    for name, place in chosen.items():
        known = _list_answers(place)
        for answer in answers[name]:
            if answer not in known:
                raise InputError(
                    f"export: found the answer {answer} to {name}, expected those of {place.name} of the tree "
                    f"{tree.name}: {', '.join(place.answers)}",
                    f"rename it with --names (rename = {{{answer} = ...}}), choose one --version, or another --tree",
                )
            columns[name, answer] = known[answer]
    return columns, [name for name in answers if name not in chosen]


def _has(question: Question, answers: Iterable[str]) -> bool:
    return set(answers) <= set(_list_answers(question))


def _list_answers(question: Question) -> dict[str, str]:
    """Return the column of each name that an answer may have: the end of the column, or the label on pages."""
    labels = {clean_answer(label): column for label, column in zip(question.answers, question.columns, strict=True)}
    prefix = f"{question.name}_"
    return labels | {one.removeprefix(prefix): one for one in question.columns if one.startswith(prefix)}
