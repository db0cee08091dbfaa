from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from small_sets import make_vote_set

from convnet_galaxies.model.targets import Target
from convnet_galaxies.settings import AugmentSettings
from convnet_galaxies.training.batches import Batches

IMAGES = make_vote_set(50)
NUMBERS = torch.arange(50, dtype=torch.float32)
TARGETS = {"lens": Target(NUMBERS, np.ones(50, bool))}
"""The target of an image is its row number, so that batches tell which images they hold."""


def make(rows: np.ndarray, batch: int, seed: int = 0, share: tuple[int, int] = (0, 1)) -> Batches:
    return Batches(IMAGES, TARGETS, rows, AugmentSettings(), batch, seed, 32.0, 16, share)


@hypothesis_settings(deadline=None, max_examples=25)
@given(n=st.integers(2, 50), batch=st.integers(1, 60), workers=st.integers(1, 3))
def test_every_image_is_seen_once_an_epoch_whatever_the_number_of_workers(n, batch, workers) -> None:
    rows = np.random.default_rng(n).permutation(50)[:n]
    seen, sizes = [], []
    for rank in range(workers):
        for one in make(rows, batch, share=(rank, workers)).epoch(0):
            seen += one.targets["lens"].tolist()
            sizes.append(len(one.views))
    assert sorted(seen) == sorted(rows.tolist())
    assert max(sizes) <= 1.5 * batch or len(sizes) == workers


def test_an_epoch_begun_in_the_middle_gives_the_same_batches() -> None:
    batches = make(np.arange(50), 8)
    whole, rest = list(batches.epoch(3)), list(batches.epoch(3, first_step=4))
    assert len(whole) == batches.steps
    assert len(rest) == batches.steps - 4
    for one, other in zip(whole[4:], rest, strict=True):
        assert torch.equal(one.views, other.views)
        assert torch.equal(one.targets["lens"], other.targets["lens"])


@pytest.mark.parametrize("change", ["epoch", "seed"])
def test_another_epoch_or_seed_gives_another_order_and_other_views(change) -> None:
    first = next(make(np.arange(50), 50).epoch(0))
    other = next(make(np.arange(50), 50, seed=int(change == "seed")).epoch(int(change == "epoch")))
    assert not torch.equal(first.views, other.views)


def test_views_are_those_of_the_images_that_the_targets_name() -> None:
    still = AugmentSettings(rotate=False, flip=False, shift_fraction=0, zoom=1, stretch=1, brightness=0, colour=0)
    batches = Batches(IMAGES, TARGETS, np.arange(50), still, 16, 0, 32.0, 32)
    for one in batches.epoch(0):
        rows = one.targets["lens"].long().numpy()
        expected = torch.from_numpy(IMAGES.images[rows]).permute(0, 3, 1, 2).float()
        found = one.views
        scale = (expected.std() / found.std()).item()
        torch.testing.assert_close(found * scale + (expected - found * scale).mean(), expected, atol=0.1, rtol=0)
