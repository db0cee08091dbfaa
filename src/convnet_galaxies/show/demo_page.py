"""The report of the demo: every step on simulated data, on one page."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pandas as pd

from convnet_galaxies.blocks import Block, Page, Section, Table, Text, section
from convnet_galaxies.data.pack import is_pack, read_pack
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.measure.scores import LensScores, VoteScores
from convnet_galaxies.model.device import Device
from convnet_galaxies.predict.evaluation import ScoredTask, evaluate
from convnet_galaxies.predict.predictor import Predictor, Views
from convnet_galaxies.runs.folder import RunFolder, is_run
from convnet_galaxies.show.figures import plot_learning
from convnet_galaxies.show.first_look_page import first_look_page
from convnet_galaxies.show.lens_sections import Survey, flavor_section, lens_sections
from convnet_galaxies.show.provenance import count_images, list_commands, list_settings, list_versions
from convnet_galaxies.show.run_page import card
from convnet_galaxies.show.unknown_page import illustrate_unknown
from convnet_galaxies.show.votes_section import votes_sections
from convnet_galaxies.study.demo import DEMO_NAME, FIRST_LOOK_NAME, DemoSize, describe_size, score_unknown
from convnet_galaxies.study.demo_comparison import START_TITLE, compare_starts, comparison_blocks
from convnet_galaxies.study.first_look import has_first_look, read_first_look
from convnet_galaxies.study.unknown_run import is_unknown

LENS_RUNS = {
    "stage1-scratch": "stage 1, from scratch",
    "stage1-from-zoo": "stage 1, from zoo",
    "stage2-scratch": "stage 2 after stage 1, from scratch",
    "stage2-from-zoo": "stage 2 after stage 1, from zoo",
}


def is_demo(folder: Path) -> bool:
    """Return whether a folder holds what `demo` writes."""
    return (folder / "runs").is_dir() and is_pack(folder / "lenses.pack") and is_pack(folder / "zoo.pack")


def demo_page(
    folder: Path, *, views: Views = 8, device: Device = "auto", survey: Survey | None = None, seed: int = 0
) -> Page:
    """Return the full pipeline on one page. Raises InputError if a run of the demo is not finished."""
    runs = folder / "runs"
    for name in ("zoo", *LENS_RUNS):
        if not (is_run(runs / name) and RunFolder(runs / name).is_finished):
            raise InputError(f"{runs / name}: found no finished run, expected those of a demo", "run `demo` again")
    zoo, lenses = read_pack(folder / "zoo.pack"), read_pack(folder / "lenses.pack")
    votes = evaluate(Predictor(runs / "zoo", device=device, views=views), zoo, seed=seed).tasks["votes"]
    nets: dict[str, ScoredTask] = {}
    flavors: ScoredTask | None = None
    for name in ("stage1-scratch", "stage1-from-zoo"):
        predictor = Predictor(runs / name, device=device, views=views)
        tasks = evaluate(predictor, lenses, part="heldout", stage=1, seed=seed).tasks
        nets[LENS_RUNS[name]], flavors = tasks["lens"], tasks.get("flavor")
    truth = folder / "space-warps" / "truth.csv"
    lens_table = pd.read_csv(truth) if truth.is_file() else None
    sealed = _sealed_table(folder, device=device, views=views, seed=seed)
    first_look = folder / FIRST_LOOK_NAME
    sections: list[Section | None] = [
        *(first_look_page(read_first_look(first_look, seed=seed)).sections if has_first_look(first_look) else ()),
        *votes_sections(votes),
        *lens_sections(nets, survey=survey or Survey(), lens_table=lens_table, seed=seed),
        flavor_section(flavors.scores, flavors.fault, survey=survey) if flavors else None,
        section("Unlabelled images, scored by their sealed truth", [sealed]),
    ]
    cards = []
    if isinstance(votes.scores, VoteScores):
        cards.append(card("RMSE of the votes", votes.scores.rmse))
    for name, one in nets.items():
        if isinstance(one.scores, LensScores):
            cards.append(card(f"AUROC, {name}", one.scores.overall["auroc"]))
    if is_unknown(folder / "unknown"):
        unknown = illustrate_unknown(folder / "unknown", pack=folder / "lenses.pack")
        sections += unknown.sections
        cards += unknown.cards
    names = {"zoo": "zoo, votes", **LENS_RUNS}
    made = json.loads((folder / DEMO_NAME).read_text("utf-8")) if (folder / DEMO_NAME).is_file() else None
    if made is not None and all(one.scores for one in nets.values()):
        differences = compare_starts(*nets.values(), seed=seed)
        sections.append(section(START_TITLE, comparison_blocks(differences, made["size"]["lens_epochs"])))
    metrics = {text: pd.read_csv(RunFolder(runs / name).metrics) for name, text in names.items()}
    sections += [
        section(
            "Training",
            [
                plot_learning({"zoo, votes": metrics.pop("zoo, votes")}),
                plot_learning(metrics),
            ],
        ),
        section(
            "Data, settings, versions, commands to reproduce",
            [
                count_images(zoo, "Simulated galaxies"),
                count_images(lenses, "Simulated cutouts"),
                list_settings(runs / "stage1-scratch"),
                list_versions(runs / "stage1-scratch"),
                list_commands([f"convnet-galaxies demo -o {folder}"]),
            ],
        ),
    ]
    lead = (
        "The full pipeline on simulated data: simulate galaxies with votes and cutouts with lenses, pack them, train "
        "from scratch and by transfer learning, fine-tune, and score on fields without training images.",
        "All data are simulated: the figures show that the pipeline works, not its accuracy on real images.",
        *_size_sentences(folder),
    )
    return Page("Demo", lead, tuple(cards), tuple(one for one in sections if one))


def _size_sentences(folder: Path) -> list[str]:
    """Return size of this demo, and the reason; nothing for a folder that does not tell."""
    path = folder / DEMO_NAME
    if not path.is_file():
        return []
    made = json.loads(path.read_text("utf-8"))
    known = {field.name for field in fields(DemoSize)}  # earlier versions had more
    size = DemoSize(**{name: value for name, value in made["size"].items() if name in known})
    return describe_size(size, made["machine"])


def _sealed_table(folder: Path, *, device: Device, views: Views, seed: int) -> Block | None:
    path = folder / "space-warps" / "sealed" / "test_truth.csv"
    if not path.is_file():
        return None
    sealed, lenses = pd.read_csv(path), read_pack(folder / "lenses.pack")
    shown, rows, scores = scores_of("lens", baselines=False), [], None
    for name, text in LENS_RUNS.items():
        run = folder / "runs" / name
        try:
            scores = score_unknown(Predictor(run, device=device, views=views), lenses, sealed, seed=seed)
        except InputError as error:
            return Text(f"Not scored: {error.message}.", True)
        rows.append((text, *(f"{scores.overall[name]:.3f}" for name in shown)))
    assert scores is not None
    return Table(
        f"UNKNOWN cutouts by their sealed truth: {scores.n_lenses:,} lenses among {scores.n_images:,}",
        ("", *(score.label for score in shown.values())),
        tuple(rows),
        ("This truth exists only in a simulation; no network was trained on it.",),
    )
