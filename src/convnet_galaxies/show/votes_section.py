"""The section of a report about Galaxy Zoo votes."""

from __future__ import annotations

from convnet_galaxies.blocks import Section, Text, section
from convnet_galaxies.measure.scores import VoteScores
from convnet_galaxies.predict.evaluation import ScoredTask
from convnet_galaxies.predict.evaluation_report import TITLES, score_tables
from convnet_galaxies.show.figures import plot_intervals
from convnet_galaxies.show.galleries import vote_galleries


def votes_sections(scored: ScoredTask) -> list[Section | None]:
    """Return scores overall and by question, and galleries."""
    scores = scored.scores
    if not isinstance(scores, VoteScores):
        return [section(TITLES["votes"], [Text(f"Not scored: {scored.fault}.", True)])]
    rows = [(text, scores.by_question[name]) for name, text in scores.questions.items()]
    drawing = plot_intervals(
        rows, "RMSE", "RMSE by question.", "RMSE of the votes by question of the decision tree, 95 % intervals."
    )
    return [
        section(TITLES["votes"], [*score_tables(scores), drawing]),
        section("Galaxies", vote_galleries(scored.images, scored.rows, scored.table, scored.values, scored.answer)),
    ]
