"""Image sets made once; training never changes them."""

from __future__ import annotations

import pytest
from small_sets import make_lens_set, make_vote_set

from convnet_galaxies.data.records import ImageSet


@pytest.fixture(scope="session")
def vote_set() -> ImageSet:
    return make_vote_set()


@pytest.fixture(scope="session")
def lens_set() -> ImageSet:
    return make_lens_set()
