"""Compare training steps of the default network with those of two other networks, and the AUROC after equal times.

Ours: whole steps (gathering from the pack, augmentation, both passes, optimizers, average). Peers: both passes and
the optimizer on one prepared batch in memory, which favours them (peer_nets.py): (b) a small CNN of 3 convolutions with
response normalisation and 3 dense layers on 86 px crops, fp32, SGD; (c) ConvNeXt-Nano at 224 px by timm (or our own
layers of the same shapes; the remark names which), fp32, AdamW.
Then, on simulated Space Warps cutouts of stage 1, split by field: validation AUROC of (b) and of ours after the same
seconds of training, of ours after a fifteenth of them, and the difference with its interval over fields and seeds.
The last weights of each network are scored; the validation images choose nothing.

    python benchmarks/bench_peers.py [--quick]
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from galaxy_files import cache_folder, make_galaxy_files
from measuring import Options, Report, race, read_options
from peer_nets import FirstNet, first_optimizer
from peers import Peer, find_peer_python
from sklearn.metrics import roc_auc_score
from training_step import TrainingStep

from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.space_warps import read_space_warps
from convnet_galaxies.measure.comparisons import compare_lenses
from convnet_galaxies.model.augment import normalise
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.settings import Settings, load_settings
from convnet_galaxies.simulate.space_warps import simulate_space_warps
from convnet_galaxies.training.fit import fit

LENS_SETTINGS = Path(__file__).parent.parent / "settings" / "space_warps.toml"
FIRST_BATCH = 64


def compare_steps(report: Report, options: Options) -> None:
    """Measure images per second of training steps."""
    batch, small = (16, 2) if options.quick else (FIRST_BATCH, 16)
    images = make_galaxy_files(32 if options.quick else 1536).pack()
    settings = load_settings(None, ["train.batch=16"] if options.quick else [])
    step = TrainingStep(images, settings)
    rows = np.arange(settings.train.batch)
    python, remark = find_peer_python(make=not options.quick)
    with (
        Peer("peer_nets.py", ("first", batch), python=python) as first,
        Peer("peer_nets.py", ("convnext", small), python=python) as convnext,
    ):

        def ten_steps() -> float:
            started = time.perf_counter()
            for _ in range(10):
                step.learn(*step.make_batch(rows))
            return (time.perf_counter() - started) / 10

        times = race({"ours": ten_steps, "first": first, "convnext": convnext}, options.rounds)
    speeds = {"ours": len(rows) / times["ours"], "first": batch / times["first"], "convnext": small / times["convnext"]}
    report.add("(b) a small CNN, 86 px", speeds["first"], "images/s", remark=first.remark)
    report.add(
        "(c) ConvNeXt-Nano, 224 px", speeds["convnext"], "images/s",
        remark="; ".join(filter(None, [convnext.remark, remark])),
    )  # fmt: skip
    report.add("ours, whole steps", speeds["ours"], "images/s", against="(b)", reference=speeds["first"], goal=">= 15")
    report.add(
        "ours, whole steps", speeds["ours"], "images/s", against="(c)", reference=speeds["convnext"], goal=">= 100"
    )


def make_cutouts(number: int) -> ImageSet:
    """Simulated cutouts of 96 px as a pack, from the cache or new."""
    folder = cache_folder() / f"space-warps-{number}"
    if not folder.exists():
        simulate_space_warps(folder, number=number, seed=0)
    pack = cache_folder() / f"space-warps-{number}.pack"
    if not pack.exists():
        write_pack(read_space_warps(folder), Preprocess(crop_px=96, size_px=96, pixel_scale_arcsec=0.186), pack)
    return read_pack(pack)


def train_first(images: ImageSet, lens: np.ndarray, seconds: float, seed: int) -> FirstNet:
    """Train peer (b) for so many seconds: random crops and mirrors, a rate that falls tenfold at two thirds."""
    torch.manual_seed(seed)
    net, rng = FirstNet(1).train(), np.random.default_rng(seed)
    optimizer, started = first_optimizer(net), time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        optimizer.param_groups[0]["lr"] = 0.01 if spent < seconds * 2 / 3 else 0.001
        rows = rng.integers(0, len(images), FIRST_BATCH)
        y, x = rng.integers(0, images.images.shape[1] - net.crop_px + 1, 2)
        crops = first_crops(images.images[rows], int(y), int(x))
        crops = crops.flip(3) if rng.random() < 0.5 else crops
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            net(crops).squeeze(1), torch.from_numpy(lens[rows]).float()
        )
        loss.backward()
        optimizer.step()
    return net.eval()


def first_crops(pixels: np.ndarray, y: int, x: int) -> torch.Tensor:
    """Normalised float32 [n, 3, 86, 86]."""
    crops = pixels[:, y : y + FirstNet.crop_px, x : x + FirstNet.crop_px]
    return normalise(torch.from_numpy(crops).permute(0, 3, 1, 2).float())


@torch.no_grad()
def score_first(net: FirstNet, pixels: np.ndarray) -> np.ndarray:
    """Probabilities [n] from central crops."""
    edge = (pixels.shape[1] - net.crop_px) // 2
    blocks = [first_crops(pixels[start : start + 128], edge, edge) for start in range(0, len(pixels), 128)]
    return torch.cat([net(block).squeeze(1) for block in blocks]).sigmoid().numpy()


def score_ours(
    images: ImageSet, parts: np.ndarray, settings: Settings, seed: int, held_out: np.ndarray
) -> tuple[np.ndarray, float]:
    """Probabilities [n] of the held-out pixels, and the seconds that the whole call of fit took."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        started = time.perf_counter()
        fit(images, settings.model_copy(update={"seed": seed}), run, tasks=("lens",), parts=parts)
        spent = time.perf_counter() - started
        return Predictor(run).predict(held_out)["lens"], spent


