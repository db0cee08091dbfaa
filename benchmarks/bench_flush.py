"""Time what it costs that outputs are on the disk before a command ends: pack, train, predict and scan, as they are
and with os.fsync replaced by nothing.

Each runs in this process on simulated inputs of seconds: pack reads JPEGs of 424 px from a zip, train makes epochs of a
small net, predict reads the pack with a network that ships, scan reads tiles of a survey. Beside the ratio stands the
share of the time that was spent within fsync, by its own clock, which other work on the machine disturbs less. The
outputs lie in the folder for temporary files (TMPDIR), which must be on a disk.

    python benchmarks/bench_flush.py [--quick]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from galaxy_files import PIXELS, make_galaxy_files
from measuring import Report, race, read_options

sys.path.insert(0, str(Path(__file__).parents[1] / "trust"))  # a survey and a run for it
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from made_survey import make_survey
from small_sets import make_lens_set
from world import TINY, call, make_survey_run

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.training.fit import fit


class Flushes:
    """Count and time the calls of os.fsync, or leave them out."""

    def __init__(self) -> None:
        self.real, self.calls, self.seconds = os.fsync, 0, 0.0

    def timed(self, handle: int) -> None:
        """Call the real one."""
        started = time.perf_counter()
        self.real(handle)
        self.seconds += time.perf_counter() - started
        self.calls += 1

    def run(self, work: Callable[[Path], object], top: Path, *, real: bool) -> float:
        """Return the seconds of work, with fsync or without."""
        output = top / "out"
        os.fsync = self.timed if real else lambda handle: None
        started = time.perf_counter()
        try:
            work(output)
            return time.perf_counter() - started
        finally:
            os.fsync = self.real
            shutil.rmtree(output, ignore_errors=True)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "flush", rounds=7)
    report = Report("flush", options)
    number = 32 if options.quick else 768
    files = make_galaxy_files(number)
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        write_pack(read_galaxy_zoo(files.archive, files.solutions), PIXELS, top / "zoo.pack")
        make_survey_run(top / "run")
        make_survey(top / "tiles", n=12)
        images = make_lens_set(96 if options.quick else 960)
        settings = TINY.model_copy(update={"train": TINY.train.model_copy(update={"epochs": 5})})
        works: dict[str, Callable[[Path], object]] = {
            "pack": lambda out: write_pack(read_galaxy_zoo(files.archive, files.solutions), PIXELS, out),
            "train": lambda out: fit(images, settings, out, tasks=("lens",)),
            "predict": lambda out: call("predict", "builtin:zoo", top / "zoo.pack", "-o", out / "votes.csv"),
            "scan": lambda out: call("scan", top / "run", top / "tiles", "-o", out, "--threshold=5", "--missing=0.4"),
        }
        for name, work in works.items():
            _measure(report, name, work, top, options.rounds)
    report.finish()


def _measure(report: Report, name: str, work: Callable[[Path], object], top: Path, rounds: int) -> None:
    shares: list[float] = []
    flushes = Flushes()

    def flushed() -> float:
        flushes.calls, flushes.seconds = 0, 0.0
        seconds = flushes.run(work, top, real=True)
        shares.append(flushes.seconds / seconds)
        return seconds

    times = race({"flushed": flushed, "not": lambda: flushes.run(work, top, real=False)}, rounds)
    report.add(name, times["flushed"], "s", against="without fsync", reference=times["not"], goal="<= 1.02")
    remark = f"{flushes.calls} calls"
    report.add(f"{name}: share within fsync", np.array(shares[1:]), "of time", goal="<= 0.02", remark=remark)


if __name__ == "__main__":
    main()
