"""Tables about finding lenses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.calibration import stack_binary
from convnet_galaxies.measure.conformal import predict_sets
from convnet_galaxies.measure.intervals import Estimate, encode_groups
from convnet_galaxies.measure.score_table import SCORES, scores_of
from convnet_galaxies.measure.scores import LensScores
from convnet_galaxies.measure.selection import SurveyCurve, measure_selection
from convnet_galaxies.predict.evaluation import PARTS, ScoredTask
from convnet_galaxies.show.page import Block, Table, Text
from convnet_galaxies.study.results_text import brief

FIRST_USER = (
    ("first user's net, from scratch", "0.975", "0.132"),
    ("first user's net, from a Galaxy Zoo net", "0.971", "0.070"),
)
"""Validation accuracy and log loss of the first user of the Space Warps cutouts, stage 1."""


COMPLETENESSES = (0.2, 0.5, 0.8, 0.9)


COVERAGE = 0.9


def figures_table(name: str, scored: ScoredTask) -> Table:
    """All lens figures: overall, and by stage where there are several."""
    scores = scored.scores
    assert isinstance(scores, LensScores)
    columns: dict[str, dict[str, Estimate]] = {"all": scores.overall}
    if len(scores.by_stage) > 1:
        columns |= {f"stage {stage}": figures for stage, figures in scores.by_stage.items()}
    rows = tuple(
        (SCORES[name].label, *(brief(figures[name], digits=4) for figures in columns.values()))
        for name in scores.overall
    )
    caption = (
        f"{name}: {scores.n_lenses:,} lenses among {scores.n_images:,} held-out images ({PARTS[scored.part]}) "
        f"in {scores.n_groups:,} groups"
    )
    level = scores.overall["auroc"].level
    return Table(
        caption,
        ("", *columns),
        rows,
        (
            f"In brackets: {100 * level:.0f} % intervals, by resampling whole groups of fields. TPR0 and TPR10: "
            "completeness before the first and the tenth false positive.",
            *star_notes(figure for figures in columns.values() for figure in figures.values()),
            *scores.remarks,
        ),
    )


def figures_tables(scored: Mapping[str, ScoredTask]) -> list[Table]:
    """One table a net; for several nets on the same images a single one, a column a net."""
    tables = [figures_table(name, one) for name, one in scored.items()]
    if len(tables) == 1 or any(len(table.head) > 2 for table in tables):
        return tables
    rows = tuple(
        (cells[0][0], *(cell[1] for cell in cells)) for cells in zip(*(table.rows for table in tables), strict=True)
    )
    caption = tables[0].caption.partition(": ")[2]
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    return [Table(caption, ("", *scored), rows, notes)]


def survey_table(name: str, curve: SurveyCurve) -> Table:
    """False positives and purity at a few completenesses."""
    rows = []
    for wanted, k in _cuts(curve):
        rows.append(
            (
                f"{100 * wanted:.0f} %",
                f"{curve.threshold[k]:.4f}",
                f"{curve.false_positives[k]:,.0f} ({curve.false_positives_low[k]:,.0f} to "
                f"{curve.false_positives_high[k]:,.0f})",
                f"{_percent(curve.purity[k])} % ({_percent(curve.purity_low[k])} to {_percent(curve.purity_high[k])})",
            )
        )
    return Table(
        f"{name}: in a survey with {curve.n_lenses:,.0f} lenses among {curve.n_fields:,} images",
        ("completeness", "cut at probability", "false positives expected", "purity"),
        tuple(rows),
        (curve.warning,) if curve.warning else (),
    )


def count_figure(figure: Estimate) -> str:
    """An expected number with its interval, e.g. ``1,200 (800 to 2,000)``."""
    return f"{figure.value:,.0f} ({figure.low:,.0f} to {figure.high:,.0f})"


def percent_figure(figure: Estimate) -> str:
    """A share with its interval in per cent, two digits each."""
    star = " *" if figure.warning else ""
    return f"{_percent(figure.value)} % ({_percent(figure.low)} to {_percent(figure.high)}){star}"


def _percent(share: float) -> str:
    """Two digits, e.g. ``0.083``, ``7.4``, ``100``."""
    return f"{100 * share:.2g}" if share < 0.0995 else f"{100 * share:.0f}"


def survey_flavor_table(name: str, scored: ScoredTask, curve: SurveyCurve) -> Table | None:
    """Completeness by flavor at the cuts of survey_table; None when the flavors are not known."""
    lenses = np.flatnonzero(scored.values == 1)
    if "flavor" not in scored.table or scored.table["flavor"].iloc[lenses].isna().any():
        return None
    flavor, groups = (scored.table[column].to_numpy()[lenses] for column in ("flavor", "group"))
    rows: list[tuple[str, ...]] = []
    head: tuple[str, ...] = ("",)
    for wanted, k in _cuts(curve):
        at_cut = measure_selection("flavor", flavor, scored.answer[lenses], groups, threshold=float(curve.threshold[k]))
        head = ("over all", *at_cut.names)
        rows.append((f"{100 * wanted:.0f} %", *(brief(figure, digits=2) for figure in at_cut.completeness)))
    return Table(f"{name}: completeness by flavor at the same cuts", head, tuple(rows))


def _cuts(curve: SurveyCurve) -> list[tuple[float, int]]:
    """The COMPLETENESSES and the number of the curve's cut for each."""
    asked = np.linspace(0.02, 1, len(curve.purity))
    return [(wanted, int(np.argmin(np.abs(asked - wanted)))) for wanted in COMPLETENESSES]


