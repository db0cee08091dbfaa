"""Compare the two networks of stage 1 of the demo, and state how little one split and one seed can show."""

from __future__ import annotations

from convnet_galaxies.blocks import Block, Table, Text
from convnet_galaxies.measure.comparisons import compare_lenses
from convnet_galaxies.measure.intervals import Estimate, star_notes
from convnet_galaxies.measure.repeated_splits import guess_detectable
from convnet_galaxies.measure.score_table import SCORES, scores_of
from convnet_galaxies.predict.evaluation import ScoredTask
from convnet_galaxies.study.strategy_comparisons import ANSWERED_BY

START_TITLE = "From the Galaxy Zoo network or from scratch"


def compare_starts(scratch: ScoredTask, from_zoo: ScoredTask, *, seed: int) -> dict[str, Estimate]:
    """Return each lens score of the network from zoo minus that of the one from scratch, on the same images."""
    return compare_lenses(
        scratch.values > 0.5, from_zoo.answer, scratch.answer, scratch.table["group"].to_numpy(), seed=seed
    )


def comparison_blocks(differences: dict[str, Estimate], epochs: int) -> list[Block]:
    """Return the differences, and which difference of the log loss so small a comparison can show."""
    shown = [name for name in scores_of("lens", baselines=False) if name in differences]
    smallest = guess_detectable(differences[ANSWERED_BY])
    return [
        Table(
            "Stage 1, held out: from zoo minus from scratch",
            ("score", "difference"),
            tuple((SCORES[name].label, f"{differences[name]:+.3f}") for name in shown),
            star_notes(differences[name] for name in shown),
        ),
        Text(
            f"Both networks were trained for {epochs} epochs with the same learning rates, on one split, with one seed "
            "and one Galaxy Zoo network of a few hundred simulated galaxies. The intervals hold the scatter of these "
            f"images only. Even so, a difference of the {SCORES[ANSWERED_BY].label} below about {smallest:.2f} cannot "
            "be seen here. Whether galaxy morphology helps is a question for `study`, which repeats splits, labels and "
            "seeds and tunes every strategy alike."
        ),
    ]
