"""Time the start of the command and the import, against an empty Python and against importing torch.

Each contestant is a new Python process. The goal is a help text in less than half a second, without torch.

    python benchmarks/bench_startup.py [--quick]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from measuring import Report, race, read_options

SCRIPTS = {
    "python -c pass": "pass",
    "import torch": "import torch",
    "import convnet_galaxies": "import convnet_galaxies",
    "convnet-galaxies --help": "import sys; sys.argv[1:] = ['--help']; from convnet_galaxies.cli import main; main()",
    "convnet-galaxies train --help": (
        "import sys; sys.argv[1:] = ['train', '--help']; from convnet_galaxies.cli import main; main()"
    ),
}


def run(script: str) -> None:
    """Run a script in a new Python and throw its output away."""
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "startup", rounds=9)
    report = Report("startup", options)
    contestants: dict[str, Callable[[], object]] = {
        name: (lambda text=script: run(text))
        for name, script in SCRIPTS.items()  # type: ignore[misc]
    }
    times = race(contestants, options.rounds)
    empty, torch = times["python -c pass"], times["import torch"]
    report.add("python -c pass", empty, "s")
    report.add("python -c 'import torch'", torch, "s", against="python -c pass", reference=empty)
    for name in list(SCRIPTS)[2:]:
        report.add(name, times[name], "s", goal="<= 0.5" if name == "convnet-galaxies --help" else "")
        report.add(name, times[name], "s", against="python -c pass", reference=empty)
        report.add(name, times[name], "s", against="import torch", reference=torch)
    report.finish()


if __name__ == "__main__":
    main()
