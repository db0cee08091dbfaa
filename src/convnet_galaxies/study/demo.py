"""The whole line on simulated data: simulate, pack, train, transfer, fine-tune, predict, evaluate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from convnet_galaxies.data.default_pixels import default_preprocess
from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.output import write_json
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.records import ImageSet, Records
from convnet_galaxies.data.space_warps import read_space_warps
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.measure.scores import LensScores, VoteScores, evaluate_lenses
from convnet_galaxies.model.device import Device
from convnet_galaxies.predict.evaluation import evaluate, held_out_rows
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_file
from convnet_galaxies.settings import Settings
from convnet_galaxies.simulate.galaxy_zoo import simulate_galaxy_zoo
from convnet_galaxies.simulate.libraries import require_libraries
from convnet_galaxies.simulate.space_warps import simulate_space_warps
from convnet_galaxies.study.demo_comparison import compare_starts
from convnet_galaxies.study.first_look import FirstLook, look_first
from convnet_galaxies.study.machine import Machine
from convnet_galaxies.study.strategies import study_parts
from convnet_galaxies.study.unknown_run import study_unknown
from convnet_galaxies.training.fit import fit

DEMO_NAME, FIRST_LOOK_NAME = "demo.json", "first-look"

StepProgress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class DemoSize:
    """Size of the demo; SIZES lists the choices.

    name: full or small. galaxies, cutouts: simulated. zoo_epochs, lens_epochs, fine_epochs: of the zoo net, of stage 1
    from scratch and from the zoo net alike, and of stage 2.
    """

    name: str = "full"
    galaxies: int = 1000
    cutouts: int = 2400
    zoo_epochs: int = 12
    lens_epochs: int = 18
    fine_epochs: int = 8


SIZES = {"full": DemoSize(), "small": DemoSize("small", galaxies=800, cutouts=1300)}
"""The full size takes under five minutes on two processors with bf16, the small one on two without."""


def choose_size(machine: Machine) -> DemoSize:
    """Choose the size that takes a few minutes on a machine."""
    return SIZES["full" if machine.is_fast else "small"]


def describe_size(size: DemoSize, machine: str) -> list[str]:
    """Return sentences on the size of a demo, the reason, and the consequences."""
    full = SIZES["full"]
    told = [
        f"Size {size.name}, on {machine}: {size.galaxies:,} galaxies, {size.cutouts:,} cutouts, "
        f"{size.lens_epochs} epochs on stage 1."
    ]
    if size.cutouts < full.cutouts:
        told.append(
            f"The full size has {full.galaxies:,} galaxies and {full.cutouts:,} cutouts: with fewer lenses "
            "the networks are less accurate and the intervals wider."
        )
    return told


@dataclass
class DemoResult:
    """Result of the demo.

    size: of the demo. machine: where it ran, in words. figures: rows of (what, figure).
    transfer: scores of stage 1 from the zoo net minus those from scratch.
    paths: what was written, by what it is. seconds: by step.
    """

    size: DemoSize
    machine: str
    figures: list[tuple[str, Estimate]] = field(default_factory=list)
    transfer: dict[str, Estimate] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def run_demo(
    output: Path,
    settings: Settings,
    *,
    size: DemoSize,
    machine: str = "",
    seed: int = 0,
    device: Device = "auto",
    workers: int | None = None,
    progress: StepProgress | None = None,
    on_first_look: Callable[[FirstLook], None] = lambda look: None,
    on_step: Callable[[str, float], None] = lambda name, seconds: None,
) -> DemoResult:
    """Run the whole line into a folder; finished steps are made again, since their sizes may have changed.

    machine: where it runs, in words, for the report. on_first_look: called early, with what the built-in nets see in a
    few images. on_step: called after each step, with its name and how long it took.
    """
    require_libraries()
    result = DemoResult(size, machine)
    step = _Steps(result, progress or (lambda done, total, text: None), on_step)
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / DEMO_NAME, {"size": size, "machine": result.machine}, force=True)
    zoo_data, lens_data = output / "galaxy-zoo", output / "space-warps"
    with step("a first look"):
        on_first_look(look_first(output / FIRST_LOOK_NAME, seed=seed, device=device))
    with step("simulating galaxies and their votes"):
        simulate_galaxy_zoo(
            zoo_data,
            number=size.galaxies,
            seed=seed,
            workers=workers,
            force=True,
            test_fraction=0.1,
            progress=step.update,
        )
    with step("simulating fields, lenses and clicks"):
        simulate_space_warps(
            lens_data, number=size.cutouts, seed=seed, workers=workers, force=True, progress=step.update
        )
    with step("packing"):
        zoo_pack = _pack(read_galaxy_zoo(zoo_data), output / "zoo.pack")
        lens_pack = _pack(read_space_warps(lens_data), output / "lenses.pack")
    zoo, lenses = read_pack(zoo_pack), read_pack(lens_pack)

    # Lenses of stage 2 are so few that a split dealt blindly may leave none to train on.
    lens_parts = study_parts(lenses, settings.split.fractions, repetition=0, seed=seed)
    runs = output / "runs"

    def train(name: str, epochs: int, *, parent: str | None = None, stage: int | None = None) -> Path:
        longer = settings.model_copy(
            update={"train": settings.train.model_copy(update={"epochs": epochs}), "seed": seed}
        )
        images, tasks = (zoo, ("votes",)) if stage is None else (lenses, ("lens", "flavor"))
        with step(f"training {name}"):
            fit(
                images,
                longer,
                runs / name,
                tasks=tasks,
                parent=None if parent is None else runs / parent,
                stage=stage,
                parts=None if stage is None else lens_parts,
                device=device,
                force=True,
                progress=lambda state: step.update(state.step, state.steps),
            )
        result.paths[name] = runs / name
        return runs / name

    train("zoo", size.zoo_epochs)
    train("stage1-scratch", size.lens_epochs, stage=1)
    train("stage1-from-zoo", size.lens_epochs, parent="zoo", stage=1)
    train("stage2-scratch", size.fine_epochs, parent="stage1-scratch", stage=2)
    train("stage2-from-zoo", size.fine_epochs, parent="stage1-from-zoo", stage=2)

    with step("evaluating"):
        votes = evaluate(Predictor(runs / "zoo", device=device, views=8), zoo).scores["votes"]
        assert isinstance(votes, VoteScores)
        result.figures += [(f"Galaxy Zoo, {SCORES[name].label}", one) for name, one in votes.overall.items()]
        sealed = pd.read_csv(lens_data / "sealed" / "test_truth.csv")
        compared = []
        for start in ("scratch", "from-zoo"):
            run = runs / f"stage1-{start}"
            found = evaluate(Predictor(run, device=device, views=8), lenses, part="heldout", stage=1)
            add_lens_figures(result, f"stage 1, {start.replace('-', ' ')}, held out", found.scores["lens"])
            compared.append(found.tasks["lens"])
        result.transfer = compare_starts(*compared, seed=seed)
        for stage in (1, 2):
            for start in ("scratch", "from-zoo"):
                run = runs / f"stage{stage}-{start}"
                scores = score_unknown(Predictor(run, device=device, views=8), lenses, sealed, seed=seed)
                add_lens_figures(
                    result, f"stage {stage}, {start.replace('-', ' ')}, UNKNOWN by their sealed truth", scores
                )
    with step("predicting"):
        for name, source in (("zoo", zoo_pack), ("stage2-from-zoo", lens_pack)):
            path = output / f"predictions-{name}.csv"
            predict_file(Predictor(runs / name, device=device), source, path, force=True)
            result.paths[path.stem] = path
    with step("asking about the UNKNOWN"):
        answering = Predictor(runs / "stage2-from-zoo", device=device, views=8)
        study_unknown(answering, lens_pack, output / "unknown", seed=seed, force=True)
        result.paths["unknown"] = output / "unknown"
    return result


def score_unknown(predictor: Predictor, lenses: ImageSet, sealed: pd.DataFrame, *, seed: int) -> LensScores:
    """Score the unlabelled cutouts by their truth, which exists only in a simulation.

    sealed: columns cutoutname and shows_lens. Cutouts whose image file the run was trained on are left out.
    """
    truth = sealed.set_index(sealed["cutoutname"].str.removesuffix(".png"))["shows_lens"]
    allowed, _ = held_out_rows(lenses, predictor.run, "heldout")
    unknown = lenses.table["lens"].isna().to_numpy()
    rows = allowed[unknown[allowed]]
    table = lenses.table.iloc[rows]
    answer = predictor.predict_set(lenses, rows).tasks["lens"]
    return evaluate_lenses(truth.loc[table["id"]].to_numpy() == 1, answer, table["group"].to_numpy(), seed=seed)


def add_lens_figures(result: DemoResult, label: str, scores: object) -> None:
    """Add AUROC and log loss to the table."""
    assert isinstance(scores, LensScores)
    result.figures += [(f"{label}: {SCORES[name].label}", scores.overall[name]) for name in ("auroc", "log_loss")]


def _pack(records: Records, path: Path) -> Path:
    write_pack(records, default_preprocess(records), path, force=True)
    return path


class _Steps:
    """Times the steps of the demo and passes their progress on."""

    def __init__(self, result: DemoResult, progress: StepProgress, on_step: Callable[[str, float], None]) -> None:
        self.result, self.progress, self.on_step = result, progress, on_step
        self.name, self.started = "", 0.0

    def __call__(self, name: str) -> _Steps:
        self.name = name
        return self

    def __enter__(self) -> None:
        self.started = time.monotonic()
        self.update(0, 1)

    def __exit__(self, *error: object) -> None:
        seconds = self.result.seconds[self.name] = time.monotonic() - self.started
        if error[0] is None:
            self.on_step(self.name, seconds)

    def update(self, done: int, total: int) -> None:
        """Pass on how far the step is."""
        self.progress(done, total, self.name)
