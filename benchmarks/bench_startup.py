"""Time the start of the command and the import, against an empty Python and against importing torch.

Each contestant is a new Python process. The goals: a help text in less than half a second, a wrong path answered within
a second, both without torch; the prediction of one image in at most 1.5 times the time of importing torch.

    python benchmarks/bench_startup.py [--quick]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import Report, race, read_options
from PIL import Image

CALL = "import sys; sys.argv[1:] = {words!r}; from convnet_galaxies.cli import main; main()"
SCRIPTS = {
    "python -c pass": "pass",
    "import torch": "import torch",
    "import convnet_galaxies": "import convnet_galaxies",
    "convnet-galaxies --help": CALL.format(words=["--help"]),
    "convnet-galaxies train --help": CALL.format(words=["train", "--help"]),
    "a run that is missing": CALL.format(words=["predict", "no-such-run", "image.png", "-o", "wrong.csv"]),
    "predict one image": CALL.format(words=["predict", "builtin:lens", "image.png", "-o", "out.csv", "--force", "-q"]),
}
GOALS = {"convnet-galaxies --help": 0.5, "a run that is missing": 1.0}


def run(script: str, folder: Path) -> None:
    """Run a script in a new Python in a folder and throw its output away; a refused command counts as well."""
    subprocess.run([sys.executable, "-c", script], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "startup", rounds=9)
    report = Report("startup", options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)).save(
            folder / "image.png"
        )
        contestants: dict[str, Callable[[], object]] = {
            name: (lambda text=script: run(text, folder))
            for name, script in SCRIPTS.items()  # type: ignore[misc]
        }
        times = race(contestants, options.rounds)
        if not (folder / "out.csv").is_file():
            raise RuntimeError("the prediction wrote nothing")
    empty, torch = times["python -c pass"], times["import torch"]
    report.add("python -c pass", empty, "s")
    report.add("python -c 'import torch'", torch, "s", against="python -c pass", reference=empty)
    for name in list(SCRIPTS)[2:]:
        report.add(name, times[name], "s", goal=f"<= {GOALS[name]}" if name in GOALS else "")
        report.add(name, times[name], "s", against="python -c pass", reference=empty)
        ratio_goal = "<= 1.5" if name == "predict one image" else ""
        report.add(name, times[name], "s", goal=ratio_goal, against="import torch", reference=torch)
    report.finish()


if __name__ == "__main__":
    main()
