"""Files of decision trees: those that ship in ``trees/``, and a user's own in TOML or JSON.

A file holds ``name`` and a list ``question``; each question has ``name``, ``text``, ``answers`` and, unless it is asked
of everyone, ``after``: the answers of which any leads to it, as ``question_answer``. ``labels`` are the answers' names
on pages, ``columns`` their names in tables where these are not ``question_answer``.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from convnet_galaxies.decision_tree.tree import DecisionTree, Question
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, name_some

_FOLDER = Path(__file__).parent / "trees"
_KEYS = {"name", "text", "answers", "labels", "columns", "after"}


def builtin_trees() -> tuple[str, ...]:
    """Return the names of the trees that ship."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def read_tree(source: StrPath) -> DecisionTree:
    """Read a tree that ships, by its name, or a TOML or JSON file.

    Raises InputError that names file and line: for an answer in ``after`` that there is not, questions in a circle, a
    question that nobody can reach, one answer only, and names that stand twice.
    """
    path = Path(source)
    if str(source) in builtin_trees():
        path = _FOLDER / f"{source}.toml"
    elif not path.is_file():
        raise InputError(
            f"{source}: found neither a file nor a tree of this name",
            f"give a TOML or JSON file, or one of {', '.join(builtin_trees())}",
        )
    try:
        text = path.read_text("utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({error})", "correct the file; docs/data_formats.md shows one"
        ) from None
    return _Reader(path, text).read(content)


class _Reader:
    """Converts the content of one file; errors name the line where a question begins."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text

    def read(self, content: Any) -> DecisionTree:
        found = content.get("question") if isinstance(content, dict) else None
        if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
            raise self._fault(None, "no list of questions", "one [[question]] with name and answers per question")
        questions = [self._question(one) for one in found]
        self._require_once([question.name for question in questions], "question")
        self._require_once([column for question in questions for column in question.columns], "column")
        columns = {column for question in questions for column in question.columns}
        for question in questions:
            unknown = [column for column in question.after or () if column not in columns]
            if unknown:
                raise self._fault(
                    question.name, f"after = {unknown[0]!r}, which is no answer", "question_answer of this file"
                )
            if question.after is not None and not question.after:
                raise self._fault(
                    question.name, "an empty after, so that nobody is asked", "answers, or no after for everyone"
                )
        self._require_no_circle(questions)
        tree = DecisionTree(str(content.get("name", self.path.stem)), tuple(questions))
        try:
            tree.fill(lambda question, answer: 0.0)
        except ValueError as error:
            raise self._fault(None, str(error), "fewer answers of different questions in one after") from None
        return tree

    def _question(self, one: dict[str, Any]) -> Question:
        name = one.get("name")
        if not isinstance(name, str) or not name:
            raise self._fault(None, "a question without a name", "name = a text, once per question")
        unknown = set(one) - _KEYS
        if unknown:
            raise self._fault(name, f"the key {min(unknown)!r}", f"only {', '.join(sorted(_KEYS))}")
        lists = {
            key: self._texts(name, key, one[key]) for key in ("answers", "labels", "columns", "after") if key in one
        }
        answers = lists.get("answers") or lists.get("labels", ())
        if len(answers) < 2:
            raise self._fault(name, f"{len(answers)} answers", "two or more, since one answer is no question")
        for key in ("labels", "columns"):
            if len(lists.get(key, answers)) != len(answers):
                raise self._fault(name, f"{len(lists[key])} {key} for {len(answers)} answers", "as many")
        columns = lists.get("columns") or tuple(f"{name}_{answer}" for answer in answers)
        text = str(one.get("text", name.replace("-", " ")))
        return Question(name, text, columns, lists.get("labels", answers), lists.get("after"))

    def _texts(self, name: str, key: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self._fault(name, f"{key} = {value!r}", "a list of texts")
        return tuple(value)

    def _require_once(self, names: Sequence[str], what: str) -> None:
        for name in names:
            if names.count(name) > 1:
                raise self._fault(name if what == "question" else None, f"the {what} {name!r} twice", "each once")

    def _require_no_circle(self, questions: Sequence[Question]) -> None:
        owner = {column: question.name for question in questions for column in question.columns}
        above = {question.name: {owner[column] for column in question.after or ()} for question in questions}
        reached: set[str] = set()
        while new := [name for name, parents in above.items() if name not in reached and parents <= reached]:
            reached.update(new)
        circle = [name for name in above if name not in reached]
        if circle:
            raise self._fault(
                circle[0],
                f"questions that lead to each other in a circle, so that nobody can reach them ({name_some(circle)})",
                "a way from a question that is asked of everyone",
            )

    def _fault(self, question: str | None, found: str, expected: str) -> InputError:
        where = str(self.path)
        if question is not None:
            match = re.search(rf"\bname\"?\s*[=:]\s*[\"']{re.escape(question)}[\"']", self.text)
            line = self.text.count("\n", 0, match.start()) + 1 if match else None
            where += f", line {line}, question {question}" if line else f", question {question}"
        return InputError(f"{where}: found {found}, expected {expected}", "correct the file of the tree")


KAGGLE = read_tree("kaggle")
"""The tree of the Galaxy Challenge, which runs and packs without a tree of their own have."""

VOTE_COLUMNS = KAGGLE.columns


def dump_tree(tree: DecisionTree) -> tuple[str, ...]:
    """Return a tree as texts, its name and then one per question; none for KAGGLE.

    Runs and tables hold them (see `load_tree`).
    """
    if tree == KAGGLE:
        return ()
    fields = [
        {"name": one.name, "text": one.text, "columns": one.columns, "answers": one.answers, "after": one.after}
        for one in tree.questions
    ]
    return (tree.name, *(json.dumps(one, ensure_ascii=False) for one in fields))


def write_tree(tree: DecisionTree, path: Path) -> None:
    """Write a tree as a JSON file that read_tree reads."""
    questions = [
        {"name": one.name, "text": one.text, "columns": one.columns, "labels": one.answers}
        | ({} if one.after is None else {"after": one.after})
        for one in tree.questions
    ]
    content = {"name": tree.name, "question": questions}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


@lru_cache(maxsize=32)
def load_tree(texts: tuple[str, ...]) -> DecisionTree:
    """Return the tree of texts that `dump_tree` made. Damaged texts raise errors of json and of dictionaries."""
    if not texts:
        return KAGGLE
    questions = []
    for one in map(json.loads, texts[1:]):
        after = None if one["after"] is None else tuple(one["after"])
        questions.append(Question(one["name"], one["text"], tuple(one["columns"]), tuple(one["answers"]), after))
    return DecisionTree(texts[0], tuple(questions))
