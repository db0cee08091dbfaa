"""Tables about finding lenses."""

from __future__ import annotations

import numpy as np

from convnet_galaxies.blocks import Block, Table, Text
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.calibration import stack_binary
from convnet_galaxies.measure.conformal import predict_sets
from convnet_galaxies.measure.intervals import Estimate, encode_groups
from convnet_galaxies.measure.selection import SurveyCurve, measure_selection
from convnet_galaxies.predict.evaluation import ScoredTask

COMPLETENESSES = (0.2, 0.5, 0.8, 0.9)
COVERAGE = 0.9


def survey_table(name: str, curve: SurveyCurve) -> Table:
    """Return false positives and purity at a few completenesses."""
    rows = []
    for wanted, k in _cuts(curve):
        false, purity = (_estimate_at(curve, part, k) for part in ("false_positives", "purity"))
        rows.append((f"{100 * wanted:.0f} %", f"{curve.threshold[k]:.4f}", f"{false:,.0f}", f"{purity:%}"))
    return Table(
        f"{name}: in a survey with {curve.n_lenses:,.0f} lenses among {curve.n_fields:,} images",
        ("completeness", "cut at probability", "false positives expected", "purity"),
        tuple(rows),
        (curve.warning,) if curve.warning else (),
    )


def _estimate_at(curve: SurveyCurve, part: str, k: int) -> Estimate:
    value, low, high = (float(getattr(curve, f"{part}{end}")[k]) for end in ("", "_low", "_high"))
    return Estimate(part, value, low, high)


def survey_flavor_table(name: str, scored: ScoredTask, curve: SurveyCurve) -> Table | None:
    """Return completeness by flavor at the cuts of survey_table; None when the flavors are not known."""
    lenses = np.flatnonzero(scored.values == 1)
    if "flavor" not in scored.table or scored.table["flavor"].iloc[lenses].isna().any():
        return None
    flavor, groups = (scored.table[column].to_numpy()[lenses] for column in ("flavor", "group"))
    rows: list[tuple[str, ...]] = []
    head: tuple[str, ...] = ("",)
    for wanted, k in _cuts(curve):
        at_cut = measure_selection("flavor", flavor, scored.answer[lenses], groups, threshold=float(curve.threshold[k]))
        head = ("over all", *at_cut.names)
        rows.append((f"{100 * wanted:.0f} %", *(f"{figure:.2f}" for figure in at_cut.completeness)))
    return Table(f"{name}: completeness by flavor at the same cuts", head, tuple(rows))


def _cuts(curve: SurveyCurve) -> list[tuple[float, int]]:
    """Return the COMPLETENESSES and the number of the curve's cut for each."""
    asked = np.linspace(0.02, 1, len(curve.purity))
    return [(wanted, int(np.argmin(np.abs(asked - wanted)))) for wanted in COMPLETENESSES]


def conformal_table(name: str, truth: np.ndarray, probability: np.ndarray, groups: np.ndarray, *, seed: int) -> Block:
    """Return conformal sets calibrated on half of the groups and counted on the other half."""
    codes, n_groups = encode_groups(groups)
    half = np.random.default_rng(seed).permutation(np.arange(n_groups) % 2 == 0)[codes]
    both = stack_binary(probability)
    try:
        sets = predict_sets(both[half], truth[half].astype(int), both[~half], coverage=COVERAGE)
    except InputError as error:
        return Text(f"Conformal sets are not made: {error.message}.", True)
    rest = truth[~half]
    members = sets.members
    rows = []
    for label, side in (("lenses", rest), ("others", ~rest)):
        kinds = [members[side, 1] & ~members[side, 0], members[side, 0] & ~members[side, 1], members[side].all(axis=1)]
        covered = members[side, 1 if label == "lenses" else 0]
        rows.append(
            (
                label,
                f"{int(side.sum()):,}",
                *(f"{100 * kind.mean():.1f} %" for kind in kinds),
                f"{100 * covered.mean():.1f} %",
            )
        )
    return Table(
        f"{name}: sets that contain the truth in {100 * COVERAGE:.0f} % of the images of each class",
        ("", "images", "certainly a lens", "certainly no lens", "undecided", "contain the truth"),
        tuple(rows),
        ("Conformal sets, calibrated on half of the held-out groups and counted on the other half.",),
    )
