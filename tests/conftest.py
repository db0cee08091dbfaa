"""What several tests share, and surroundings that are the same on every machine.

This module is imported before any test is, and so before numpy and torch read how many threads they may take.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# On nets of a few pixels, threads wait for one another more than they compute: two workers of pytest with two threads
# each took seven times the processor time on two cores. Another number may be given from outside.
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
# Colours, the width of lines and the backend of figures are those of a program that writes to a file.
for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TERMINAL_WIDTH", "MPLBACKEND"):
    os.environ.pop(name, None)
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a GPU rounds otherwise

# The same examples everywhere, and none that fails for being slow.
settings.register_profile(
    "same everywhere",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same everywhere")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What a test draws from torch's own generator does not depend on the tests that this worker ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The developers' real images beside the project; they are never part of it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the developers' real images are not at {folder}")
    return folder
