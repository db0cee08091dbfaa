"""Measure this machine, and estimate the time of a training on the Galaxy Challenge."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.decision_tree import KAGGLE
from convnet_galaxies.model.augment import fixed_view, fixed_warps
from convnet_galaxies.model.device import Device, choose_device, choose_precision, has_native_bf16
from convnet_galaxies.model.galaxy_net import GalaxyNet, to_channels_last
from convnet_galaxies.model.losses import vote_loss
from convnet_galaxies.model.tasks import make_target
from convnet_galaxies.settings import Settings
from convnet_galaxies.training.batches import Batches
from convnet_galaxies.training.optimizer import make_optimizers

CHALLENGE_GALAXIES = 61_578
SECONDS = 2.0
MATRIX_SIDE = 2048


@dataclass(frozen=True)
class Diagnosis:
    """A two-second look at the machine.

    matmul_gflops: best speed of a matrix product by precision, 2048 x 2048.
    train_images_per_s, predict_images_per_s: of the default net, everything included but reading files.
    utilisation: arithmetic of the training step as a fraction of matmul_gflops of its precision.
    epoch_minutes: one pass over the Galaxy Challenge's 61,578 galaxies.
    """

    device: str
    threads: int
    cpu_capability: str
    native_bf16: bool
    gpu: str | None
    precision: str
    matmul_gflops: dict[str, float]
    net_mflop: float
    train_images_per_s: float
    predict_images_per_s: float
    utilisation: float
    epoch_minutes: float


def diagnose(*, device: Device = "auto") -> Diagnosis:
    """Measure the machine with the default net on noise; takes about the given time."""
    settings = Settings()
    chosen = choose_device(device)
    precision = choose_precision(settings.train.precision, chosen)
    share = SECONDS / 4
    speeds = {
        name: measure_matmul(dtype, chosen, share / 2)
        for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32))
    }
    net = to_channels_last(GalaxyNet(settings.net, bands=3, classes={"votes": ()})).to(chosen)
    mflop = count_mflop(net)
    train = measure_training(net, settings, chosen, precision, share)
    predict = measure_prediction(net, settings, chosen, precision, share)
    return Diagnosis(
        device=str(chosen),
        threads=torch.get_num_threads(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        native_bf16=has_native_bf16(chosen),
        gpu=torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else None,
        precision=precision,
        matmul_gflops=speeds,
        net_mflop=mflop,
        train_images_per_s=train,
        predict_images_per_s=predict,
        utilisation=3 * mflop * train / 1e3 / speeds[precision],
        epoch_minutes=CHALLENGE_GALAXIES / train / 60,
    )


def measure_matmul(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    """Measure the best speed of a square matrix product in GFLOP/s."""
    a, b = (torch.randn(MATRIX_SIDE, MATRIX_SIDE, device=device).to(dtype) for _ in range(2))
    return 2 * MATRIX_SIDE**3 / 1e9 / min(_times(lambda: a @ b, device, seconds))


def count_mflop(net: GalaxyNet) -> float:
    """Return the arithmetic of a forward pass of one image in MFLOP (a multiplication and an addition count as two)."""
    side = net.settings.input_px
    where = next(net.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.zeros(1, net.bands, side, side, device=where))
    return counter.get_total_flops() / 1e6


def measure_training(net: GalaxyNet, settings: Settings, device: torch.device, precision: str, seconds: float) -> float:
    """Measure images per second of whole training steps: gathering, augmentation, both passes, optimizers."""
    images = _noise(settings.train.batch)
    target = make_target("votes", images.table)
    side = settings.net.view_px_of(images.preprocess.size_px)
    batches = Batches(
        images,
        {"votes": target},
        np.arange(len(images)),
        settings.augment,
        settings.train.batch,
        0,
        side,
        settings.net.input_px,
    )
    optimizers = make_optimizers(net.train(), settings.train, inherited=False)

    def step() -> None:
        for batch in batches.epoch(0):
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                outputs = net(batch.views.to(device))
            vote_loss(outputs["votes"], batch.targets["votes"].to(device)).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()

    return settings.train.batch / float(np.median(_times(step, device, seconds)))


def measure_prediction(
    net: GalaxyNet, settings: Settings, device: torch.device, precision: str, seconds: float
) -> float:
    """Measure images per second of predictions from pixels in memory, one view."""
    images = _noise(256)
    side = settings.net.view_px_of(images.preprocess.size_px)
    (upright,) = fixed_warps(1)
    net.eval()

    @torch.inference_mode()
    def predict() -> None:
        wanted = settings.net
        pixels = torch.from_numpy(images.images)
        views = fixed_view(pixels, upright, view_px=side, output_px=wanted.input_px, kind=wanted.normalise)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            net(views.to(device, memory_format=torch.channels_last))

    return len(images) / float(np.median(_times(predict, device, seconds)))


def _times(function, device: torch.device, seconds: float) -> list[float]:  # type: ignore[no-untyped-def]
    function()  # the first call chooses kernels
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        started = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return times


def _noise(count: int) -> ImageSet:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (count, 108, 108, 3), dtype=np.uint8)
    table = pd.DataFrame(rng.random((count, len(KAGGLE.columns))), columns=list(KAGGLE.columns))
    return ImageSet(pixels, table, Preprocess(crop_px=288, size_px=108))
