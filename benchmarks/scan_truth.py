"""Scan a simulated survey at its objects, and hold the candidates against the lenses in it.

    convnet-galaxies simulate survey survey --tiles 3x3 --size 4096 --number 200 --seed 1
    python benchmarks/scan_truth.py survey FOLDER [--run builtin:lens] [--views 8] [--cluster 2]

FOLDER gets the scans, and goes on where it was interrupted. A candidate belongs to a lens up to REACH_ARCSEC, or
REACH_RADII Einstein radii, from its centre, since arcs are objects too. The cutout test beside it is the same run at
the true centres of the lenses. Completeness has exact binomial intervals (95 %).
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from convnet_galaxies.measure.intervals import bound_proportion
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.doubles import chord_of, find_pairs, to_unit_vectors
from convnet_galaxies.scan.export import keep_apart
from convnet_galaxies.scan.scan import scan_tiles
from convnet_galaxies.scan.survey import SurveyOptions

REACH_ARCSEC, REACH_RADII = 2.0, 1.2
SAME_ARCSEC = 0.5
"""Candidates closer than this would be one object found twice."""
APART_ARCSEC = 5.0
THRESHOLDS = (0.1, 0.2, 0.3, 0.5, 0.7)
RADII_ARCSEC = (0.0, 1.25, 1.5, 2.0, 3.0, np.inf)


def main() -> None:
    """Scan, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("survey", "folder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--run", default="builtin:lens")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--cluster")
    given = parser.parse_args()
    predictor = Predictor(given.run, views=given.views)
    truth = pd.read_csv(given.survey / "truth.csv")
    tables = {}
    for name, at in (("objects", "objects"), ("centres", str(given.survey / "truth.csv"))):
        summary = scan_tiles(
            predictor, given.survey / "tiles.csv", given.folder / name, SurveyOptions(at), cluster=given.cluster
        )
        tables[name] = pd.read_parquet(given.folder / name / "candidates.parquet")
        if name == "objects":
            area = float(summary.merged.area_deg2 or 0) if summary.merged else 0.0
    found = tables["objects"]
    print(f"{len(found):,} candidates on {area:.4g} square degrees, {len(truth)} lenses, {given.views} views")
    _print_positions(found, truth)
    _print_completeness(found, tables["centres"], truth)
    _print_false(found, truth, area)


def _print_positions(found: pd.DataFrame, truth: pd.DataFrame) -> None:
    pairs = find_pairs(_vectors(found), chord_of(SAME_ARCSEC))
    distance, _ = cKDTree(_vectors(found)).query(_vectors(truth))
    apart = np.rad2deg(2 * np.arcsin(distance / 2)) * 3600
    on_tiles = truth["tiles"].fillna("").astype(str).str.len().to_numpy() > 0
    for text, rows in (
        ("all", on_tiles),
        ("in two tiles or more", on_tiles & truth["tiles"].fillna("").str.contains(r"\W", regex=True).to_numpy()),
    ):
        near = rows & (apart < REACH_ARCSEC)
        print(
            f"lenses, {text}: {rows.sum()}, {near.sum()} with a candidate within {REACH_ARCSEC:g} arcsec, its distance "
            f"from the centre {np.median(apart[near]):.3f} arcsec (median), {np.quantile(apart[near], 0.9):.3f} (90 %)"
        )
    print(f"pairs of candidates closer than {SAME_ARCSEC:g} arcsec: {len(pairs)}")


def _print_completeness(found: pd.DataFrame, centres: pd.DataFrame, truth: pd.DataFrame) -> None:
    best = _best_near(found, truth)
    own = centres.set_index("id")["lens_probability"].reindex(truth["id"]).to_numpy()
    print("\ncompleteness at lens probability >= t: scan at objects / the same run at the true centres")
    print("Einstein radius  lenses  " + "".join(f"{f't = {t:g}':>34s}" for t in THRESHOLDS))
    radius = truth["einstein_radius_arcsec"].to_numpy()
    edges = list(pairwise(RADII_ARCSEC))
    for low, high in [*edges, (0.0, np.inf)]:
        rows = (radius >= low) & (radius < high)
        cells = []
        for t in THRESHOLDS:
            count, total = int((best[rows] >= t).sum()), int(rows.sum())
            if not total:
                continue
            ends = bound_proportion(count, total)
            of_centres = np.mean(np.nan_to_num(own[rows]) >= t)
            cells.append(f"{count / total:.2f} ({ends[0]:.2f} to {ends[1]:.2f}) / {of_centres:.2f}")
        print(f"{low:5.2f} to {high:5.2f}  {rows.sum():6d}  " + "".join(f"{cell:>34s}" for cell in cells))
    print(f"lenses whose own cutout was left out (edges, masks): {np.isnan(own).sum()}")


def _print_false(found: pd.DataFrame, truth: pd.DataFrame, area: float) -> None:
    distance, row = cKDTree(_vectors(truth)).query(_vectors(found))
    is_near = distance < _reach(truth)[row]
    print("\nfalse positives per square degree (candidates apart by 5 arcsec), and purity at this density of lenses")
    for t in THRESHOLDS:
        flagged = found.assign(near=is_near)[found["lens_probability"] >= t]
        kept = keep_apart(flagged, APART_ARCSEC)
        n_false, purity = int((~kept["near"]).sum()), kept["near"].mean()
        print(f"t = {t:g}: {n_false / area:8,.0f}  ({n_false} of {len(kept)} candidates, purity {purity:.2f})")
    for k in (50, 100, 200):
        kept = keep_apart(found.assign(near=is_near).head(5 * k), APART_ARCSEC).head(k)
        print(f"purity of the first {k}: {kept['near'].mean():.2f}")


def _best_near(found: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """Highest probability of the candidates that belong to each lens; 0 without any."""
    tree, vectors = cKDTree(_vectors(found)), _vectors(truth)
    probability = found["lens_probability"].to_numpy()
    near = [tree.query_ball_point(one, reach) for one, reach in zip(vectors, _reach(truth), strict=True)]
    return np.array([probability[rows].max() if rows else 0.0 for rows in near])


def _reach(truth: pd.DataFrame) -> np.ndarray:
    radius = np.maximum(REACH_ARCSEC, REACH_RADII * truth["einstein_radius_arcsec"].to_numpy())
    return np.array([chord_of(float(one)) for one in radius])


def _vectors(table: pd.DataFrame) -> np.ndarray:
    return to_unit_vectors(table["ra_deg"].to_numpy(), table["dec_deg"].to_numpy())


if __name__ == "__main__":
    main()
