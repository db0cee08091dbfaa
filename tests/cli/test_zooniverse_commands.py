"""zooniverse and simulate zooniverse: from an export to votes, clicks, cutouts and grades; and the mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_export import answer, classify, marks, write_export
from PIL import Image

CHOICE = ("--workflow", "5678", "--version", "12", "--id", "id")


@pytest.fixture
def crowd(run, tmp_path: Path) -> Path:
    folder = tmp_path / "crowd"
    result = run("simulate", "zooniverse", folder, "--number", 60, "--looks", 6, "--volunteers", 40, "--seed", 2)
    assert result.code == 0
    assert result.out.startswith(f"{folder}: ")
    return folder


def test_an_export_becomes_votes_clicks_and_grades(run, crowd: Path, tmp_path: Path) -> None:
    export = crowd / "classifications.csv.gz"
    votes = tmp_path / "votes.csv"
    result = run("zooniverse", "votes", export, *CHOICE, "--workflow-table", crowd / "workflows.csv", "-o", votes)
    assert (result.code, result.out) == (0, f"{votes}: 60 subjects\n")
    assert " classifications read, " in result.err
    assert "classifications left out: " in result.err
    truth = pd.read_csv(crowd / "sealed/votes.csv")
    pd.testing.assert_frame_equal(pd.read_csv(votes)[list(truth)], truth)
    clicks = run("zooniverse", "clicks", export, *CHOICE, "-o", tmp_path / "clicks.parquet", "--salt", "s", "--json")
    told = json.loads(clicks.out)
    table = pd.read_parquet(tmp_path / "clicks.parquet")
    assert (told["clicks"], told["subjects"]) == (len(table), table["ZooID"].nunique())
    assert told["left_out"]["of another workflow"] > 0
    grades, people = tmp_path / "grades.csv", tmp_path / "people.csv"
    options = ("--truth", crowd / "truth.csv", "--question", "T0", "--volunteers", people, "-o", grades)
    result = run("zooniverse", "weigh", export, *CHOICE, *options)
    assert result.code == 0
    assert "of which 12 for training (6 lenses)" in result.out
    assert pd.read_csv(grades)["crowd_probability"].between(0, 1).all()
    skills = pd.read_csv(people)
    assert (skills["pl_low"] < skills["pl_high"]).all()
    assert "galaxy fan" not in people.read_text()
    assert "already exists" in run("zooniverse", "weigh", export, *CHOICE, *options).err
    again = run("zooniverse", "weigh", export, *CHOICE, *options, "--force", "--keep-names", "--quiet")
    assert again.err == ""
    assert "galaxy fan" in people.read_text()


def test_describe_lists_workflows_versions_tasks_and_what_would_not_count(run, crowd: Path) -> None:
    out = run("describe", crowd / "classifications.csv.gz").out
    assert "classifications.csv.gz: classification export" in out
    made = pd.read_csv(crowd / "sealed/pitfalls.csv", index_col="pitfall")["rows"]
    assert f"{made['other workflow']:,} of another workflow" in out
    lines = {line.split()[0]: " ".join(line.split()) for line in out.splitlines() if line.strip()}
    assert lines["5678"].endswith("12.34, 2.7")
    assert lines["31"].startswith("31 Tutorial ")
    assert lines["T9"] == f"T9 {made['unknown task']:,} yes {made['unknown task']:,}"
    assert "marks in all drawing tasks" in lines["T1"]


def test_cutouts_are_cut_round_the_marks_of_an_export(run, tmp_path: Path) -> None:
    fields = tmp_path / "fields"
    fields.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (440, 440, 3), np.uint8)
    Image.fromarray(pixels).save(fields / "31.png")
    rows = [classify(name, "31", [marks((200 + n, 100))]) for n, name in enumerate(("ann", "ben", "cat"))]
    export = write_export(tmp_path / "export.csv", *rows)
    result = run("cutouts", fields, export, "-o", tmp_path / "cut")
    assert (result.code, result.out) == (0, f"{tmp_path / 'cut'}: 1 cutouts\n")
    catalog = pd.read_csv(tmp_path / "cut/cluster_catalog.csv")
    assert catalog[["x", "y", "people_marking_field"]].to_numpy().tolist() == [[201, 100, 3]]
    two = write_export(tmp_path / "two.csv", *rows, classify("dan", workflow_id="7"))
    failed = run("cutouts", fields, two, "-o", tmp_path / "no")
    assert failed.code == 1
    assert "several workflows" in failed.err
    assert "--workflow of `zooniverse votes`" in failed.err


def test_mistakes_are_one_message(run, crowd: Path, tmp_path: Path) -> None:
    export = crowd / "classifications.csv.gz"
    result = run("zooniverse", "votes", export, "-o", tmp_path / "v.csv")
    assert result.code == 1
    assert "several workflows (5678 Find lenses: " in result.err
    assert result.err.rstrip().endswith("Fix: choose one, e.g. --workflow 5678")
    result = run("zooniverse", "votes", crowd / "truth.csv", "-o", tmp_path / "v.csv")
    assert "truth.csv: found the columns id, lens, x_px, y_px, expected a classification export" in result.err
    result = run("zooniverse", "votes", export, "--workflow", 99, "-o", tmp_path / "v.csv")
    assert "expected workflow 99; the export may be that of another project" in result.err
    result = run("zooniverse", "votes", export, *CHOICE, "--tree", "euclid", "-o", tmp_path / "v.csv")
    assert "found no question that is certainly smooth-or-featured" in result.err
    assert 'Fix: name the tasks with --names, such as [T0] with name = "smooth-or-featured"' in result.err
    result = run("zooniverse", "votes", export, "-o", tmp_path / "v.txt")
    assert "found the ending '.txt'" in result.err
    result = run("zooniverse", "weigh", export, *CHOICE, "--truth", crowd / "truth.csv", "-o", tmp_path / "g.csv")
    assert "classifications with the drawing task, expected nearly all" in result.err
    result = run(
        "zooniverse",
        "weigh",
        export,
        *CHOICE,
        "--truth",
        crowd / "truth.csv",
        "--question",
        "T5",
        "-o",
        tmp_path / "h.csv",
    )
    assert "found the questions T0, T1, T2" in result.err
    assert result.err.rstrip().endswith("Fix: choose with --question and --lens-answer")
    assert not (tmp_path / "v.csv").exists()


def test_subject_sets_go_out_and_their_votes_come_back_under_their_own_names(run, tmp_path: Path) -> None:
    for folder, number in (("cand", 12), ("duds", 6)):
        (tmp_path / folder).mkdir()
        for k in range(number):
            Image.new("RGB", (20, 20), (10 * k, 20, 30)).save(tmp_path / folder / f"{folder}{k}.png")
    sets = tmp_path / "sets"
    options = ("--dud", tmp_path / "duds", "--dud-share", 0.25, "--per-set", 10)
    result = run("zooniverse", "subjects", tmp_path / "cand", *options, "-o", sets)
    assert (result.code, result.out) == (0, f"{sets}: 16 subjects in 2 sets (12 candidate, 4 dud)\n")
    assert "dud: only 4 for a share of 0.25" in result.err
    assert "already exists" in run("zooniverse", "subjects", tmp_path / "cand", "-o", sets).err
    key = pd.read_csv(sets / "key.csv")
    rows = [classify("ann", str(k), about={"#id": name}) for k, name in enumerate(key["id"])]
    export = write_export(tmp_path / "e.csv", *rows)
    back = ("--id", "id", "--key", sets / "key.csv", "-o", tmp_path / "v.csv")
    assert run("zooniverse", "votes", export, *back).code == 0
    assert set(pd.read_csv(tmp_path / "v.csv")["id"]) == set(key["source_id"])
    failed = run("zooniverse", "subjects", tmp_path / "cand", "--dud", tmp_path / "nothing", "-o", tmp_path / "x")
    assert (failed.code, failed.out) == (1, "")
    assert "nothing: does not exist" in failed.err


def test_votes_of_an_export_are_packed_on_their_tree(run, tmp_path: Path) -> None:
    (tmp_path / "tree.toml").write_text(
        'name = "rings"\n[[question]]\nname = "smooth"\ntext = "Is it smooth?"\nanswers = ["yes", "no"]\n'
        '[[question]]\nname = "ring"\ntext = "Is there a ring?"\nanswers = ["yes", "no", "unsure"]\n'
        'after = ["smooth_no"]\n'
    )
    (tmp_path / "names.toml").write_text(
        '[T0]\nname = "smooth"\nanswers = ["yes", "no"]\n[T1]\nname = "ring"\nanswers = ["yes", "no", "unsure"]\n'
        'rename = { "cant-tell" = "unsure" }\n'
    )
    (tmp_path / "images").mkdir()
    rows = []
    for k in range(3):
        Image.new("RGB", (32, 32), (60 * k, 20, 30)).save(tmp_path / f"images/J{k}.png")
        seen = [answer("No"), answer("![r.png](u) Yes", "T1")]
        for n, given in enumerate((seen, [answer("No"), answer("Can't tell", "T1")], [answer("Yes")])[: k + 1]):
            rows.append(classify(f"u{n}", str(k), given))
    export = write_export(tmp_path / "e.csv.gz", *rows)
    names = ("--names", tmp_path / "names.toml", "--id", "id", "-o", tmp_path / "votes.csv")
    assert run("zooniverse", "votes", export, *names).code == 0
    pack = tmp_path / "rings.pack"
    result = run(
        "pack", "votes", tmp_path / "images", tmp_path / "votes.csv", "--tree", tmp_path / "tree.toml", "-o", pack
    )
    assert result.code == 0, result.err
    failed = run("pack", "votes", tmp_path / "images", export, "--tree", tmp_path / "tree.toml", "-o", tmp_path / "no")
    assert "e.csv.gz: is a classification export of Zooniverse, expected a table of votes" in failed.err
    assert "zooniverse votes EXPORT" in failed.err
    table = pd.read_parquet(pack / "table.parquet").sort_values("id")
    columns = ["smooth_yes", "smooth_no", "ring_yes", "ring_no", "ring_unsure"]
    assert table[columns].to_numpy().tolist() == [[0, 1, 1, 0, 0], [0, 2, 1, 0, 1], [1, 2, 1, 0, 1]]
