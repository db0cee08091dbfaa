"""The report of one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from convnet_galaxies.blocks import Card, Page, Section, Text, section
from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.measure.confusion import FlavorScores
from convnet_galaxies.measure.count_scores import CountScores
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.measure.scores import LensScores, VoteScores
from convnet_galaxies.model.device import Device
from convnet_galaxies.model.tasks import find_task
from convnet_galaxies.predict.evaluation import PART_TITLES, Part, ScoredTask, evaluate
from convnet_galaxies.predict.evaluation_report import score_tables
from convnet_galaxies.predict.predictor import Predictor, Views
from convnet_galaxies.predict.task_scores import PlainScores
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.runs.folder import RunFolder, run_path
from convnet_galaxies.show.figures import plot_learning
from convnet_galaxies.show.lens_sections import Survey, flavor_section, lens_sections
from convnet_galaxies.show.provenance import (
    count_images,
    count_split,
    guess_training,
    list_commands,
    list_settings,
    list_versions,
)
from convnet_galaxies.show.votes_section import votes_sections


@dataclass(frozen=True)
class Context:
    """Input of the sections of a run's report, besides its scores.

    name: of the run. lens_table: truth of the lenses by ZooID, if known.
    """

    name: str
    survey: Survey = field(default_factory=Survey)
    lens_table: pd.DataFrame | None = None
    seed: int = 0


def run_page(
    run: str | Path,
    pack: Path | None,
    *,
    part: Part = "test",
    stage: int | None = None,
    views: Views = 8,
    device: Device = "auto",
    survey: Survey | None = None,
    lens_table: pd.DataFrame | None = None,
    seed: int = 0,
) -> Page:
    """Make the page of a run: training and, with a pack, scores on held-out images. Raises InputError."""
    folder, card = run_path(run), read_card(run)
    images = None if pack is None else read_pack(pack)
    scored: list[ScoredTask] = []
    if images is not None:
        predictor = Predictor(run, device=device, views=views, with_familiarity=False)
        tasks = evaluate(predictor, images, part=part, stage=stage, seed=seed).tasks
        scored = [one for task, one in tasks.items() if find_task(task).has_labels]
    sections: list[Section | None] = []
    for one in scored:
        sections += task_sections(one, Context(folder.name, survey or Survey(), lens_table, seed))
    metrics = RunFolder(folder).metrics
    kinds = " and ".join(dict.fromkeys(net.backbone for net in card.nets))
    size = f"{kinds} network, predicts {', '.join(card.classes)}, input {card.net.input_px} px"
    descent = [f"It descends from {one['run']} ({', '.join(one['tasks'])})." for one in card.ancestry]
    sections += [
        section("Training", [plot_learning({folder.name: pd.read_csv(metrics)})] if metrics.is_file() else []),
        section(
            "Data, settings, versions",
            [
                count_images(images, f"Images of {pack}") if images is not None else None,
                count_split(folder),
                list_settings(folder),
                list_versions(folder),
            ],
        ),
        section(
            "Commands to reproduce",
            [
                list_commands(
                    [
                        guess_training(folder, pack or "PACK", images, tuple(card.classes)),
                        " ".join(
                            [
                                f"convnet-galaxies report {run}",
                                *([f"--pack {pack} --part {part} --views {views} --seed {seed}"] if pack else []),
                                *([f"--stage {stage}"] if stage is not None else []),
                                "-o report.html",
                            ]
                        ),
                    ]
                ),
                None
                if pack
                else Text("Without --pack the report has no figures on held-out images and no galleries.", True),
            ],
        ),
    ]
    lead = (f"{size[0].upper()}{size[1:]}.", *descent, *_say(scored))
    return Page(f"Run {folder.name}", lead, tuple(cards_of(scored)), tuple(one for one in sections if one))


def _votes_sections(scored: ScoredTask, context: Context) -> Sequence[Section | None]:
    return votes_sections(scored)


def _lens_sections(scored: ScoredTask, context: Context) -> Sequence[Section | None]:
    return lens_sections(
        {context.name: scored}, survey=context.survey, lens_table=context.lens_table, seed=context.seed
    )


def _flavor_sections(scored: ScoredTask, context: Context) -> Sequence[Section | None]:
    return [flavor_section(scored.scores, scored.fault, survey=context.survey)]


def _plain_sections(scored: ScoredTask, context: Context) -> Sequence[Section | None]:
    """Return the section of a task that has none of its own."""
    title = scored.task.capitalize()
    if not isinstance(scored.scores, PlainScores):
        return [section(title, [Text(f"Not scored: {scored.fault}.", True)])]
    return [section(title, score_tables(scored.scores))]


SECTIONS: dict[str, Callable[[ScoredTask, Context], Sequence[Section | None]]] = {
    "counts": _votes_sections,
    "counts-multinomial": _votes_sections,
    "votes": _votes_sections,
    "lens": _lens_sections,
    "flavor": _flavor_sections,
}
"""Sections by task; all other tasks get a table of their figures."""


def task_sections(scored: ScoredTask, context: Context) -> Sequence[Section | None]:
    """Return the sections of a report about one task."""
    return SECTIONS.get(scored.task, _plain_sections)(scored, context)


def cards_of(scored: list[ScoredTask]) -> list[Card]:
    """Return the headline scores of every task."""
    cards = []
    for one in scored:
        if isinstance(one.scores, FlavorScores):
            cards.append(card("accuracy of flavors", one.scores.accuracy))
        elif isinstance(one.scores, PlainScores):
            cards += [card(label, figure) for label, figure in one.scores.figures.items()]
        elif one.scores is not None:
            overall = one.scores.overall
            cards += [card(SCORES[name].label, overall[name]) for name in overall if SCORES[name].is_headline]
    return cards


def card(label: str, estimate: Estimate) -> Card:
    """Return a card of an estimate and its interval."""
    return Card(label, f"{estimate.value:.4f}", estimate.span(".4f") + " *" * bool(estimate.warning))


def _say(scored: list[ScoredTask]) -> list[str]:
    sentences = []
    for one in scored:
        if isinstance(one.scores, LensScores):
            auroc = one.scores.overall["auroc"].text(".3f", star=False)
            sentences.append(
                f"On {one.scores.n_images:,} held-out images ({PART_TITLES[one.part]}) with "
                f"{one.scores.n_lenses:,} lenses its AUROC is {auroc}; none of their fields or image files is in the "
                "training set."
            )
        elif isinstance(one.scores, CountScores):
            likelihood = one.scores.overall["vote_log_likelihood"].text(".4f", star=False)
            sentences.append(
                f"On {one.scores.n_images:,} held-out images ({PART_TITLES[one.part]}) with {one.scores.n_votes:,} "
                f"votes the log likelihood per vote is {likelihood}."
            )
        elif isinstance(one.scores, VoteScores):
            rmse, baseline = (one.scores.overall[name].text(".4f", star=False) for name in ("rmse", "mean_votes_rmse"))
            sentences.append(
                f"On {one.scores.n_images:,} held-out galaxies ({PART_TITLES[one.part]}) the RMSE of the votes is "
                f"{rmse}; the mean votes give {baseline}."
            )
    return sentences