def stage_one(scores: object) -> dict[str, Estimate]:
    """Figures on stage 1 where there are any, else overall."""
    assert isinstance(scores, LensScores)
    return next((figures for stage, figures in scores.by_stage.items() if float(stage) == 1), scores.overall)


def first_user_table(figures: Mapping[str, Mapping[str, Estimate]]) -> Table:
    """Accuracy and log loss on stage 1 beside those that the first user of these data reported."""
    rows: list[tuple[str, ...]] = [(*row, "") for row in FIRST_USER]
    for name, one in figures.items():
        rows.append((name, *(brief(one[figure], digits=3) for figure in ("accuracy", "log_loss", "auroc"))))
    always = next(iter(figures.values()))["always_no_accuracy"]
    rows.append(("always answering no", brief(always, digits=3), "", "0.500"))
    return Table(
        "Stage 1",
        ("", "accuracy", "log loss", "AUROC"),
        tuple(rows),
        (
            "He split the published catalogue at random by cutout, so that cutouts of one field stood on both sides; "
            "here whole fields and image files are held out. His figures are on those real-survey cutouts: with other "
            "data, such as a simulation, they stand here for orientation only.",
        ),
    )


def conformal_table(name: str, truth: np.ndarray, probability: np.ndarray, groups: np.ndarray, *, seed: int) -> Block:
    """Conformal sets calibrated on half of the groups and counted on the other half."""
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
        f"{name}: sets that hold the truth in {100 * COVERAGE:.0f} % of the images of each class",
        ("", "images", "certainly a lens", "certainly none", "undecided", "held the truth"),
        tuple(rows),
        ("Conformal sets, calibrated on half of the held-out groups and counted on the other half.",),
    )


def by_table(scored: ScoredTask) -> list[Block]:
    """AUROC, TPR0 and TPR10 by flavor."""
    scores = scored.scores
    assert isinstance(scores, LensScores)
    if not scores.by_flavor:
        return []
    shown = scores_of("lens", kind="ranking")
    rows = tuple((flavor, *(brief(figures[name]) for name in shown)) for flavor, figures in scores.by_flavor.items())
    figures = [figures[name] for figures in scores.by_flavor.values() for name in shown]
    return [
        Table(
            "By flavor of the lens, each against all other images",
            ("", *(score.label for score in shown.values())),
            rows,
            tuple(star_notes(figures)),
        )
    ]


def star_notes(figures: object) -> Sequence[str]:
    """What the stars of some figures mean, each warning once."""
    return [f"* {text}" for text in dict.fromkeys(one.warning for one in figures if one.warning)]  # type: ignore[attr-defined]
