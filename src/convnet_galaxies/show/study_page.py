"""The report of a study."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.pack import is_pack, read_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.score_table import SCORES, scores_of
from convnet_galaxies.show.figures import plot_roc
from convnet_galaxies.show.galleries import lens_galleries
from convnet_galaxies.show.lens_sections import flavor_section
from convnet_galaxies.show.lens_tables import first_user_table, star_notes
from convnet_galaxies.show.page import Block, Card, Listing, Page, Section, Table, Text, section
from convnet_galaxies.show.provenance import count_images, list_commands, list_versions
from convnet_galaxies.show.run_page import card
from convnet_galaxies.show.study_figures import plot_answers, plot_labels
from convnet_galaxies.study.answers import stack_seeds
from convnet_galaxies.study.arms import count_lenses
from convnet_galaxies.study.results import ArmFigures, StudyResults, read_predictions, read_results
from convnet_galaxies.study.results_text import brief

GALLERY_ARM, GALLERY_STAGE = "zoo, stage 1", 1


def study_page(folder: Path, *, pack: Path | None = None) -> Page:
    """What a study found. pack: that of the cutouts, for galleries; by default the one it was made from, if there."""
    results, table = read_results(folder), read_predictions(folder)
    source = pack or Path(results.sources.get("space_warps", ""))
    images = read_pack(source) if pack or (results.sources and is_pack(source)) else None
    if images is not None:
        _require_same(images, table, source)
    plan = json.loads((folder / "study.json").read_text("utf-8"))
    most = max((one.fraction for one in results.arms), default=1.0)
    on_stage_1 = {one.arm: one.figures for one in results.arms if one.stage == 1 and one.fraction == most}
    sections = [
        section("Answers", _answer_blocks(results)),
        section("Figures of every arm", _figure_blocks(results, table, most)),
        section("Beside the first user's figures", [first_user_table(on_stage_1)] if on_stage_1 else []),
        section("What a leaking split flatters", _flattery_blocks(results)),
        flavor_section(results.flavors),
        section(f"Images ({GALLERY_ARM})", _galleries(images, table, most)),
        _provenance(folder, results, plan, images, source),
    ]
    lead = [*filter(None, [results.sentence])]
    seeds = max((one.seeds for one in results.arms), default=0)
    lead.append(
        f"{seeds} training seed{'s' * (seeds != 1)} of every arm on one split that keeps whole fields and image files "
        "together across both stages; differences are paired by image and seed."
    )
    there = tuple(one for one in sections if one is not None)
    return Page("Scratch, fine-tuning, transfer", tuple(lead), tuple(_cards(results, most)), there)


def _cards(results: StudyResults, most: float) -> list[Card]:
    cards = [
        card(f"AUROC on stage {one.stage}", one.figures["auroc"], one.arm)
        for one in results.arms
        if one.fraction == most and (one.arm, one.stage) in (("scratch, stage 1", 1), ("zoo, stage 1", 1))
    ]
    cards += [
        card(f"AUROC on stage {one.stage}", one.figures["auroc"], one.arm)
        for one in results.arms
        if one.fraction == most and (one.arm, one.stage) == ("zoo, stage 1, stage 2", 2)
    ]
    scratch = next((one for one in results.arms if one.arm == "scratch, stage 1" and one.fraction == most), None)
    if scratch is not None:
        cards.append(card("accuracy on stage 1, scratch", scratch.figures["accuracy"], "first user: 0.975"))
        cards.append(card("log loss on stage 1, scratch", scratch.figures["log_loss"], "first user: 0.132"))
    return cards


def _answer_blocks(results: StudyResults) -> list[Block | None]:
    blocks: list[Block | None] = [plot_answers(results.answers)]
    for question in dict.fromkeys(answer.question for answer in results.answers):
        answers = [answer for answer in results.answers if answer.question == question]
        first = answers[0]
        shown = [name for name in scores_of("lens", baselines=False) if name in first.differences]
        blocks.append(
            Table(
                f"{question} {first.arm} minus {first.other}, on stage {first.stage}",
                ("labels", *(SCORES[name].label for name in shown)),
                tuple(
                    (
                        f"{100 * answer.fraction:g} %",
                        *(brief(answer.differences[name], signed=True) for name in shown),
                    )
                    for answer in answers
                ),
                tuple(star_notes(figure for answer in answers for figure in answer.differences.values())),
            )
        )
    blocks += [Text(remark, True) for remark in results.remarks]
    return blocks


def _figure_blocks(results: StudyResults, table: pd.DataFrame, most: float) -> list[Block | None]:
    blocks: list[Block | None] = [plot_labels(results.arms, 1), plot_labels(results.arms, 2)]
    for stage in (1, 2):
        curves = {}
        for arm in dict.fromkeys(one.arm for one in results.arms if one.stage == stage and one.fraction == most):
            truth, probability, _ = stack_seeds(table, arm, most, stage)
            curves[arm] = truth, probability.mean(axis=0)
        if curves:
            drawing = plot_roc(curves)
            caption = f"Stage {stage}, mean probability of all seeds. {drawing.caption}"
            blocks.append(type(drawing)(drawing.svg, drawing.alt, caption))
    for stage in (1, 2):
        rows = [one for one in results.arms if one.stage == stage]
        if rows:
            blocks.append(_arm_table(rows, stage))
    return blocks


def _arm_table(rows: list[ArmFigures], stage: int) -> Table:
    shown = [name for name in scores_of("lens", baselines=False) if all(name in one.figures for one in rows)]
    return Table(
        f"Stage {stage}: {count_lenses(rows[0].n_lenses)} among {rows[0].n_images:,} held-out images",
        ("arm", "labels", *(SCORES[name].label for name in shown)),
        tuple(
            (
                one.arm,
                f"{100 * one.fraction:g} % ({one.labels:,}, {count_lenses(one.label_lenses)})",
                *(brief(one.figures[name]) for name in shown),
            )
            for one in rows
        ),
        (
            "Mean over seeds; in brackets 95 % intervals over groups and seeds. Labels: share, labelled images of the "
            "last training step, and lenses among them.",
            *star_notes(figure for one in rows for figure in one.figures.values()),
        ),
    )


def _flattery_blocks(results: StudyResults) -> list[Block | None]:
    found = results.flattery
    if found is None:
        return []
    names = [name for name in scores_of("lens", baselines=False) if name in found.difference]
    rows = tuple(
        (
            SCORES[name].label,
            brief(found.leaking[name]),
            brief(found.honest[name]),
            brief(found.difference[name], signed=True),
        )
        for name in names
    )
    return [
        Table(
            "Stage 1, from scratch, all labels",
            ("", "random split by cutout", "whole fields held out", "difference"),
            rows,
            ("Cutouts of one field on both sides let a net know the answer; only the right-hand figures are honest.",),
        )
    ]


def _galleries(images: ImageSet | None, table: pd.DataFrame, most: float) -> list[Block | None]:
    if images is None:
        return [Text("The galleries need the pixels: give --pack, the pack of the cutouts.")]
    try:
        truth, probability, _ = stack_seeds(table, GALLERY_ARM, most, GALLERY_STAGE)
    except InputError as error:
        return [Text(f"No galleries: {error.message}.", True)]
    rows = table[(table["arm"] == GALLERY_ARM) & (table["stage"].astype(float) == GALLERY_STAGE)]
    ids = np.sort(rows.loc[rows["fraction"] == most, "id"].unique())
    where = pd.Series(np.arange(len(images)), index=images.table["id"]).loc[ids].to_numpy()
    chosen = images.table.iloc[where].reset_index(drop=True)
    return [*lens_galleries(images.images, where, chosen, truth, probability.mean(axis=0))]


def _provenance(
    folder: Path, results: StudyResults, plan: dict, images: ImageSet | None, source: Path
) -> Section | None:
    settings = plan["plan"]
    command = " ".join(
        [
            "convnet-galaxies study",
            f"--zoo {results.sources.get('zoo', 'ZOO_PACK')}",
            f"--space-warps {results.sources.get('space_warps', 'PACK')}",
            f"--seeds {settings['seeds']}",
            "--label-fractions " + ",".join(f"{fraction:g}" for fraction in settings["fractions"]),
            "--settings settings.toml -o DIR",
        ]
    )
    zoo, lenses = plan["images"]
    n_nets = math.prod((settings["seeds"], 6, len(settings["fractions"]))) + 3 * settings["seeds"]
    return section(
        "Data, settings, versions, how to make it again",
        [
            Text(f"{zoo:,} galaxies and {lenses:,} cutouts; {n_nets} nets, each in its own folder in {folder.name}."),
            count_images(images, f"Images of {source}") if images is not None else None,
            Listing("Plan", json.dumps(settings, indent=2), True),
            Listing("settings.toml", plan["settings"].rstrip(), True),
            list_versions(),
            list_commands([command, f"convnet-galaxies report {folder} -o report.html"]),
        ],
    )


def _require_same(images: ImageSet, table: pd.DataFrame, source: Path) -> None:
    missing = ~table["id"].isin(images.table["id"])
    if missing.any():
        raise InputError(
            f"{source}: found no image {table.loc[missing, 'id'].iloc[0]}, expected those that the study predicted",
            "give the pack that the study was made from",
        )
