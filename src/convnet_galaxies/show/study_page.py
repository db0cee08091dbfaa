"""The report of a study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.blocks import Block, Page, Section, Text, Verbatim, section
from convnet_galaxies.data.pack import is_pack, read_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.predict.evaluation_report import TITLES
from convnet_galaxies.show.figures import plot_confusion, plot_roc
from convnet_galaxies.show.galleries import lens_galleries
from convnet_galaxies.show.lens_sections import Survey, flavor_survey_table
from convnet_galaxies.show.provenance import count_images, list_commands, list_versions
from convnet_galaxies.show.study_figures import plot_comparisons, plot_labels
from convnet_galaxies.study.results import StudyResults, read_predictions, read_results
from convnet_galaxies.study.strategy_scores import pool_repetitions
from convnet_galaxies.study.study_report import ANSWERS, STRATEGY_SCORES, study_report


def study_page(folder: Path, *, pack: Path | None = None) -> Page:
    """Make the page of a study. pack: pack of the cutouts, for galleries; default: that of the study, if there."""
    results, table = read_results(folder), read_predictions(folder)
    source = pack or Path(results.sources.get("lenses", ""))
    images = read_pack(source) if pack or (results.sources and is_pack(source)) else None
    if images is not None:
        _require_same(images, table, source)
    plan = json.loads((folder / "study.json").read_text("utf-8"))
    most = max((one.fraction for one in results.strategies), default=1.0)
    pictures: dict[str, list[Block | None]] = {}
    if results.comparisons:
        pictures[ANSWERS] = [plot_comparisons(results.comparisons)]
    if results.strategies:
        pictures[STRATEGY_SCORES] = _plot_strategies(results, table, most)
    if results.flavors:
        pictures[TITLES["flavor"]] = [
            plot_confusion(results.flavors),
            flavor_survey_table(results.flavors, Survey()),
        ]
    shown = next((one for one in results.comparisons if one.is_leading), None)
    strategy = shown.strategy if shown else ""
    galleries = section(f"Images ({strategy})", _galleries(images, table, strategy, most)) if strategy else None
    return study_report(results).illustrate(pictures, [galleries, _provenance(folder, results, plan, images, source)])


def _plot_strategies(results: StudyResults, table: pd.DataFrame, most: float) -> list[Block | None]:
    blocks: list[Block | None] = [
        plot_labels(results.strategies, stage, f"stage {stage}" if results.has_stages else "held-out images")
        for stage in (1, 2)
    ]
    for stage in (1, 2):
        curves = {}
        for strategy in dict.fromkeys(
            one.strategy for one in results.strategies if one.stage == stage and one.fraction == most
        ):
            _, truth, probability = pool_repetitions(table, strategy, most, stage)
            curves[strategy] = truth, probability
        if curves:
            drawing = plot_roc(curves)
            where = f"Stage {stage}, all" if results.has_stages else "All"
            caption = f"{where} test parts together. {drawing.caption}"
            blocks.append(type(drawing)(drawing.svg, drawing.alt, caption))
    return blocks


def _galleries(images: ImageSet | None, table: pd.DataFrame, strategy: str, most: float) -> list[Block | None]:
    if images is None:
        return [Text("The galleries need the images: pass --pack, the pack of the cutouts.")]
    try:
        ids, truth, probability = pool_repetitions(table, strategy, most, 1)
    except InputError as error:
        return [Text(f"No galleries: {error.message}.", True)]
    where = pd.Series(np.arange(len(images)), index=images.table["id"]).loc[ids].to_numpy()
    chosen = images.table.iloc[where].reset_index(drop=True)
    return [*lens_galleries(images.images, where, chosen, truth, probability)]


def _provenance(
    folder: Path, results: StudyResults, plan: dict, images: ImageSet | None, source: Path
) -> Section | None:
    settings, (zoo, lenses) = plan["plan"], plan["images"]
    command = " ".join(
        [
            "convnet-galaxies study",
            *([f"--zoo {results.sources.get('zoo', 'ZOO_PACK')}"] if zoo else []),
            *(f"--parent {parent}" for parent in settings["parents"]),
            f"--lenses {results.sources.get('lenses', 'PACK')}",
            f"--repetitions {settings['repetitions']}",
            *(
                f"--{name} " + ",".join(f"{number:g}" for number in settings[key])
                for name, key in (
                    ("label-fractions", "fractions"),
                    ("rates", "rates"),
                    ("lens-epochs", "lens_epochs"),
                    ("fine-epochs", "fine_epochs"),
                )
            ),
            f"--zoo-epochs {settings['zoo_epochs']}",
            *([] if settings["with_controls"] else ["--no-controls"]),
            "--settings settings.toml -o DIR",
        ]
    )
    n_nets = len(list(folder.glob("**/model.json")))
    return section(
        "Data, settings, versions, commands to reproduce",
        [
            Text(
                f"{zoo:,} galaxies with votes, {lenses:,} images with lens labels; {n_nets} networks, each in a folder "
                f"of its own in {folder.name}."
            ),
            count_images(images, f"Images of {source}") if images is not None else None,
            Verbatim("Plan", json.dumps(settings, indent=2), True),
            Verbatim("settings.toml", plan["settings"].rstrip(), True),
            list_versions(),
            list_commands([command, f"convnet-galaxies report {folder} -o report.html"]),
        ],
    )


def _require_same(images: ImageSet, table: pd.DataFrame, source: Path) -> None:
    missing = ~table["id"].isin(images.table["id"])
    if missing.any():
        raise InputError(
            f"{source}: found no image {table.loc[missing, 'id'].iloc[0]}, expected those that the study predicted",
            "give the pack of the study",
        )
