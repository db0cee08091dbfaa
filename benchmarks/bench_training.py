"""Time a whole epoch against the usual way, against its bare steps, and against the arithmetic peak of the processor.

Ours: the loop of training/fit.py itself (batches from the memory-mapped pack, augmentation, both passes, Muon, AdamW,
weight average), timed by its own metrics.csv in the second of two epochs, since the Trainer of the peer also continues
from epoch to epoch and is warm; and the whole call of one epoch, with the run folder, weights and checkpoint.
The usual way: Pillow, transforms of single images, DataLoader with 2 workers, the same network in fp32, AdamW, Trainer
of Lightning (usual_way.py), on the same JPEGs. Bare steps: both passes, optimizers and average on one batch in memory.
Utilisation: arithmetic of both passes by the counter of torch, over the time of a step, over the speed of a bf16 (fp32
where bf16 is emulated) matrix product measured in the same round. The breakdown lists the parts of a step.

    python benchmarks/bench_training.py [--quick]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from galaxy_files import PIXELS, GalaxyFiles, make_galaxy_files
from measuring import Options, Report, race, read_options
from peers import Peer, find_peer_python
from training_step import PARTS, TrainingStep

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.settings import Settings, load_settings
from convnet_galaxies.training.fit import fit

MATRIX = 2048


def fit_once(images: ImageSet, settings: Settings, *, epochs: int = 1) -> pd.Series:
    """Seconds of the loop of a training at the end of each of its epochs, as its run folder says."""
    longer = settings.model_copy(update={"train": settings.train.model_copy(update={"epochs": epochs})})
    with tempfile.TemporaryDirectory() as folder:
        run = fit(images, longer, Path(folder) / "run", tasks=("votes",))
        return pd.read_csv(run.metrics)["train_seconds"]


def second_epoch(images: ImageSet, settings: Settings) -> float:
    """Seconds of an epoch that is not the first, whose first step makes ready what later ones use."""
    first, second = fit_once(images, settings, epochs=2)
    return float(second - first)


def compare_epochs(report: Report, options: Options, files: GalaxyFiles, settings: Settings) -> None:
    """Whole epochs: ours, ours with packing, the usual way, and bare steps."""
    images, number, batch = files.pack(), files.number, settings.train.batch
    step = TrainingStep(images, settings)
    ready = step.make_batch(np.arange(min(batch, number)))
    steps = max(1, round(number / batch))

    def fit_all() -> None:
        fit_once(images, settings)

    def bare_steps() -> None:
        for _ in range(steps):
            step.learn(*ready)

    def pack_and_fit() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_pack(read_galaxy_zoo(files.archive, files.solutions), PIXELS, Path(folder) / "pack")
        fit_once(images, settings)

    python, remark = find_peer_python(make=not options.quick)
    arguments = ("train", files.jpegs, files.solutions, settings.net.model_dump_json(), batch, 2)
    with Peer("usual_way.py", arguments, python=python) as usual:
        times = race(
            {
                "usual": usual,
                "ours": lambda: second_epoch(images, settings),
                "call": fit_all,
                "packing": pack_and_fit,
                "in memory": lambda: step.epoch(np.arange(number)),
                "bare": bare_steps,
            },
            options.rounds,
        )
        remark = "; ".join(filter(None, [usual.remark, remark]))
    speeds = {name: number / seconds for name, seconds in times.items()}
    speeds["bare"] = steps * len(ready[0]) / times["bare"]
    usual_way = {"against": "the usual way", "reference": speeds["usual"]}
    report.add("epoch, the usual way", speeds["usual"], "images/s", remark=remark)
    report.add("epoch, ours", speeds["ours"], "images/s", **usual_way, goal=">= 8", remark=f"{files.origin} galaxies")
    report.add("epoch and run folder, ours", speeds["call"], "images/s", **usual_way)
    report.add("packing, first epoch and run folder, ours", speeds["packing"], "images/s", **usual_way)
    milliseconds = {name: 1e3 / speed for name, speed in speeds.items()}
    report.add(
        "time per image, whole epoch", milliseconds["ours"], "ms", goal="<= 1.1",
        against="bare steps", reference=milliseconds["bare"],
    )  # fmt: skip
    report.add(
        "time per image, steps with augmentation", milliseconds["in memory"], "ms",
        against="bare steps", reference=milliseconds["bare"],
    )  # fmt: skip


def measure_utilisation(report: Report, options: Options, images: ImageSet, settings: Settings) -> None:
    """Arithmetic of a step over the matrix peak, and where the rest goes."""
    step = TrainingStep(images, settings)
    rows = np.arange(settings.train.batch) % len(images)
    batch = step.make_batch(rows)
    forward, backward = step.count_flops(*batch)
    dtype = torch.bfloat16 if step.is_bf16 else torch.float32
    a, b = (torch.randn(MATRIX, MATRIX).to(dtype) for _ in range(2))

    def ten_steps() -> float:
        step.seconds.clear()
        for _ in range(10):
            step.learn(*step.make_batch(rows))
        parts.append(dict(step.seconds))
        return sum(step.seconds.values()) / 10

    def multiply() -> None:
        for _ in range(20):
            a @ b

    parts: list[dict[str, float]] = []
    times = race({"step": ten_steps, "peak": multiply}, options.rounds)
    peak = 20 * 2 * MATRIX**3 / times["peak"] / 1e9
    name = f"{'bf16' if step.is_bf16 else 'fp32'} matrix product"
    total = (forward + backward) / 1e9
    report.add(f"{name}, {MATRIX} x {MATRIX}", peak, "GFLOP/s")
    whole = {"against": name, "reference": peak}
    remark = f"{forward / len(rows) / 1e6:.1f} MFLOP per image forward, {backward / len(rows) / 1e6:.1f} backward"
    report.add(
        "arithmetic of a step, all parts", total / times["step"], "GFLOP/s", **whole, goal=">= 0.45", remark=remark
    )
    mean = {part: np.array([found[part] / 10 for found in parts[1:]]) for part in PARTS}
    bare = sum(mean[part] for part in PARTS[2:])
    report.add("arithmetic of a bare step", total / bare, "GFLOP/s", **whole)
    report.add("arithmetic of the forward pass", forward / 1e9 / mean["forward"], "GFLOP/s", **whole)
    report.add("arithmetic of the backward pass", backward / 1e9 / mean["backward"], "GFLOP/s", **whole)
    for part in PARTS:
        report.add(f"part of a step: {part}", mean[part] * 1e3, "ms", against="the step", reference=times["step"] * 1e3)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "training", rounds=5)
    report = Report("training", options)
    files = make_galaxy_files(64 if options.quick else 1536)
    settings = load_settings(
        None, ["train.epochs=1", "train.validate_every=1", "split.train=1", "split.validation=0", "split.test=0"]
    )
    compare_epochs(report, options, files, settings)
    measure_utilisation(report, options, files.pack(), settings)
    report.finish()


if __name__ == "__main__":
    main()
