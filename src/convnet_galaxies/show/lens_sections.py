"""The sections of a report about finding lenses: figures, plots, flavors, selection, galleries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnet_galaxies.blocks import Block, Section, Table, Text, section
from convnet_galaxies.measure.calibration import calibrate_held_out, measure_reliability, stack_binary
from convnet_galaxies.measure.confusion import FlavorScores, expect_flavors
from convnet_galaxies.measure.intervals import star_notes
from convnet_galaxies.measure.scores import LensScores
from convnet_galaxies.measure.selection import (
    SURVEY_FIELDS,
    SURVEY_LENSES,
    Selection,
    SurveyCurve,
    expect_survey,
    measure_selection,
)
from convnet_galaxies.predict.evaluation import ScoredTask
from convnet_galaxies.predict.evaluation_report import TITLES, compare_runs, score_tables
from convnet_galaxies.show.figures import plot_confusion, plot_reliability, plot_roc, plot_selection, plot_survey
from convnet_galaxies.show.galleries import lens_galleries
from convnet_galaxies.show.lens_tables import conformal_table, survey_flavor_table, survey_table

PROPERTIES = {
    "einstein_radius_arcsec": "Einstein radius (arcsec)",
    "source_r_mag": "source magnitude (r)",
    "lens_r_mag": "lens magnitude (r)",
}


@dataclass(frozen=True)
class Survey:
    """The survey for which purity is stated: lenses expected among so many images."""

    n_lenses: float = SURVEY_LENSES
    n_fields: int = SURVEY_FIELDS


def lens_sections(
    nets: Mapping[str, ScoredTask], *, survey: Survey, lens_table: pd.DataFrame | None = None, seed: int = 0
) -> list[Section | None]:
    """Return sections for one or several nets on held-out images; the galleries and the selection are those of the
    last.

    nets: name to its answers for the task lens. lens_table: truth of the lenses by ZooID, with PROPERTIES.
    Raises UsageError for a prevalence of the survey outside 0 to 1.
    """
    scores = {name: one.scores for name, one in nets.items() if isinstance(one.scores, LensScores)}
    scored = {name: nets[name] for name in scores}
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
    calibrated = calibrate_held_out(stack_binary(probability), truth.astype(int), groups, seed=seed)
    if calibrated is not None:
        name = f"{last_name}, calibrated"
        reliability[name] = measure_reliability(truth, calibrated[:, 1], groups, seed=seed)
    return [
        section(
            TITLES["lens"],
            [
                *faults,
                *compare_runs(scores),
                plot_roc({name: (truth_of(one), one.answer) for name, one in scored.items()}),
                plot_survey(curves),
                *(survey_table(name, curve) for name, curve in curves.items()),
                survey_flavor_table(last_name, last, curves[last_name]),
            ],
        ),
        section(
            "Calibration of the probabilities",
            [plot_reliability(reliability), conformal_table(last_name, truth, probability, groups, seed=seed)],
        ),
        section(
            "Selection function",
            [*score_tables(scores[last_name], by=["flavor"])[1:], *selection_blocks(last, lens_table)],
        ),
        section(f"Images ({last_name})", lens_galleries(last.images, last.rows, last.table, truth, probability)),
    ]


def truth_of(scored: ScoredTask) -> np.ndarray:
    """Return bool [n], whether each image shows a lens."""
    return scored.values == 1


def survey_curve(scored: ScoredTask, survey: Survey, *, seed: int) -> SurveyCurve:
    """Return purity and false positives at the survey's prevalence."""
    return expect_survey(
        truth_of(scored),
        scored.answer.astype(float),
        scored.table["group"].to_numpy(),
        n_lenses=survey.n_lenses,
        n_fields=survey.n_fields,
        seed=seed,
    )


def selection_blocks(scored: ScoredTask, lens_table: pd.DataFrame | None, threshold: float = 0.5) -> list[Block]:
    """Return completeness against the lens properties of the truth table."""
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


def flavor_section(scores: object, fault: str = "", *, survey: Survey | None = None) -> Section | None:
    """Return the confusion of flavors, and what it means in a survey; scores that are not of flavors were not to be
    had."""
    if not isinstance(scores, FlavorScores):
        return section(TITLES["flavor"], [Text(f"Not scored: {fault}.", True)]) if fault else None
    survey_blocks = [flavor_survey_table(scores, survey or Survey())]
    return section(TITLES["flavor"], [plot_confusion(scores), *score_tables(scores), *survey_blocks])


def flavor_survey_table(scores: FlavorScores, survey: Survey) -> Table | None:
    """Return false positives and purity by flavor at the prevalence of a survey; None where it cannot be said."""
    expected = expect_flavors(scores, n_lenses=survey.n_lenses, n_images=survey.n_fields)
    if not expected:
        return None
    rows = tuple((name, f"{false:,.0f}", f"{purity:%}") for name, (false, purity) in expected.items())
    notes = (
        "Each image gets its likeliest flavor; the lenses are shared among the flavors as in the held-out images.",
        *star_notes(purity for _, purity in expected.values()),
    )
    caption = f"Flavors in a survey with {survey.n_lenses:,.0f} lenses among {survey.n_fields:,} images"
    return Table(caption, ("", "false positives expected", "purity"), rows, notes)
