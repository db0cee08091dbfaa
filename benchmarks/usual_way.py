"""Train and predict galaxies in the usual way: a peer process for bench_training.py and bench_prediction.py.

A Dataset that opens each JPEG with Pillow, transforms of one image at a time, a DataLoader with two workers, the same
network in fp32, AdamW, and the Trainer of Lightning. Without Lightning, a plain loop does the same as the Trainer (and
is slightly faster, since it has no hooks); the remark of the row then names it.

    python usual_way.py train|predict JPEG_FOLDER VOTES_CSV NET_SETTINGS_JSON BATCH WORKERS
"""

from __future__ import annotations

import logging
import math
import random
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from peers import answer, tolerate_torchvision, wait_for_turn
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.settings import NetSettings

CROP_PX, SIZE_PX = 288, 108
"""As in galaxy_files.PIXELS: the net sees input_px of the 108 px to which the central 288 px of 424 are shrunk."""


def random_view(image: Image.Image, side_px: float, output_px: int) -> Image.Image:
    """A random view of about side_px of the image, rotated, zoomed, shifted and flipped as ours are, by Pillow."""
    image = image.rotate(random.uniform(0, 360), Image.Resampling.BILINEAR)
    half = side_px / 2 * math.exp(random.uniform(-math.log(1.25), math.log(1.25)))
    x, y = (length / 2 + random.uniform(-0.03, 0.03) * side_px for length in image.size)
    box = (max(0, x - half), max(0, y - half), min(image.width, x + half), min(image.height, y + half))
    image = image.resize((output_px, output_px), Image.Resampling.BILINEAR, box=box)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def central_view(image: Image.Image, side_px: float, output_px: int) -> Image.Image:
    """The view that ours predicts from."""
    half = side_px / 2
    x, y = image.width / 2, image.height / 2
    return image.resize((output_px, output_px), Image.Resampling.BICUBIC, box=(x - half, y - half, x + half, y + half))


def to_tensor(image: Image.Image) -> Tensor:
    """Normalised float32 [3, h, w]."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    return (pixels - 30) / 45


def jitter(pixels: Tensor) -> Tensor:
    """Random gains of the image and of its bands."""
    return pixels * torch.exp(0.1 * torch.randn(1, 1, 1) + 0.05 * torch.randn(3, 1, 1))


class Galaxies(Dataset):
    """JPEG files and votes, an image at a time."""

    def __init__(self, folder: Path, votes: Path, transform: Callable[[Image.Image], Tensor]) -> None:
        table = pd.read_csv(votes)
        self.files = [folder / f"{galaxy}.jpg" for galaxy in table["GalaxyID"]]
        self.votes = torch.from_numpy(table[list(VOTE_COLUMNS)].to_numpy(np.float32))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.files[row]) as image:
            return self.transform(image.convert("RGB")), self.votes[row]


def train_plainly(net: GalaxyNet, loader: DataLoader) -> None:
    """An epoch each turn, without Lightning."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    net.train()
    while wait_for_turn():
        started = time.perf_counter()
        for images, votes in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(net(images)["votes"], votes)
            loss.backward()
            optimizer.step()
        answer(time.perf_counter() - started)


def train_with_lightning(net: GalaxyNet, loader: DataLoader, lightning) -> None:  # type: ignore[no-untyped-def]
    """An epoch each turn, in one Trainer.fit."""

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
            loss = torch.nn.functional.mse_loss(self.net(batch[0])["votes"], batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

    class Turns(lightning.Callback):
        def on_train_epoch_start(self, trainer, module) -> None:  # type: ignore[no-untyped-def]
            if not wait_for_turn():
                trainer.should_stop = True
                raise SystemExit
            self.started = time.perf_counter()

        def on_train_epoch_end(self, trainer, module) -> None:  # type: ignore[no-untyped-def]
            answer(time.perf_counter() - self.started)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        precision="32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Turns()],
    )
    trainer.fit(Module(), loader)


@torch.no_grad()
def predict(net: GalaxyNet, loader: DataLoader) -> None:
    """All images each turn."""
    net.eval()
    while wait_for_turn():
        started = time.perf_counter()
        torch.cat([net(images)["votes"] for images, _ in loader])
        answer(time.perf_counter() - started)


def main() -> None:
    """Answer turns until there are none."""
    what, folder, votes, settings, batch, workers = sys.argv[1:]
    torch.manual_seed(0)
    net = GalaxyNet(NetSettings.model_validate_json(settings), bands=3, classes={"votes": ()})
    output_px = net.settings.input_px
    side_px = output_px * CROP_PX / SIZE_PX

    def transform(image: Image.Image) -> Tensor:
        if what == "train":
            return jitter(to_tensor(random_view(image, side_px, output_px)))
        return to_tensor(central_view(image, side_px, output_px))

    galaxies = Galaxies(Path(folder), Path(votes), transform)
    loader = DataLoader(galaxies, int(batch), shuffle=what == "train", num_workers=int(workers))
    if what == "predict":
        print(f"REMARK Pillow, DataLoader with {workers} workers, fp32", flush=True)
        predict(net, loader)
        return
    try:
        tolerate_torchvision()
        import lightning
    except ImportError:
        print("REMARK plain loop in the place of Lightning's Trainer, which is absent", flush=True)
        train_plainly(net, loader)
        return
    print(f"REMARK Lightning {lightning.__version__}", flush=True)
    train_with_lightning(net, loader, lightning)


if __name__ == "__main__":
    main()
