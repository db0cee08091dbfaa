"""What a command loads before it begins, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from convnet_galaxies import __version__


def test_prediction_loads_nothing_that_only_training_needs() -> None:
    asked = "import sys, convnet_galaxies.predict.stream, convnet_galaxies.predict.evaluation; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    roots = {name.split(".")[0] for name in loaded}
    assert "torch" in roots
    assert not roots & {"lightning_fabric", "sympy", "matplotlib", "galsim", "caustics", "quapy"}
    assert "torch._dynamo" not in loaded


def test_the_package_runs_as_a_module() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "convnet_galaxies", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == __version__
