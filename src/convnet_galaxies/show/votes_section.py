"""The section of a report about the votes of volunteers, as fractions or as counts."""

from __future__ import annotations

import numpy as np

from convnet_galaxies.blocks import Section, Text, section
from convnet_galaxies.data.vote_tree import fraction_of_all, share_of_asked
from convnet_galaxies.decision_tree import load_tree
from convnet_galaxies.measure.count_scores import CountScores
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.measure.scores import VoteScores
from convnet_galaxies.predict.evaluation import ScoredTask
from convnet_galaxies.predict.evaluation_report import TITLES, score_tables
from convnet_galaxies.show.figures import plot_intervals
from convnet_galaxies.show.galleries import vote_galleries


def votes_sections(scored: ScoredTask) -> list[Section | None]:
    """Return scores overall and by question, and galleries."""
    scores, title = scored.scores, TITLES[scored.task]
    if not isinstance(scores, VoteScores | CountScores):
        return [section(title, [Text(f"Not scored: {scored.fault}.", True)])]
    tree = load_tree(scored.classes)
    truth, predicted = scored.values, scored.answer
    label = SCORES["rmse" if isinstance(scores, VoteScores) else "vote_log_likelihood"].label
    if isinstance(scores, CountScores):
        truth = np.nan_to_num(fraction_of_all(share_of_asked(truth, tree), tree))
        predicted = fraction_of_all(predicted[:, : len(tree.columns)], tree)
    rows = [(scores.questions[name], one) for name, one in scores.by_question.items()]
    capital = label[0].upper() + label[1:]
    drawing = plot_intervals(
        rows, label, f"{capital} by question.", f"{capital} by question of the decision tree, 95 % intervals."
    )
    return [
        section(title, [*score_tables(scores), drawing]),
        section("Galaxies", vote_galleries(scored.images, scored.rows, scored.table, truth, predicted, tree)),
    ]
