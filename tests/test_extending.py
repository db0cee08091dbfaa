"""docs/extending.md, followed to the letter in a copy of the package."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import make_cutouts, make_study
from small_sets import TINY_OPTIONS, make_lens_set, make_vote_set, write_pngs

import convnet_galaxies

GUIDE = Path(__file__).parents[1] / "docs" / "extending.md"


def follow(paragraph: str, root: Path) -> list[str]:
    """Copy the package to root, add every block of code of the paragraph to its file; return the files touched."""
    package = Path(convnet_galaxies.__file__).parent
    shutil.copytree(package, root / "src" / package.name, ignore=shutil.ignore_patterns("builtin"))
    text = re.search(rf"\*\*{paragraph}\.\*\*.*?(?=\n\*\*[A-Z]|\Z)", GUIDE.read_text("utf-8"), re.DOTALL)
    assert text is not None
    touched = []
    for path, code in re.findall(r"```python\n# (\S+)\n(.*?)```", text[0], re.DOTALL):
        file = root / path
        old = file.read_text("utf-8") if file.exists() else ""
        file.write_text(f"{old}\n\n{code}", "utf-8")
        touched.append(path)
    return touched


def call(root: Path, *commands: list[object]) -> str:
    """Run commands one after another in one process that sees the copy; return what they printed."""
    lines = [[str(part) for part in command] for command in commands]
    script = (
        "import sys; from convnet_galaxies.cli import main\n"
        f"for sys.argv[1:] in {lines!r}:\n"
        "    try: main()\n"
        "    except SystemExit as end:\n"
        "        if end.code: raise\n"
    )
    environment = {"PYTHONPATH": str(root / "src"), "COLUMNS": "200", "OMP_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of 64 pictures, and redshift.csv beside it: the blob of a picture is the brighter the nearer it is."""
    pictures = make_vote_set(64)
    folder = write_pngs(pictures, tmp_path / "pictures")
    redshift = 1 - pictures.images.mean(axis=(1, 2, 3)) / 255
    pd.DataFrame({"file": pictures.table["id"], "redshift": redshift}).to_csv(tmp_path / "redshift.csv", index=False)
    return folder


def test_another_head_takes_three_files_and_every_command_works_with_it(images: Path, tmp_path: Path) -> None:
    touched = follow("Another head", tmp_path)
    assert len(set(touched)) <= 3
    said = call(
        tmp_path,
        ["pack", "images", images, "redshift.csv", "--size", 32, "-q", "-o", "z.pack"],
        ["train", "z.pack", "--task", "redshift", "-q", "-o", "run", *TINY_OPTIONS],
        ["predict", "run", images, "-q", "-o", "predicted.csv"],
        ["evaluate", "run", "z.pack", "--part", "heldout", "--views", 1],
        ["report", "run", "--pack", "z.pack", "--part", "heldout", "--views", 1, "-o", "page.html"],
    )
    table = pd.read_csv(tmp_path / "predicted.csv")
    assert list(table) == ["id", "redshift"]
    assert len(table) == 64
    assert np.isfinite(table["redshift"]).all()
    assert "redshift RMSE" in said
    assert "validation rmse" in said
    assert "redshift RMSE" in (tmp_path / "page.html").read_text("utf-8")


def test_another_survey_reader_takes_two_files_and_its_pack_is_described_and_trained_on(images, tmp_path) -> None:
    names = pd.read_csv(tmp_path / "redshift.csv")["file"].astype(str)
    tile = [f"t{row // 4}" for row in range(len(names))]
    kind = ["lens" if row % 3 == 0 else "galaxy" for row in range(len(names))]
    pd.DataFrame({"object": names, "tile": tile, "kind": kind}).to_csv(tmp_path / "objects.csv", index=False)
    touched = follow("Another survey reader", tmp_path)
    assert len(set(touched)) <= 3
    said = call(
        tmp_path,
        ["pack", "tile-survey", images, "objects.csv", "--crop", 32, "--size", 32, "-q", "-o", "tiles.pack"],
        ["describe", "tiles.pack"],
        ["train", "tiles.pack", "-q", "-o", "run", *TINY_OPTIONS],
    )
    assert "kind of data: tile-survey" in said
    split = pd.read_parquet(tmp_path / "run" / "split.parquet")
    part_of = dict(zip(split["id"], split["part"], strict=True))
    assert len(part_of) == 64
    parts = pd.Series([part_of[name] for name in names]).groupby(tile).nunique()
    assert (parts == 1).all(), "no tile stands on two sides of the split"


def test_another_score_takes_one_entry_and_arrives_in_text_json_comparison_study_and_page(tmp_path: Path) -> None:
    cutouts = make_lens_set(64)
    folder = write_pngs(cutouts, tmp_path / "pictures")
    lens = cutouts.table["lens"].fillna(0).astype(int)
    pd.DataFrame({"file": cutouts.table["id"], "lens": lens}).to_csv(tmp_path / "lens.csv", index=False)
    make_study(tmp_path / "study", make_cutouts(40, np.random.default_rng(0)), repetitions=2, fractions=(1.0,))
    assert follow("Another score", tmp_path) == ["src/convnet_galaxies/measure/score_table.py"]
    evaluate = ["evaluate", "run", "z.pack", "--part", "heldout", "--views", 1]
    said = call(
        tmp_path,
        ["pack", "images", folder, "lens.csv", "--size", 32, "-q", "-o", "z.pack"],
        ["train", "z.pack", "--task", "lens", "-q", "-o", "run", *TINY_OPTIONS],
        evaluate,
        [*evaluate, "--json"],
        ["report", "run", "--pack", "z.pack", "--part", "heldout", "--views", 1, "-o", "run.html"],
        ["report", "study", "-o", "study.html"],
    )
    assert "Brier score" in said
    start = said.index("\n{") + 1
    score = json.JSONDecoder().raw_decode(said[start:])[0]["scores"]["lens"]["overall"]["brier"]
    assert f"{score['value']:.4f} ({score['low']:.4f} to {score['high']:.4f})" in said
    assert 0 <= score["low"] < score["value"] < score["high"] <= 1
    run, study = ((tmp_path / name).read_text("utf-8") for name in ("run.html", "study.html"))
    assert "Brier score" in run
    assert f"{score['value']:.4f}" in run
    comparisons, _, strategies = study.partition("Scores of every training strategy</h2>")
    assert "Brier score" in comparisons  # compare_lenses
    assert "Brier score" in strategies
