"""The section of a report about Galaxy Zoo votes."""

from __future__ import annotations

import numpy as np

from convnet_galaxies.decision_tree import QUESTIONS
from convnet_galaxies.measure.scores import VoteScores
from convnet_galaxies.predict.evaluation import PARTS, ScoredTask
from convnet_galaxies.show.figures import plot_intervals
from convnet_galaxies.show.galleries import vote_galleries
from convnet_galaxies.show.page import Section, Table, Text, section
from convnet_galaxies.study.results_text import brief

PUBLISHED = (
    ("all zeros", "0.27160"),
    ("colour of the central pixel", "0.16194"),
    ("second place of the Galaxy Challenge", "0.07752"),
    ("winner of the Galaxy Challenge, 17 nets", "0.07492"),
)


def votes_sections(scored: ScoredTask) -> list[Section | None]:
    """RMSE overall, by question, beside published ones, and galleries."""
    scores = scored.scores
    if not isinstance(scores, VoteScores):
        return [section("Galaxy Zoo votes", [Text(f"Not scored: {scored.fault}.", True)])]
    rows = [
        (f"{question.number}. {question.text}", scores.by_question[f"question {question.number}"])
        for question in QUESTIONS
    ]
    table = Table(
        f"{scores.n_images:,} held-out galaxies ({PARTS[scored.part]})",
        ("", "RMSE"),
        (
            ("this net", brief(scores.rmse, digits=4)),
            ("always the mean votes", f"{mean_votes_rmse(scored.values):.4f}"),
            *PUBLISHED,
        ),
        ("The published figures are on the Kaggle board's images; figures on other images do not compare with them.",),
    )
    drawing = plot_intervals(
        rows, "RMSE", "RMSE by question.", "RMSE of the votes by question of the decision tree, 95 % intervals."
    )
    return [
        section("Galaxy Zoo votes", [table, drawing]),
        section("Galaxies", vote_galleries(scored.images, scored.rows, scored.table, scored.values, scored.answer)),
    ]


def mean_votes_rmse(truth: np.ndarray) -> float:
    """RMSE of always answering the mean votes of these galaxies, float [n, 37]."""
    return float(np.sqrt(np.mean((truth - truth.mean(axis=0)) ** 2)))
