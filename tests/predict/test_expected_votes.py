"""Counts of votes of a tree of one's own, from a catalogue to training, scores, predictions and a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_sets import TINY_OPTIONS, write_pngs

from convnet_galaxies.cli import app
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.decision_tree import read_tree
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_file
from convnet_galaxies.predict.submission import submit

TREE = """
name = "blobs"

[[question]]
name = "bright"
text = "Is the blob bright?"
answers = ["yes", "no"]

[[question]]
name = "colour"
text = "Which colour has it?"
answers = ["red", "blue", "other"]
after = ["bright_yes"]
"""
N = 80


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """Pictures of half red and half blue light, brighter for brighter blobs, the file of their tree, and counts."""
    rng = np.random.default_rng(0)
    bright, red = rng.random(N), rng.random(N) < 0.5
    pixels = np.zeros((N, 32, 32, 3))
    pixels[..., 2] = 200 * (bright * ~red)[:, None, None]
    pixels[..., 0] = 200 * (bright * red)[:, None, None]
    pixels = (pixels + rng.uniform(0, 40, pixels.shape)).astype(np.uint8)
    table = pd.DataFrame({"id": [f"b{k:03d}" for k in range(N)], "group": [str(k) for k in range(N)]})
    write_pngs(ImageSet(pixels, table, Preprocess(size_px=32)), tmp_path / "images")
    yes = rng.binomial(20, bright)
    first = rng.binomial(yes, np.where(red, 0.9, 0.1))
    votes = {
        "bright_yes": yes,
        "bright_no": 20 - yes,
        "colour_red": first,
        "colour_blue": yes - first,
        "colour_other": 0,
    }
    pd.DataFrame({"id": table["id"], **votes}).to_csv(tmp_path / "votes.csv", index=False)
    (tmp_path / "blobs.toml").write_text(TREE, "utf-8")
    return tmp_path


def run(*words: object) -> str:
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_counts_of_ones_own_tree_are_learned_scored_predicted_and_shown(catalogue: Path, monkeypatch) -> None:
    monkeypatch.chdir(catalogue)
    run("pack", "votes", "images", "votes.csv", "--tree", "blobs.toml", "--size", 32, "-q", "-o", "b.pack")
    run("train", "b.pack", "-q", "-o", "run", *TINY_OPTIONS)
    scores = json.loads(run("evaluate", "run", "b.pack", "--part", "heldout", "--views", 1, "--json"))["scores"][
        "counts"
    ]
    assert set(scores["overall"]) == {"vote_log_likelihood", "share_rmse", "mean_share_rmse"}
    assert set(scores["by_question"]) == {"bright", "colour"}
    assert scores["questions"]["colour"] == "2. Which colour has it?"
    text = run("evaluate", "run", "b.pack", "--part", "heldout", "--views", 1, "--breakdown", "question")
    assert "log likelihood per vote" in text
    assert "2. Which colour has it?" in text
    run("predict", "run", "b.pack", "-q", "-o", "p.csv", "--volunteers", 20)
    table, tree = pd.read_csv("p.csv"), read_tree("blobs.toml")
    for part in tree.slices:
        np.testing.assert_allclose(table[list(tree.columns[part])].sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(table["colour_red_of-all"], table["colour_red"] * table["bright_yes"], atol=1e-5)
    np.testing.assert_allclose(table["colour_red_expected"], 20 * table["colour_red_of-all"], atol=1e-4)
    assert (table["bright_yes_low"] <= table["bright_yes_high"]).all()
    assert (table["bright_concentration"] > 0).all()
    run("report", "run", "--pack", "b.pack", "--part", "heldout", "--views", 1, "-o", "page.html")
    page = Path("page.html").read_text("utf-8")
    assert "Votes of volunteers" in page
    assert "Which colour has it?" in page
    assert "of the tree blobs (2 questions, 5 answers)" in run("describe", "b.pack")


def test_fractions_of_all_volunteers_are_learned_from_the_same_counts(catalogue: Path, monkeypatch) -> None:
    monkeypatch.chdir(catalogue)
    run("pack", "votes", "images", "votes.csv", "--tree", "blobs.toml", "--size", 32, "-q", "-o", "b.pack")
    run("train", "b.pack", "--task", "votes", "-q", "-o", "run", *TINY_OPTIONS)
    run("predict", "run", "b.pack", "-q", "-o", "p.csv")
    table = pd.read_csv("p.csv")
    np.testing.assert_allclose(
        table[["colour_red", "colour_blue", "colour_other"]].sum(axis=1), table["bright_yes"], atol=1e-5
    )
    scores = json.loads(run("evaluate", "run", "b.pack", "--part", "heldout", "--views", 1, "--json"))["scores"][
        "votes"
    ]
    assert set(scores["by_question"]) == {"bright", "colour"}
    with pytest.raises(InputError, match="votes on the tree blobs"):
        submit(Predictor("run"), Path("images"), "s.csv")


def test_volunteers_are_refused_for_a_run_without_counts(catalogue: Path, monkeypatch) -> None:
    monkeypatch.chdir(catalogue)
    with pytest.raises(UsageError, match="predicts votes"):
        predict_file(Predictor("builtin:zoo"), Path("images"), "p.csv", volunteers=20)
