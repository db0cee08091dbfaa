"""Remarks on the limits of a study: few lenses, and a grid that ends too early."""

from __future__ import annotations

from collections.abc import Sequence

from convnet_galaxies.study.strategies import LONGER, count_lenses
from convnet_galaxies.study.strategy_scores import StrategyScores
from convnet_galaxies.study.study_plan import StudyPlan

FEW_LENSES = 10


def remark_on_few_labels(strategies: Sequence[StrategyScores]) -> list[str]:
    """Name results from fewer than FEW_LENSES lenses, whose scatter a few repetitions estimate poorly."""
    found: dict[tuple[float, int, int], list[str]] = {}
    for one in strategies:
        if one.label_lenses < FEW_LENSES:
            names = found.setdefault((one.fraction, one.label_lenses, one.labels), [])
            if one.strategy not in names:
                names.append(one.strategy)
    return [
        f"{'; '.join(names)}, at {100 * fraction:g} % of the labels: trained on {count_lenses(lenses)} "
        f"among {labels} cutouts; the scatter between draws of so few lenses is itself poorly known"
        for (fraction, lenses, labels), names in found.items()
    ]


def remark_on_grid_ends(strategies: Sequence[StrategyScores], plan: StudyPlan) -> list[str]:
    """Name an end of the grid that most repetitions chose: what lies beyond it may be better."""
    by_network = {(one.strategy, one.fraction): one for one in strategies}  # scored on one stage or on two
    chosen = [
        (*map(float, point.split(", ")), count, ", stage 1, stage 2" in name)
        for (name, _), one in by_network.items()
        if not name.startswith(LONGER)
        for point, count in one.choices.items()
    ]
    told = []
    for option, grid, place, is_asked in (
        ("--rates", plan.rates, 0, lambda is_fine: True),
        ("--lens-epochs", plan.lens_epochs, 1, lambda is_fine: not is_fine),
        ("--fine-epochs", plan.fine_epochs, 1, lambda is_fine: is_fine),
    ):
        asked = [(row[place], row[2]) for row in chosen if is_asked(row[3])]
        total = sum(count for _, count in asked)
        highest = sum(count for value, count in asked if value == max(grid))
        if len(grid) > 1 and total and highest > total / 2:
            told.append(
                f"{option}: the highest value, {max(grid):g}, was chosen in {highest} of {total} trainings; a higher "
                "one may be better for all strategies"
            )
    return told
