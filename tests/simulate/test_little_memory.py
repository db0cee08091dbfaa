"""Where memory lacks for the buffer of OpenBLAS, which would wait for it for ever, a field is drawn or refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

STARVED = """
import resource
from pathlib import Path
import numpy as np
from convnet_galaxies.data.click_clusters import cluster_clicks
from convnet_galaxies.simulate.profiles import mixture

x = np.array([10.0, 12.0, 11.0, 300.0])
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20),) * 2)
try:
    print(cluster_clicks(x, x, np.arange(4)).tolist())
    mixture(4.0)
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and a limit that holds")
def test_clicks_are_clustered_without_matrices_and_profiles_are_refused() -> None:
    done = subprocess.run([sys.executable, "-c", STARVED], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[0, 0, 0, -1]\n64 MB for OpenBLAS\n", done.stderr[-2000:]
