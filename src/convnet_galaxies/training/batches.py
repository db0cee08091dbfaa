"""Batches from a set in memory or memory-mapped: uint8 pixels, gathered and augmented batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.model.augment import random_views
from convnet_galaxies.model.targets import Target
from convnet_galaxies.settings import AugmentSettings, Normalise


@dataclass(frozen=True)
class Batch:
    """One training step's worth.

    views: normalised float32 [n, bands, px, px], channels last.
    targets: by task, as in Target.values.
    """

    views: Tensor
    targets: Mapping[str, Tensor]


@dataclass(frozen=True)
class Batches:
    """The training images in batches, in an order and in views that follow from seed, epoch and step alone.

    rows: row numbers of the training images, int [n].
    share: (rank, count) of this process when several train together; each takes its share of every batch.
    """

    images: ImageSet
    targets: Mapping[str, Target]
    rows: np.ndarray
    augment: AugmentSettings
    batch: int
    seed: int
    view_px: float
    output_px: int
    share: tuple[int, int] = (0, 1)
    normalise: Normalise = "fixed"

    @property
    def steps(self) -> int:
        """Steps per epoch: batches of nearly equal sizes, so that no image is left out and no batch is small."""
        return max(1, round(len(self.rows) / self.batch))

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, each image once, from a step on."""
        order = np.random.default_rng((self.seed, epoch)).permutation(self.rows)
        rank, count = self.share
        for step, rows in enumerate(np.array_split(order, self.steps)):
            if step >= first_step:
                yield self._make(rows[rank::count], (self.seed, epoch, step, rank))

    def _make(self, rows: np.ndarray, seed: tuple[int, ...]) -> Batch:
        rows = np.sort(rows)  # a memory-mapped pack is read front to back
        pixels = torch.from_numpy(self.images.images[rows])
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        views = random_views(
            pixels, self.augment, generator, view_px=self.view_px, output_px=self.output_px, kind=self.normalise
        )
        picked = torch.from_numpy(rows)
        targets = {task: target.values[picked] for task, target in self.targets.items()}
        return Batch(views, targets)