def compare_learning(report: Report, options: Options) -> None:
    """AUROC at equal wall time."""
    seconds, seeds = (4.0, 1) if options.quick else (40.0, 3)
    whole = make_cutouts(120 if options.quick else 2000)
    known = whole.select((pd.to_numeric(whole.table["stage"]) == 1).to_numpy() & whole.table["lens"].notna().to_numpy())
    parts = known.split((0.7, 0.3, 0.0), seed=0)
    train, held = (known.select(parts == part) for part in ("train", "validation"))
    lens = train.table["lens"].to_numpy() == 1
    truth = held.table["lens"].to_numpy() == 1
    pixels = np.array(held.images)
    base = load_settings(LENS_SETTINGS)
    score_ours(known, parts, with_epochs(base, 1), 0, pixels)  # the first call chooses kernels
    times = [score_ours(known, parts, with_epochs(base, epochs), 0, pixels)[1] for epochs in (1, 5)]
    epoch = max((times[1] - times[0]) / 4, 1e-3)
    scores: dict[str, list[np.ndarray]] = {"(b)": [], "ours": [], "ours, a fifteenth": []}
    spent: dict[str, list[float]] = {"ours": [], "ours, a fifteenth": []}
    for seed in range(seeds):
        scores["(b)"].append(score_first(train_first(train, lens, seconds, seed), pixels))
        for name, share in (("ours", 1.0), ("ours, a fifteenth", 1 / 15)):
            # A twentieth is kept back, so that ours is never the one that takes longer.
            epochs = max(1, math.floor((0.95 * seconds * share - times[0]) / epoch) + 1)
            answer, took = score_ours(known, parts, with_epochs(base, epochs), seed, pixels)
            scores[name].append(answer)
            spent[name].append(took)
    figures = {name: np.array([roc_auc_score(truth, one) for one in found]) for name, found in scores.items()}
    remark = f"{len(train)} cutouts to train on, {len(held)} held out with {int(truth.sum())} lenses"
    report.add(f"(b), {seconds:.0f} s of training", figures["(b)"], "AUROC", remark=remark)
    for name in spent:
        difference = compare_lenses(
            truth, np.array(scores[name]), np.array(scores["(b)"]), held.table["group"].to_numpy(), seed=0
        )["auroc"]
        report.add(
            f"{name}, {np.mean(spent[name]):.1f} s of training", figures[name], "AUROC", against="(b)",
            reference=figures["(b)"], goal=">= 1" if name == "ours" else "", remark=f"AUROC higher by {difference}",
        )  # fmt: skip


def with_epochs(settings: Settings, epochs: int) -> Settings:
    """The settings with so many epochs, validated at the end only."""
    train = settings.train.model_copy(update={"epochs": epochs, "validate_every": epochs})
    return settings.model_copy(update={"train": train})


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "peers", rounds=5)
    report = Report("peers", options)
    compare_steps(report, options)
    compare_learning(report, options)
    report.finish()


if __name__ == "__main__":
    main()
