"""The sections of a report about finding lenses: figures, plots, flavors, selection, galleries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.calibration import measure_reliability, stack_binary
from convnet_galaxies.measure.conformal import predict_sets
from convnet_galaxies.measure.confusion import FlavorScores
from convnet_galaxies.measure.intervals import Figure, encode_groups
from convnet_galaxies.measure.scores import LENS_FIGURES, LensScores
from convnet_galaxies.measure.selection import (
    SURVEY_FIELDS,
    SURVEY_LENSES,
    Selection,
    SurveyCurve,
    expect_survey,
    measure_selection,
)
from convnet_galaxies.show.figures import plot_confusion, plot_reliability, plot_roc, plot_selection, plot_survey
from convnet_galaxies.show.galleries import lens_galleries
from convnet_galaxies.show.page import Block, Section, Table, Text, section
from convnet_galaxies.show.scored_images import PARTS, ScoredTask
from convnet_galaxies.study.results_text import NAMES, brief

FIRST_USER = (
    ("first user's net, from scratch", "0.975", "0.132"),
    ("first user's net, from a Galaxy Zoo net", "0.971", "0.070"),
)
"""Validation accuracy and log loss of the first user of the Space Warps cutouts, stage 1."""

PROPERTIES = {
    "einstein_radius_arcsec": "Einstein radius (arcsec)",
    "source_r_mag": "source magnitude (r)",
    "lens_r_mag": "lens magnitude (r)",
}
COMPLETENESSES = (0.2, 0.5, 0.8, 0.9)
COVERAGE = 0.9


@dataclass(frozen=True)
class Survey:
    """The survey for which purity is stated: lenses expected among so many images."""

    n_lenses: float = SURVEY_LENSES
    n_fields: int = SURVEY_FIELDS


def lens_sections(
    nets: Mapping[str, ScoredTask], *, survey: Survey, lens_table: pd.DataFrame | None = None, seed: int = 0
) -> list[Section | None]:
    """Sections for one or several nets on held-out images; the galleries and the selection are those of the last.

    nets: name to its answers for the task lens. lens_table: truth of the lenses by ZooID, with PROPERTIES.
    Raises UsageError for a prevalence of the survey outside 0 to 1.
    """
    scored = {name: one for name, one in nets.items() if isinstance(one.scores, LensScores)}
    faults = [Text(f"{name}: not scored, {one.fault}.", True) for name, one in nets.items() if one.scores is None]
    if not scored:
        return [section("Lenses", faults)]
    curves = {name: survey_curve(one, survey, seed=seed) for name, one in scored.items()}
    last_name, last = list(scored.items())[-1]
    truth, probability, groups = truth_of(last), last.answer.astype(float), last.table["group"].to_numpy()
    reliability = {
        name: measure_reliability(truth_of(one), one.answer.astype(float), one.table["group"].to_numpy(), seed=seed)
        for name, one in scored.items()
    }
    return [
        section(
            "Finding lenses",
            [
                *faults,
                *_figures_tables(scored),
                plot_roc({name: (truth_of(one), one.answer) for name, one in scored.items()}),
                plot_survey(curves),
                *(survey_table(name, curve) for name, curve in curves.items()),
            ],
        ),
        section(
            "Beside the first user's figures",
            [first_user_table({name: stage_one(one.scores) for name, one in scored.items()})],
        ),
        section(
            "Whether the probabilities mean what they say",
            [plot_reliability(reliability), conformal_table(last_name, truth, probability, groups, seed=seed)],
        ),
        section("What the net selects", [*by_table(last), *selection_blocks(last, lens_table)]),
        section(f"Images ({last_name})", lens_galleries(last.images, last.rows, last.table, truth, probability)),
    ]


def truth_of(scored: ScoredTask) -> np.ndarray:
    """Bool [n], whether each image shows a lens."""
    return scored.values == 1


def survey_curve(scored: ScoredTask, survey: Survey, *, seed: int) -> SurveyCurve:
    """Purity and false positives at the survey's prevalence."""
    return expect_survey(
        truth_of(scored),
        scored.answer.astype(float),
        scored.table["group"].to_numpy(),
        n_lenses=survey.n_lenses,
        n_fields=survey.n_fields,
        seed=seed,
    )


