"""Take one training step apart: the parts of the loop in training/fit.py, called one by one."""

from __future__ import annotations

import time
from collections import defaultdict

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.model.augment import random_views
from convnet_galaxies.model.device import choose_precision
from convnet_galaxies.model.galaxy_net import GalaxyNet, to_channels_last
from convnet_galaxies.model.tasks import TASKS, make_target
from convnet_galaxies.settings import Settings
from convnet_galaxies.training.average import WeightAverage
from convnet_galaxies.training.optimizer import make_optimizers

PARTS = ("gather", "augmentation", "forward", "backward", "Muon", "AdamW", "average")


class TrainingStep:
    """A net, its optimizers and its average, ready to step on batches of an image set.

    seconds: time spent in each of the PARTS so far.
    """

    def __init__(self, images: ImageSet, settings: Settings, *, task: str = "votes") -> None:
        torch.manual_seed(0)
        self.images, self.settings, self.task = images, settings, task
        self.target = make_target(task, images.table)
        self.net = to_channels_last(
            GalaxyNet(settings.net, bands=images.preprocess.bands, classes={task: self.target.classes})
        ).train()
        self.muon, self.adam = make_optimizers(self.net, settings.train, inherited=False)
        self.average = WeightAverage(self.net, settings.train.average, 1000)
        self.is_bf16 = choose_precision(settings.train.precision, torch.device("cpu")) == "bf16"
        self.generator = torch.Generator().manual_seed(0)
        self.step = 0
        self.seconds: dict[str, float] = defaultdict(float)

    def make_batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Views and targets of the images in the given rows."""
        started = time.perf_counter()
        rows = np.sort(rows)
        pixels = torch.from_numpy(self.images.images[rows])
        targets = self.target.values[torch.from_numpy(rows)]
        started = self._note("gather", started)
        net = self.settings.net
        side = net.view_px_of(self.images.preprocess.size_px)
        views = random_views(
            pixels, self.settings.augment, self.generator, view_px=side, output_px=net.input_px, kind=net.normalise
        )
        self._note("augmentation", started)
        return views, targets

    def learn(self, views: Tensor, targets: Tensor) -> None:
        """Both passes, the optimizers and the average."""
        started = time.perf_counter()
        loss = self.loss(views, targets)
        started = self._note("forward", started)
        loss.backward()
        started = self._note("backward", started)
        self.muon.step()
        self.muon.zero_grad()
        started = self._note("Muon", started)
        self.adam.step()
        self.adam.zero_grad()
        started = self._note("AdamW", started)
        self.average.update(self.net, self.step)
        self.step += 1
        self._note("average", started)

    def loss(self, views: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_bf16):
            outputs = self.net(views)
        return TASKS[self.task].parts.loss(outputs[self.task], targets)

    def epoch(self, rows: np.ndarray) -> None:
        """Steps over all rows in batches of nearly equal sizes."""
        for batch in np.array_split(rows, max(1, round(len(rows) / self.settings.train.batch))):
            self.learn(*self.make_batch(batch))

    def count_flops(self, views: Tensor, targets: Tensor) -> tuple[int, int]:
        """Arithmetic of the forward and of the backward pass of a batch by torch's counter."""
        with FlopCounterMode(display=False) as counter:
            loss = self.loss(views, targets)
            forward = counter.get_total_flops()
            loss.backward()
        self.net.zero_grad()
        return forward, counter.get_total_flops() - forward

    def _note(self, part: str, started: float) -> float:
        now = time.perf_counter()
        self.seconds[part] += now - started
        return now
