"""Run contestants in turn, take ratios within a round, and keep the rows as CSV: shared by all benchmarks.

The speed of a machine drifts by tens of per cent within minutes (clock, other users), so seconds measured at different
times are not comparable. Therefore all contestants run once in every round, in an order that alternates between rounds,
and a ratio compares two contestants of the same round. The median ratio over the rounds is reported with the lowest
and the highest.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "numpy", "simplejpeg", "Pillow")


@dataclass(frozen=True)
class Options:
    """How a script was called. rounds: turns of each contestant; out: CSV to write, None for none."""

    quick: bool
    rounds: int
    out: Path | None


@dataclass(frozen=True)
class Row:
    """One line of a result.

    value, unit: of the contestant, median over the rounds.
    against: the contestant that ratio compares with; low, high: the ratio in its lowest and highest round.
    goal: what the ratio (without one, the value) should be, ``>= 8`` or ``<= 1.1``; met: whether it is; both empty
        where nothing was asked for.
    """

    benchmark: str
    contestant: str
    value: float
    unit: str
    against: str = ""
    ratio: float = np.nan
    low: float = np.nan
    high: float = np.nan
    goal: str = ""
    met: str = ""
    rounds: int = 1
    remark: str = ""


def read_options(description: str, name: str, *, rounds: int = 5) -> Options:
    """The arguments of a benchmark script. A quick run only shows that the script works: it keeps no results."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run that keeps no results")
    parser.add_argument("--rounds", type=int, default=None, help=f"turns of each contestant (default: {rounds})")
    parser.add_argument("--out", type=Path, default=None, help=f"CSV to write (default: results/{name}.csv)")
    given = parser.parse_args()
    out = given.out or (None if given.quick else RESULTS / f"{name}.csv")
    return Options(given.quick, given.rounds or (2 if given.quick else rounds), out)


def race(
    contestants: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: bool = True
) -> dict[str, np.ndarray]:
    """Seconds of each contestant in each round, float64 [rounds].

    A contestant that returns a float has taken its own time (in another process, or of a part of its work).
    warm_up: run each once before, so that caches, kernels and worker processes are there.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    if warm_up:
        for contestant in contestants.values():
            contestant()
    for turn in range(rounds):
        order = list(contestants) if turn % 2 == 0 else list(reversed(contestants))
        for name in order:
            times[name].append(take_time(contestants[name]))
    return {name: np.array(seconds) for name, seconds in times.items()}


def take_time(work: Callable[[], object]) -> float:
    """Return the seconds that work took, by the clock or by its own count."""
    started = time.perf_counter()
    own = work()
    return own if isinstance(own, float) else time.perf_counter() - started


@dataclass
class Report:
    """Gathers the rows of one benchmark, then prints and keeps them."""

    name: str
    options: Options
    rows: list[Row] = field(default_factory=list)
    load: str = field(default_factory=lambda: describe_load())

    def add(
        self,
        contestant: str,
        values: np.ndarray | float,
        unit: str,
        *,
        against: str = "",
        reference: np.ndarray | float | None = None,
        goal: str = "",
        remark: str = "",
    ) -> None:
        """Add a row. values, reference: of the contestant and of what it is compared with, by round (the same ones)."""
        values = np.atleast_1d(np.asarray(values, float))
        ratios = np.array([np.nan]) if reference is None else values / reference
        middle, ratio = float(np.median(values)), float(np.median(ratios))
        met = "" if not goal else "yes" if is_met(goal, middle if reference is None else ratio) else "no"
        row = Row(
            self.name, contestant, middle, unit, against, ratio, float(ratios.min()), float(ratios.max()),
            goal, met, len(values), remark,
        )  # fmt: skip
        self.rows.append(row)
        print(format_row(row), flush=True)

    def finish(self) -> None:
        """Print the machine and, unless the run was a quick one, write the CSV."""
        header = describe_machine(self.load)
        print(header)
        if self.options.out is None:
            print("a quick run: figures of no worth, nothing kept")
            return
        self.options.out.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.options.out.with_suffix(".csv.partial")
        table = pd.DataFrame([asdict(row) for row in self.rows])
        temporary.write_text(f"# {header}\n" + table.to_csv(index=False, float_format="%.5g"), "utf-8")
        temporary.replace(self.options.out)
        print(f"kept in {self.options.out}")


def is_met(goal: str, value: float) -> bool:
    """Whether a value meets a goal like ``>= 8``."""
    sign, number = goal.split()
    return value >= float(number) if sign == ">=" else value <= float(number)


def format_row(row: Row) -> str:
    """One line for the terminal."""
    text = f"{row.contestant:58s} {row.value:10.4g} {row.unit:9s}"
    if row.against:
        text += f"  {row.ratio:.3g} ({row.low:.3g} to {row.high:.3g}) of {row.against}"
    if row.goal:
        text += f"  [goal {row.goal}: {'met' if row.met == 'yes' else 'missed'}]"
    return text + (f"  -- {row.remark}" if row.remark else "")


def describe_load() -> str:
    """Return the load of the machine before a benchmark begins; measure again when it is above about 0.3."""
    return f"load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else "load unknown"


def describe_machine(load: str) -> str:
    """Processor, threads, versions and load, in one line."""
    processor = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        names = [line.split(":", 1)[1].strip() for line in listing.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    capability = ""
    try:
        import torch

        bf16 = "native" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "emulated"
        capability = f", {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, bf16 {bf16}"
    except ImportError:
        pass
    return (
        f"{processor}, {os.cpu_count()} cores{capability}; {platform.system()}, Python {platform.python_version()}, "
        f"{', '.join(f'{name} {_version(name)}' for name in PACKAGES)}; {load}"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
