"""Measure simulated galaxies, fields and cutouts per second, in one process and in two.

Everything is included: drawing, ray tracing, volunteers, encoding, files, and the start of the worker processes.
Galaxies: simulate_galaxy_zoo, 424 px JPEGs with votes. Fields and cutouts: simulate_space_warps, 440 px PNGs, clicks,
clusters and 96 px cutouts, counted from the same runs.

    python benchmarks/bench_simulation.py [--quick]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from measuring import Report, race, read_options

from convnet_galaxies.simulate.galaxy_zoo import simulate_galaxy_zoo
from convnet_galaxies.simulate.space_warps import simulate_space_warps


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "simulation", rounds=3)
    report = Report("simulation", options)
    # Enough that the start of two processes, some seconds, counts as little as it does for whoever simulates a set.
    galaxies, cutouts, workers = (8, 24, (1,)) if options.quick else (1800, 1200, (1, 2))
    fields: list[int] = []

    def draw_galaxies(count: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            simulate_galaxy_zoo(Path(folder) / "zoo", number=galaxies, seed=0, workers=count)

    def draw_cutouts(count: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            summary = simulate_space_warps(Path(folder) / "warps", number=cutouts, seed=0, workers=count)
            fields.append(summary.fields)

    contestants: dict[str, Callable[[], object]] = {}
    for count in workers:
        contestants[f"galaxies {count}"] = lambda n=count: draw_galaxies(n)  # type: ignore[misc]
        contestants[f"cutouts {count}"] = lambda n=count: draw_cutouts(n)  # type: ignore[misc]
    times = race(contestants, options.rounds, warm_up=False)
    amounts = {"galaxies": galaxies, "fields": fields[0], "cutouts": cutouts}
    for what, amount in amounts.items():
        key = "galaxies" if what == "galaxies" else "cutouts"
        alone = amount / times[f"{key} 1"]
        report.add(f"{what}, 1 process", alone, f"{what}/s")
        for count in workers[1:]:
            report.add(
                f"{what}, {count} processes", amount / times[f"{key} {count}"], f"{what}/s",
                against="1 process", reference=alone,
            )  # fmt: skip
    report.finish()


if __name__ == "__main__":
    main()
