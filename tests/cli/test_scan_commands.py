"""scan and export on the command line, with the network that ships."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from made_survey import MadeSurvey, make_survey


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> MadeSurvey:
    return make_survey(tmp_path_factory.mktemp("cli survey") / "tiles", n=12)


OPTIONS = ("--threshold", "8", "--views", "1", "--missing", "0.6")


def test_from_tiles_to_regions_with_a_broken_tile_in_between(survey, run, tmp_path) -> None:
    tiles = tmp_path / "tiles"
    shutil.copytree(survey.folder, tiles)
    broken = tiles / "t11_g.fits"
    whole = broken.read_bytes()
    scan = ("scan", "builtin:lens", tiles, "-o", tmp_path / "found", *OPTIONS)
    preview = run(*scan[:3], "--dry-run", *OPTIONS)
    assert preview.code == 0
    assert preview.out.startswith("4 tiles, 0.00063")
    broken.write_bytes(whole[:50_000])
    found = run(*scan)
    assert found.code == 1
    assert "1 of 4 shards could not be done, of t11; the first: " in found.err
    assert "run the same command again" in found.err
    assert "candidates on 0.00051" in found.out
    status = run("scan", "--status", tmp_path / "found")
    assert "3 of 4 shards done, 1 failed" in status.out
    assert "shard 3 (t11): " in status.out
    assert "t11_g.fits" in status.out
    broken.write_bytes(whole)
    again = run(*scan, "--json")
    assert again.code == 0
    assert json.loads(again.out)["merged"]["candidates"] == 12
    assert run("export", tmp_path / "found", "-o", tmp_path / "best.reg", "--top", 5).code == 0
    assert (tmp_path / "best.reg").read_text().count("circle(") == 5
    assert "already exists" in run("export", tmp_path / "found", "-o", tmp_path / "best.reg").err


def test_scan_in_grey_has_no_familiarity_and_no_expected_purity(survey, run, tmp_path) -> None:
    scan = ("scan", "builtin:lens", survey.folder, "-o", tmp_path / "grey", *OPTIONS)
    assert run(*scan, "--grey").code == 0
    table = pd.read_parquet(tmp_path / "grey" / "candidates.parquet")
    assert len(table) == 12
    assert "familiarity" not in table
    other = run(*scan)
    assert other.code == 2
    assert "in colour instead of in grey" in other.err
    merged = run("scan", "--merge", tmp_path / "grey", "--prevalence", "0.001")
    assert merged.code == 1
    assert "grey images, for which it is not calibrated" in merged.err


def test_parts_of_an_array_are_joined(survey, run, tmp_path) -> None:
    for k in (1, 2):
        part = run("scan", "builtin:lens", survey.folder, "-o", tmp_path / "s", "--part", f"{k}/2", *OPTIONS)
        assert part.code == 0
        assert "2 shards" in part.out
    joined = run("scan", "--merge", tmp_path / "s", "--prevalence", "0.001")
    assert joined.code == 0
    assert "12 candidates" in joined.out
    assert "expected lenses: " in joined.out
    assert len(pd.read_parquet(tmp_path / "s" / "candidates.parquet")) == 12


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("scan", "builtin:lens"), 2, "expected a run, tiles and --output"),
        (("scan", "--status", "nowhere"), 1, "does not exist"),
        (("scan", "--status", "."), 1, "holds no scan"),
        (("scan", "builtin:lens", ".", "-o", "out", "--status", "."), 2, "takes the folder of a scan, and no run"),
        (("scan", "builtin:lens", ".", "-o", "out", "--at", "no-such.csv"), 1, "does not exist"),
        (("scan", "builtin:lens", ".", "-o", "out", "--part", "4/3"), 2, "--part: found 4/3"),
        (("scan", "builtin:lens", ".", "-o", "out", "--at", "grid"), 2, "--step: found none"),
        (("scan", "builtin:lens", ".", "-o", "out", "--prevalence", "2"), 2, "--prevalence: found 2"),
        (("export", ".", "-o", "best.csv"), 1, "holds no scan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_get_one_message(run, tmp_path, monkeypatch, words, code, message) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing")
    found = run(*words)
    assert found.code == code
    assert message in found.err
    assert found.err.count("\n") == 2
    assert not (tmp_path / "out").exists()
