"""Time the ranking of 100,000 candidates by the grades so far, and the choice of what to grade next.

The goal: less than a second after each grade. The reference is one matrix product of the reduced features. Features of
384 numbers are drawn at random; their values hardly change the time.

    python benchmarks/bench_active.py [--quick]
"""

from __future__ import annotations

import numpy as np
from measuring import Report, race, read_options

from convnet_galaxies.inspection.active import choose_next, make_space, rank_like

FEATURES = 384
GRADES = (20, 200, 2000)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "active", rounds=5)
    n = 2_000 if options.quick else 100_000
    rng = np.random.default_rng(0)
    features = rng.gamma(2, size=(n, FEATURES)).astype(np.float32)
    features[: n // 20, :20] *= 2
    space = make_space(features)
    weights = rng.normal(size=space.points.shape[1]).astype(np.float32)
    contestants = {"one product": lambda: space.points @ weights, "reduce features": lambda: make_space(features)}
    for count in GRADES[: 2 if options.quick else None]:
        rows = np.unique(np.concatenate([np.arange(count // 4), rng.choice(n, count - count // 4, replace=False)]))
        grades = 3.0 * (rows < n // 20)
        ranking = rank_like(space, rows, grades)
        contestants[f"rank, {count} grades"] = lambda rows=rows, grades=grades: rank_like(space, rows, grades)
        contestants[f"choose 50, {count} grades"] = lambda rows=rows, ranking=ranking: choose_next(
            space, rows, 50, ranking=ranking
        )
    times = race(contestants, options.rounds)
    report = Report("active", options)
    for name, seconds in times.items():
        report.add(name, seconds, "s", goal="<= 1" if "grades" in name else "", remark=f"{n:,} candidates")
    report.finish()


if __name__ == "__main__":
    main()
