"""Repeat the whole study of transfer on new simulated catalogues: does its answer survive?

Each catalogue has its own seed: simulated fields and cutouts, and simulated galaxies unless --zoo gives a pack of real
ones. `study` compares strategies on its labelled cutouts of stage 1 with a small network (48 px of the whole stamp).

Columns: catalogue; question; fraction of the labels; score; difference, low, high (95 %, own); detectable and verdict
of the study (log loss only); chosen_1, fraction of repetitions in which the strategy chose the rate 1. The last lines
count the sign of the differences over catalogues, with Student's interval of their mean.

An interrupted run continues. Ten catalogues of 1,300 cutouts take about half an hour of a processor per repetition.

    python benchmarks/bench_transfer.py --work DIR [--catalogues 10] [--cutouts 1300] [--repetitions 3] [--zoo PACK]
        [--label-fractions 0.4,1] [--no-controls] [--out benchmarks/results/transfer.csv]
    python benchmarks/bench_transfer.py --work DIR --lenses mine.pack ...    # one study of a pack with lens labels
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from convnet_galaxies.data.default_pixels import default_preprocess
from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.pack import is_pack, read_pack, write_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.space_warps import read_space_warps
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.settings import NetSettings
from convnet_galaxies.simulate.galaxy_zoo import simulate_galaxy_zoo
from convnet_galaxies.simulate.space_warps import simulate_space_warps
from convnet_galaxies.study.demo_settings import STUDY_SETTINGS
from convnet_galaxies.study.results import summarize_study
from convnet_galaxies.study.study import run_study
from convnet_galaxies.study.study_plan import StudyPlan

FIRST_SEED = 101
NET = NetSettings(input_px=48, view_px=96, widths=(16, 32, 64), depths=(1, 1, 1))


def make_catalogue(folder: Path, seed: int, *, cutouts: int, galaxies: int) -> None:
    """Simulate and pack one catalogue into a folder, with galaxies unless there are 0."""
    if not is_pack(folder / "lenses.pack"):
        simulate_space_warps(folder / "sw", number=cutouts, seed=seed, workers=1, force=True)
        records = read_space_warps(folder / "sw")
        write_pack(records, default_preprocess(records), folder / "lenses.pack", force=True)
    if galaxies and not is_pack(folder / "zoo.pack"):
        simulate_galaxy_zoo(folder / "gz", number=galaxies, seed=seed, workers=1, test_fraction=0.0, force=True)
        records = read_galaxy_zoo(folder / "gz")
        write_pack(records, default_preprocess(records), folder / "zoo.pack", force=True)


def keep_stage_1(images: ImageSet) -> ImageSet:
    """The labelled cutouts of stage 1 as a pack without stages; other packs keep all labelled images."""
    rows = images.table["lens"].notna().to_numpy()
    if "stage" in images.table:
        rows = rows & (images.table["stage"].astype(float) == 1).to_numpy()
    kept = images.select(np.flatnonzero(rows))
    return replace(kept, table=kept.table.drop(columns=["stage", "flavor_label"], errors="ignore"))


def study_one(name: str, zoo: ImageSet, lenses: ImageSet, folder: Path, plan: StudyPlan, seed: int) -> pd.DataFrame:
    """Rows of one study."""
    settings = STUDY_SETTINGS.model_copy(update={"net": NET, "seed": seed})
    run_study(zoo, keep_stage_1(lenses), settings, folder, plan=plan, device="cpu")
    results = summarize_study(folder, n_resamples=100)
    rates: dict[tuple[str, float], float] = {}
    for one in results.strategies:
        chosen = sum(count for point, count in one.choices.items() if float(point.split(",")[0]) == 1)
        rates[one.strategy, one.fraction] = chosen / one.repetitions
    return pd.DataFrame(
        [
            {
                "catalogue": name,
                "question": one.question,
                "fraction": one.fraction,
                "score": score,
                "difference": difference.value,
                "low": difference.low,
                "high": difference.high,
                "detectable": one.detectable if score == one.answer.name else np.nan,
                "verdict": one.verdict if score == one.answer.name else "",
                "chosen_1": rates[one.strategy, one.fraction],
            }
            for one in results.comparisons
            for score, difference in one.differences.items()
        ]
    )


def count_signs(rows: pd.DataFrame) -> pd.DataFrame:
    """Over catalogues: mean difference with its interval, and how often strategy is better than the other."""
    found = []
    for (question, fraction, score), own in rows.groupby(["question", "fraction", "score"], sort=False):
        values = own["difference"].to_numpy()
        reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else np.nan
        better = (values < 0) if SCORES[score].best == "low" else (values > 0)
        found.append((question, fraction, score, values.mean(), values.mean() - reach, values.mean() + reach))
        found[-1] += (f"{better.sum()} of {len(values)}",)
    return pd.DataFrame(found, columns=["question", "fraction", "score", "mean", "low", "high", "better in"])


def main() -> None:
    """Print the rows and what they say together, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--catalogues", type=int, default=10)
    parser.add_argument("--cutouts", type=int, default=1300)
    parser.add_argument("--galaxies", type=int, default=800)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--label-fractions", default="0.4,1")
    parser.add_argument("--lens-epochs", default="8,16")
    parser.add_argument("--zoo-epochs", type=int, default=20)
    parser.add_argument("--zoo", type=Path)
    parser.add_argument("--lenses", type=Path)
    parser.add_argument("--no-controls", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "transfer.csv")
    given = parser.parse_args()
    plan = StudyPlan(
        repetitions=given.repetitions,
        fractions=tuple(map(float, given.label_fractions.split(","))),
        lens_epochs=tuple(map(int, given.lens_epochs.split(","))),
        zoo_epochs=given.zoo_epochs,
        with_controls=not given.no_controls,
    )
    tables = []
    seeds = [0] if given.lenses else range(FIRST_SEED, FIRST_SEED + given.catalogues)
    for seed in seeds:
        folder = given.work / (given.lenses.stem if given.lenses else str(seed))
        if not given.lenses:
            make_catalogue(folder, seed, cutouts=given.cutouts, galaxies=0 if given.zoo else given.galaxies)
        zoo, lenses = read_pack(given.zoo or folder / "zoo.pack"), read_pack(given.lenses or folder / "lenses.pack")
        tables.append(study_one(folder.name, zoo, lenses, folder / "study", plan, seed))
        print(tables[-1].to_string(index=False, header=len(tables) == 1, float_format="%.4f"), flush=True)
        pd.concat(tables).to_csv(given.out, index=False, float_format="%.5g")
    print(count_signs(pd.concat(tables)).to_string(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