def figures_table(name: str, scored: ScoredTask) -> Table:
    """All lens figures: overall, and by stage where there are several."""
    scores = scored.scores
    assert isinstance(scores, LensScores)
    columns: dict[str, dict[str, Figure]] = {"all": scores.overall}
    if len(scores.by_stage) > 1:
        columns |= {f"stage {stage}": figures for stage, figures in scores.by_stage.items()}
    rows = tuple(
        (NAMES[figure], *(brief(figures[figure], digits=4) for figures in columns.values())) for figure in LENS_FIGURES
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


def _figures_tables(scored: Mapping[str, ScoredTask]) -> list[Table]:
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
    for wanted in COMPLETENESSES:
        k = int(np.argmin(np.abs(np.linspace(0.02, 1, len(curve.purity)) - wanted)))
        rows.append(
            (
                f"{100 * wanted:.0f} %",
                f"{curve.threshold[k]:.4f}",
                f"{curve.false_positives[k]:,.0f} ({curve.false_positives_low[k]:,.0f} to "
                f"{curve.false_positives_high[k]:,.0f})",
                f"{100 * curve.purity[k]:.2g} % ({100 * curve.purity_low[k]:.2g} to {100 * curve.purity_high[k]:.2g})",
            )
        )
    return Table(
        f"{name}: in a survey with {curve.n_lenses:,.0f} lenses among {curve.n_fields:,} images",
        ("completeness", "cut at probability", "false positives expected", "purity"),
        tuple(rows),
        (curve.warning,) if curve.warning else (),
    )


def stage_one(scores: object) -> dict[str, Figure]:
    """Figures on stage 1 where there are any, else overall."""
    assert isinstance(scores, LensScores)
    return next((figures for stage, figures in scores.by_stage.items() if float(stage) == 1), scores.overall)


def first_user_table(figures: Mapping[str, Mapping[str, Figure]]) -> Table:
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
    shown = ("auroc", "average_precision", "tpr0", "tpr10")
    rows = tuple((flavor, *(brief(figures[name]) for name in shown)) for flavor, figures in scores.by_flavor.items())
    figures = [figures[name] for figures in scores.by_flavor.values() for name in shown]
    return [
        Table(
            "By flavor of the lens, each against all other images",
            ("", *(NAMES[name] for name in shown)),
            rows,
            tuple(star_notes(figures)),
        )
    ]


def selection_blocks(scored: ScoredTask, lens_table: pd.DataFrame | None, threshold: float = 0.5) -> list[Block]:
    """Completeness against what the truth table knows about the lenses."""
    if lens_table is None or "ZooID" not in lens_table or "ZooID" not in scored.table:
        return [Text("The selection function needs the truth of the lenses: a simulation's truth.csv, as --truth.")]
    lenses = np.flatnonzero(truth_of(scored))
    known = lens_table.drop_duplicates("ZooID").set_index("ZooID")
    blocks: list[Block] = []
    for column, label in PROPERTIES.items():
        if column not in known:
            continue
        values = known[column].reindex(scored.table["ZooID"].iloc[lenses]).to_numpy(float)
        n = int(np.isfinite(values).sum())
        if n < 4:
            continue
        selection: Selection = measure_selection(
            column,
            values,
            scored.answer[lenses],
            scored.table["group"].to_numpy()[lenses],
            threshold=threshold,
            bins=int(np.clip(n // 8, 2, 8)),
        )
        blocks.append(plot_selection(selection, label, threshold))
    return blocks or [Text("None of the held-out lenses is in the truth table.")]


def flavor_section(scores: FlavorScores | None, fault: str = "") -> Section | None:
    """Confusion of flavors."""
    if scores is None:
        return section("Flavors", [Text(f"Not scored: {fault}.", True)]) if fault else None
    rows = tuple((name, brief(figure)) for name, figure in scores.completeness.items())
    notes = tuple(star_notes(scores.completeness.values()))
    return section(
        "Flavors",
        [plot_confusion(scores), Table("Part of each flavor that is found as such", ("", "part"), rows, notes)],
    )


def star_notes(figures: object) -> Sequence[str]:
    """What the stars of some figures mean, each warning once."""
    return [f"* {text}" for text in dict.fromkeys(one.warning for one in figures if one.warning)]  # type: ignore[attr-defined]
