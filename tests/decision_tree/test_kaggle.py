"""Kaggle's tree against its publication (Willett et al. 2013, arXiv:1308.3496, table 2) and Kaggle's header."""

from __future__ import annotations

from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS

ANSWERS = (3, 2, 2, 2, 4, 2, 3, 7, 3, 3, 6)
ASKED_AFTER = {2: "1.2", 3: "2.2", 4: "2.2", 5: "2.2", 7: "1.1", 8: "6.1", 9: "2.1", 10: "4.1", 11: "4.1"}


def test_columns_are_those_of_the_challenge_in_its_order() -> None:
    names = [f"Class{question}.{answer}" for question, n in enumerate(ANSWERS, 1) for answer in range(1, n + 1)]
    assert list(VOTE_COLUMNS) == names
    assert len(names) == 37
    assert [question.name for question in KAGGLE.questions] == [f"question {number}" for number in range(1, 12)]


def test_answers_of_a_question_stand_together() -> None:
    for question, columns in zip(KAGGLE.questions, KAGGLE.slices, strict=True):
        assert VOTE_COLUMNS[columns] == question.columns
        assert len(question.answers) == len(set(question.answers)) == len(question.columns)


def test_each_question_is_asked_after_the_published_answer() -> None:
    for number, question in enumerate(KAGGLE.questions, 1):
        expected = ASKED_AFTER.get(number)
        assert question.after == (None if expected is None else (f"Class{expected}",))


def test_answers_are_in_the_order_of_the_published_tree() -> None:
    by_number = dict(enumerate((question.answers for question in KAGGLE.questions), 1))
    assert by_number[1] == ("smooth", "features or disk", "star or artifact")
    assert by_number[2][0] == "edge-on"
    assert by_number[4][0] == "spiral"
    assert by_number[6][0] == "odd"
    assert by_number[8][1] == "lens or arc"
    assert by_number[11][-1] == "can't tell"
