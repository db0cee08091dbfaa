from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data.tables import read_table
from convnet_galaxies.data.vote_table import check_tree, read_votes, write_submission
from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.errors import InputError, OutputExistsError

HEADER = (
    "GalaxyID,Class1.1,Class1.2,Class1.3,Class2.1,Class2.2,Class3.1,Class3.2,Class4.1,Class4.2,Class5.1,Class5.2,"
    "Class5.3,Class5.4,Class6.1,Class6.2,Class7.1,Class7.2,Class7.3,Class8.1,Class8.2,Class8.3,Class8.4,Class8.5,"
    "Class8.6,Class8.7,Class9.1,Class9.2,Class9.3,Class10.1,Class10.2,Class10.3,Class11.1,Class11.2,Class11.3,"
    "Class11.4,Class11.5,Class11.6"
)


@pytest.fixture
def solutions(zoo: Path, tmp_path: Path) -> Path:
    path = tmp_path / "solutions.csv"
    read_table(zoo / "training_solutions_rev1.zip").to_csv(path, index=False)
    return path


def _edit(path: Path, row: int, column: str, cell: object) -> None:
    table = pd.read_csv(path, dtype=str)
    table.loc[row, column] = str(cell)
    table.to_csv(path, index=False)


def test_tree_check_finds_each_broken_question_and_by_how_much(solutions: Path) -> None:
    votes = read_votes(solutions)[list(VOTE_COLUMNS)].to_numpy()
    assert check_tree(votes).is_sound
    broken = votes.copy()
    broken[1, VOTE_COLUMNS.index("Class11.6")] += 0.25
    broken[3, VOTE_COLUMNS.index("Class11.1")] += 0.5
    broken[3, VOTE_COLUMNS.index("Class5.1")] += 9e-6
    check = check_tree(broken)
    assert check.broken_rows == (0,) * 10 + (2,)
    assert check.largest_deviation[10] == pytest.approx(0.5)
    assert check.largest_deviation[4] == pytest.approx(9e-6)
    assert check.broken_anywhere == 2


def test_column_order_may_differ(solutions: Path) -> None:
    expected = read_votes(solutions)
    table = pd.read_csv(solutions)
    table[table.columns[::-1]].to_csv(solutions, index=False)
    pd.testing.assert_frame_equal(read_votes(solutions), expected)


def test_wrong_header_names_what_is_missing_and_unknown(solutions: Path) -> None:
    pd.read_csv(solutions).rename(columns={"Class8.2": "lens", "GalaxyID": "objid"}).to_csv(solutions, index=False)
    with pytest.raises(InputError, match=r"header: found no GalaxyID, Class8\.2 and unknown objid, lens"):
        read_votes(solutions)


@pytest.mark.parametrize(
    ("column", "cell", "found"),
    [
        ("Class3.1", "abc", "found 'abc', expected a number from"),
        ("Class3.1", "nan", "found nothing"),
        ("Class3.1", "-0.1", "found -0.1"),
        ("Class3.1", "1.0001", "found 1.0001"),
    ],
)
def test_vote_at_fault_is_named_by_row_galaxy_and_column(solutions: Path, column: str, cell: str, found: str) -> None:
    _edit(solutions, 3, column, cell)
    with pytest.raises(InputError, match=rf"solutions.csv, row 4 \(GalaxyID 100078\), column Class3\.1: {found}"):
        read_votes(solutions)


def test_vote_within_rounding_of_one_is_accepted(solutions: Path) -> None:
    _edit(solutions, 3, "Class6.2", "1.000009")
    assert read_votes(solutions)["Class6.2"][3] == 1.000009


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("100008", "found GalaxyID 100008 again .first in row 1"),
        ("12.5", "found 12.5, expected a whole number"),
        ("NGC", "found 'NGC', expected a number"),
    ],
)
def test_id_at_fault_is_named_by_row(solutions: Path, cell: str, found: str) -> None:
    _edit(solutions, 4, "GalaxyID", cell)
    with pytest.raises(InputError, match=rf"row 5.*{found}"):
        read_votes(solutions)


def test_header_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "\n")
    with pytest.raises(InputError, match="a header and no rows"):
        read_votes(tmp_path / "a.csv")


def test_submission_has_kaggles_header_and_the_samples_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids, votes = ["100037", "100018", "100042"], rng.random((3, 37)).astype(np.float32)
    sample = tmp_path / "all_zeros_benchmark.zip"
    with zipfile.ZipFile(sample, "w") as archive:
        rows = "\n".join(f"{galaxy}," + ",".join(["0"] * 37) for galaxy in (100042, 100018, 100037))
        archive.writestr("all_zeros_benchmark.csv", f"{HEADER}\n{rows}\n")
    write_submission(tmp_path / "plain.csv", ids, votes)
    write_submission(tmp_path / "sampled.csv", ids, votes, sample=sample)
    for name, order in (("plain", [1, 0, 2]), ("sampled", [2, 1, 0])):
        text = (tmp_path / f"{name}.csv").read_text().splitlines()
        assert text[0] == HEADER
        assert [line.split(",")[0] for line in text[1:]] == [ids[row] for row in order]
        np.testing.assert_array_equal(np.array([line.split(",")[1:] for line in text[1:]], np.float32), votes[order])


def test_submission_for_other_galaxies_than_the_samples_is_refused(tmp_path: Path, solutions: Path) -> None:
    with pytest.raises(InputError, match=r"found 5 of them without a prediction .* and 1 predictions .*\(7\)"):
        write_submission(tmp_path / "s.csv", [100008, 7], np.zeros((2, 37)), sample=solutions)
    assert not (tmp_path / "s.csv").exists()


def test_submission_refuses_doubles_nan_and_an_existing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found GalaxyID 7 again"):
        write_submission(tmp_path / "s.csv", [7, 7], np.zeros((2, 37)))
    with pytest.raises(InputError, match="GalaxyID 8: found votes that are not finite"):
        write_submission(tmp_path / "s.csv", [7, 8], np.array([[0.0] * 37, [np.nan] * 37]))
    write_submission(tmp_path / "s.csv", [7], np.zeros((1, 37)))
    with pytest.raises(OutputExistsError, match="already exists"):
        write_submission(tmp_path / "s.csv", [7], np.zeros((1, 37)))
