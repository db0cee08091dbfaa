"""Figures of graders, and the exported grades, against answers that can be counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_sessions import WRITE, list_all, make_client, make_session, send_grade, write_candidates
from typer.testing import CliRunner

from convnet_galaxies.cli import app
from convnet_galaxies.data.grade_book import Grade, GradeBook
from convnet_galaxies.data.human_grades import join_grades
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.inspection.open_source import open_source
from convnet_galaxies.inspection.results import export_candidates, read_results, results_page
from convnet_galaxies.measure.intervals import bound_proportion
from convnet_galaxies.paths import default_database
from convnet_galaxies.study.grading_plan import is_filled


def fill(path: Path, rows: list[tuple[str, str, float, dict[str, object]]]) -> Path:
    """A table of grades of (id, grader, grade, what was shown)."""
    book = GradeBook(path)
    for number, (name, grader, grade, shown) in enumerate(rows):
        role = shown.get("role", "candidate")
        book.append_grade(Grade(f"request-{number}", f"{role}-{name}", name, grader, grade, seconds=2.0, shown=shown))
    return path


def lens(radius: float) -> dict[str, object]:
    return {"role": "mixed in", "lens": 1, "einstein_radius_arcsec": radius}


OTHER = {"role": "mixed in", "lens": 0}


def test_completeness_and_false_positives_are_counted_with_exact_intervals(tmp_path: Path) -> None:
    grades = [("l1", 3, lens(0.8)), ("l2", 0, lens(0.9)), ("l3", 2, lens(1.7)), ("l4", 1, lens(1.8)), ("o1", 2, OTHER)]
    grades += [(f"o{k}", 0, OTHER) for k in range(2, 6)] + [("c1", 3, {})]
    path = fill(tmp_path / "g.sqlite", [(name, "Ann", grade, shown) for name, grade, shown in grades])
    one = read_results(path).graders[0]
    assert one.found is not None
    assert one.found_possible is not None
    assert one.false is not None
    assert (one.n, one.found.value, one.found_possible.value, one.false.value) == (10, 0.5, 0.75, 0.2)
    assert (one.found.low, one.found.high) == bound_proportion(2, 4)
    assert [None if part is None else part.value for part in one.by_radius] == [0.5, None, 0.5, None, None]
    assert one.mean == 3, "what is mixed in is no candidate"
    text = results_page(read_results(path)).text()
    assert "1 candidate was graded by 1 grader; 1 has a mean grade of at least 2." in text
    assert "0 to 1 arcsec" in text


def test_agreement_with_oneself_is_that_of_repeats(tmp_path: Path) -> None:
    rows = [(f"c{k}", "Ann", float(k % 4), {"role": "candidate"}) for k in range(12)]
    rows += [(f"c{k}", "Ann", float(k % 4), {"role": "repeat"}) for k in range(6)]
    rows += [(f"c{k}", "Ben", float(k % 4), {"role": "candidate"}) for k in range(12)]
    rows += [(f"c{k}", "Ben", float((k + 2) % 4), {"role": "repeat"}) for k in range(6)]
    results = read_results(fill(tmp_path / "g.sqlite", rows))
    ann, ben = results.graders
    assert ann.with_himself is not None
    assert ben.with_himself is not None
    assert ann.with_himself.value == 1
    assert ben.with_himself.value < 0
    assert ann.with_others is not None
    assert ann.with_others.value == 1, "repeats are not counted among the others"
    assert results.alpha is not None
    assert results.alpha.value == 1


def test_grades_of_a_candidate_are_averaged_over_graders_not_over_repeats(tmp_path: Path) -> None:
    rows = [
        ("c1", "Ann", 3.0, {"role": "candidate"}),
        ("c1", "Ann", 1.0, {"role": "repeat"}),
        ("c1", "Ben", 0.0, {"role": "candidate"}),
        ("c2", "Ann", 2.0, {"role": "candidate"}),
        ("sim", "Ann", 3.0, lens(1.0)),
    ]
    table = export_candidates(fill(tmp_path / "g.sqlite", rows)).set_index("id")
    assert sorted(table.index) == ["c1", "c2"]
    assert table["grade"].to_dict() == {"c1": 1.0, "c2": 2.0}
    assert table["graders"].to_dict() == {"c1": 2, "c2": 1}
    assert table.loc["c1", "spread"] == pytest.approx(np.sqrt(2))
    assert np.isnan(table.loc["c2", "spread"])


def test_the_consensus_trusts_the_grader_who_finds_the_known_lenses(tmp_path: Path) -> None:
    rows = []
    for k in range(20):
        is_lens = k % 2 == 0
        shown = lens(1.5) if is_lens else OTHER
        rows += [(f"k{k}", "Ann", 3.0 if is_lens else 0.0, shown), (f"k{k}", "Ben", float(k // 2 % 2) * 3, shown)]
    rows += [("ann-likes", "Ann", 3.0, {}), ("ann-likes", "Ben", 0.0, {})]
    rows += [("ben-likes", "Ann", 0.0, {}), ("ben-likes", "Ben", 3.0, {})]
    table = export_candidates(fill(tmp_path / "g.sqlite", rows)).set_index("id")
    assert table.loc["ann-likes", "lens_consensus"] > 0.9
    assert table.loc["ben-likes", "lens_consensus"] < 0.1
    assert (table["grade"] == 1.5).all()


def test_lenses_that_were_seen_and_not_picked_are_missed(tmp_path: Path) -> None:
    session = make_session(tmp_path, mixed=True, mix_share=0.3)
    client = make_client(session)
    lenses = [str(key) for key in session.showings.keys[session.showings.truth == 1]]
    keys = [one["key"] for one in list_all(client)]
    client.post("/api/marks", json={"grader": "Ann", "mark": "picked", "keys": lenses[:1]}, headers=WRITE)
    client.post("/api/marks", json={"grader": "Ann", "mark": "seen", "keys": keys}, headers=WRITE)
    send_grade(client, keys[0], 0)
    picked = read_results(tmp_path / "grades.sqlite").graders[0].picked
    assert picked is not None
    assert len(lenses) > 1
    assert picked.value == pytest.approx(1 / len(lenses))


@pytest.mark.parametrize("ending", ["csv", "parquet", "vot"])
def test_the_export_is_read_as_grades(tmp_path: Path, ending: str) -> None:
    book = GradeBook(tmp_path / "a.pack.grades.sqlite")
    for number, (name, grade) in enumerate((("001", 3.0), ("9007199254740993", 0.0))):
        book.append_grade(Grade(f"request-{number}", name, name, "Ann", grade, "ring", note="blue, faint"))
    output = tmp_path / f"out.{ending}"
    answer = CliRunner().invoke(app, ["inspect", str(book.path), "--export", str(output)])
    assert answer.exit_code == 0, answer.output
    table = read_table(output)
    assert table["id"].astype("str").tolist() == ["001", "9007199254740993"]
    assert table["notes"].tolist() == ["Ann: blue, faint"] * 2
    human = join_grades([output], [])
    assert dict(zip(human.ids, human.grade, strict=True)) == {"001": 3.0, "9007199254740993": 0.0}


def test_results_are_printed_for_a_source_or_its_table_of_grades(tmp_path: Path) -> None:
    (tmp_path / "a.pack").mkdir()
    fill(tmp_path / "a.pack.grades.sqlite", [("c1", "Ann", 3.0, {}), ("c1", "Ben", 1.0, {})])
    texts = [
        CliRunner().invoke(app, ["inspect", str(tmp_path / name), "--results"]).stdout
        for name in ("a.pack", "a.pack.grades.sqlite")
    ]
    assert texts[0] == texts[1]
    assert "1 candidate was graded by 2 graders; 1 has a mean grade of at least 2." in texts[0]
    figures = CliRunner().invoke(app, ["inspect", str(tmp_path / "a.pack"), "--results", "--json"]).stdout
    assert json.loads(figures)["graders"][1]["grader"] == "Ben"


def test_a_table_without_grades_has_no_results(tmp_path: Path) -> None:
    GradeBook(tmp_path / "g.sqlite").close()
    with pytest.raises(InputError, match="found no grade, expected at least one"):
        read_results(tmp_path / "g.sqlite")


def test_a_plan_that_is_graded_on_the_page_becomes_a_filled_plan(tmp_path: Path) -> None:
    pack = write_candidates(tmp_path, 6)
    ids = read_table(tmp_path / "p.csv")["id"].tolist()
    plan = pd.DataFrame({"id": [ids[4], ids[1], ids[2]], "rank": [1, 2, 3], "first_rank": 1, "last_rank": 3})
    plan.assign(inclusion_probability=1.0, grade="").to_csv(tmp_path / "plan.csv", index=False)
    source = open_source(tmp_path / "plan.csv", images=pack)
    assert sorted(source.table["id"]) == sorted(plan["id"])
    for row, name in enumerate(source.table["id"]):
        expected = open_source(pack).pixels([ids.index(name)], 32)
        np.testing.assert_array_equal(source.pixels([row], 32), expected)
    book = GradeBook(default_database(tmp_path / "plan.csv"))
    for number, (name, grade) in enumerate(((ids[1], 0.0), (ids[4], 3.0))):
        book.append_grade(Grade(f"request-{number}", name, name, "Ann", grade))
    answer = CliRunner().invoke(app, ["inspect", str(tmp_path / "plan.csv"), "--export", str(tmp_path / "filled.csv")])
    assert answer.exit_code == 0, answer.output
    assert is_filled(tmp_path / "filled.csv")
    filled = read_table(tmp_path / "filled.csv")
    assert filled["id"].tolist() == plan["id"].tolist()
    assert filled["rank"].tolist() == [1, 2, 3]
    assert filled["grade"].fillna(-1).tolist() == [3, 0, -1]
