"""Which candidates are shown, in which order: columns of their tables, choices and filters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data.grade_book import Grade, GradeBook
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.inspection.choice import Columns, Filters, choose_candidates, list_showings, read_columns
from convnet_galaxies.inspection.mixing import Showings
from convnet_galaxies.inspection.tally import Tally

TABLE = pd.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "lens_probability": [0.1, 0.9, 0.5, np.nan],
        "flavor_GALAXY": [0.7, 0.2, 0.1, np.nan],
        "flavor_QUASAR": [0.2, 0.5, 0.1, np.nan],
        "flavor_CLUSTER": [0.1, 0.3, 0.8, np.nan],
        "known": [None, "SL2S J0217", None, None],
        "masked_fraction": [0.0, 0.0, 0.3, 0.0],
        "bands_missing": ["", "g", None, "0"],
    }
)


def columns_of(table: pd.DataFrame) -> Columns:
    return read_columns(table, np.ones(len(table), bool))


@pytest.fixture
def tally(tmp_path: Path) -> Iterator[Tally]:
    """Ann graded c a lens; Bea graded a none."""
    book = GradeBook(tmp_path / "grades.sqlite")
    book.append_grade(Grade("1", "key-c", "c", "Ann", 3.0))
    book.append_grade(Grade("2", "key-a", "a", "Bea", 0.0))
    yield Tally(book, showings().keys)
    book.close()


def showings(mixed: int = 1) -> Showings:
    """The four candidates, and a known lens among them."""
    n = 4 + mixed
    ids = np.array(["a", "b", "c", "d", "known"])[:n]
    source = np.array([0, 0, 0, 0, 1])[:n]
    return Showings(
        keys=np.char.add("key-", ids),
        ids=ids,
        role=np.where(source == 0, "candidate", "lens"),
        source=source,
        row=np.array([0, 1, 2, 3, 0])[:n],
        truth=np.where(source == 0, np.nan, 1.0),
        radius_arcsec=np.full(n, np.nan),
        turn=np.zeros(n, int),
    )


def shown(tally: Tally, columns: Columns, **options: Any) -> list[str]:
    found = list_showings(showings(), columns, tally, "Ann", seed=0, **options)
    return [str(name) for name in showings().ids[found]]


def test_the_likeliest_flavor_is_that_of_a_candidate_and_none_without_probabilities() -> None:
    columns = columns_of(TABLE)
    assert columns.flavor.tolist() == ["GALAXY", "QUASAR", "CLUSTER", ""]
    assert columns.flavors == ["CLUSTER", "GALAXY", "QUASAR"]
    assert columns_of(TABLE[["id"]]).flavors == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(flavor="QUASAR"), {"b"}),
        (Filters(flag="masked"), {"c"}),
        (Filters(flag="bands missing"), {"b"}),
        (Filters(flag="no such flag"), set()),
        (Filters(known=True), {"b"}),
        (Filters(known=False), {"a", "c", "d"}),
        (Filters(lowest=0.3), {"b", "c"}),
        (Filters(highest=0.5), {"a", "c"}),
        (Filters(grader="Bea"), {"a"}),
        (Filters(grade=3.0), {"c"}),
        (Filters(graded=False), {"a", "b", "d", "known"}),
        (Filters(lowest=0.3, known=False), {"c"}),
    ],
)
def test_a_filter_leaves_what_it_is_named_after(tally: Tally, filters: Filters, expected: set[str]) -> None:
    assert set(shown(tally, columns_of(TABLE), filters=filters)) == expected


def test_what_has_no_value_comes_last_either_way(tally: Tally) -> None:
    columns = columns_of(TABLE)
    assert shown(tally, columns, sort="probability")[:3] == ["b", "c", "a"]
    assert shown(tally, columns, sort="probability", descending=False)[:3] == ["a", "c", "b"]
    assert shown(tally, columns, sort="rank")[:3] == ["b", "c", "a"]


def test_an_unknown_sort_is_refused(tally: Tally) -> None:
    with pytest.raises(UsageError, match=r"sort: found 'beauty', expected one of random, rank"):
        shown(tally, columns_of(TABLE), sort="beauty")


def test_the_best_above_a_probability_are_chosen_in_their_own_order() -> None:
    columns = columns_of(TABLE)
    assert choose_candidates(columns, lowest=0.3).tolist() == [1, 2]
    assert choose_candidates(columns, top=1).tolist() == [1]
    assert choose_candidates(columns, top=3).tolist() == [0, 1, 2]


def test_a_choice_by_what_no_candidate_has_is_refused() -> None:
    bare = columns_of(TABLE[["id"]])
    with pytest.raises(UsageError, match=r"--min-probability: the candidates have no lens probability"):
        choose_candidates(bare, lowest=0.5)
    with pytest.raises(UsageError, match=r"--top: the candidates have neither a rank nor a lens probability"):
        choose_candidates(bare, top=5)
    with pytest.raises(InputError, match=r"found no candidate that passes, expected at least one"):
        choose_candidates(columns_of(TABLE), lowest=0.95)
