"""The loop on simulated surveys: scan, grade 200 candidates on the page, train on the grades, scan another survey.

The expert is simulated: he grades through the page's own server, one candidate after the other, and errs. Each seed has
two surveys, one on which the candidates are graded and another that nobody has seen, on which the purity of the best
candidates is measured before and after. Keeps everything in WORK, continues there, and writes the figure.

    python benchmarks/loop.py WORK docs/images/loop.svg [--seeds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.scan.export import keep_apart
from convnet_galaxies.scan.folder import open_scan
from convnet_galaxies.show.canvas import COLORS, GREY, draw

NET = "builtin:lens"
SIZE_PX, LENSES, GRADED = 3072, 100, 200
RANKS = (10, 20, 50, 100, 200)
FOUND_ARCSEC = 2.5
"""A candidate is a lens when it lies so close to one, or within 1.3 Einstein radii: arcs are detected by themselves."""
TRAINING = (
    "train.epochs=40",
    "train.frozen_epochs=40",
    "train.learning_rate=0.004",
    "train.batch=32",
    "split.train=1",
    "split.validation=0",
    "split.test=0",
)
"""The head alone: with a few hundred grades, training the whole network may do harm (docs/experiments.md)."""
PIXEL_ARCSEC = 0.186
APART_ARCSEC = 3.0
"""Of candidates closer than this only the best counts: arcs are objects of their own."""


def run(*words: object) -> None:
    """Call the program."""
    subprocess.run([sys.executable, "-m", "convnet_galaxies", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def is_lens(candidates: pd.DataFrame, survey: Path) -> np.ndarray:
    """Return which candidates show a lens of the survey's truth, bool [n]."""
    truth = pd.read_csv(survey / "truth.csv")
    dx, dy = (
        candidates[name].to_numpy(float)[:, None] - truth[name].to_numpy(float)[None] for name in ("x_px", "y_px")
    )
    reach = np.maximum(FOUND_ARCSEC, 1.3 * truth["einstein_radius_arcsec"].to_numpy(float))
    return (np.hypot(dx, dy) * PIXEL_ARCSEC < reach).any(axis=1)


def judge(lens: bool, rng: np.random.Generator) -> tuple[float, str]:
    """Return grade and kind as an expert gives them: he takes a tenth of the lenses for no lens, and doubts others."""
    if lens:
        return float(rng.choice([3, 2, 1, 0], p=[0.6, 0.2, 0.1, 0.1])), ""
    if rng.random() < 0.85:
        return 0.0, str(rng.choice(["ring", "spiral", "merger", "edge-on", "star", "artefact"]))
    return float(rng.choice([1, 2], p=[0.8, 0.2])), ""


def grade(pack: Path, survey: Path, database: Path, seed: int) -> None:
    """Serve the page of a pack and grade every candidate through its addresses."""
    table = read_pack(pack).table
    truth = dict(zip(table["id"].astype(str), is_lens(table, survey), strict=True))
    rng = np.random.default_rng([seed, 20])
    words = [sys.executable, "-m", "convnet_galaxies", "inspect", str(pack), "--database", str(database)]
    environment = {**os.environ, "CONVNET_GALAXIES_TOKEN": "simulatedexpert0123456789", "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen([*words, "--no-blind", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        found = (re.search(r"(http://[\d.]+:\d+)/", line) for line in iter(server.stdout.readline, ""))
        address = next(match[1] for match in found if match)
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        browser.open(f"{address}/?token=simulatedexpert0123456789").read()

        def get(path: str) -> dict:
            return json.load(browser.open(f"{address}{path}"))

        view = get("/api/view?grader=expert")
        items = [
            one
            for start in range(0, view["total"], 100)
            for one in get(f"/api/items?view={view['view']}&grader=expert&start={start}&count=100")["items"]
        ]
        for number, one in enumerate(items):
            value, kind = judge(truth[one["id"]], rng)
            body = {
                "key": one["key"],
                "grader": "expert",
                "grade": value,
                "kind": kind,
                "request": f"loop-{number:06d}",
            }
            headers = {"content-type": "application/json", "origin": address}
            request = urllib.request.Request(f"{address}/api/grade", json.dumps(body).encode(), headers)
            browser.open(request).read()
    finally:
        server.terminate()
        server.wait()


def go_round(work: Path, seed: int) -> pd.DataFrame:
    """Return the purity of the best candidates of an unseen survey before and after one round: when, rank, purity."""
    folder = work / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, number in (("graded", 2 * seed + 100), ("unseen", 2 * seed + 101)):
        if not (folder / name).is_dir():
            run("simulate", "survey", folder / name, "--number", LENSES, "--size", SIZE_PX, "--seed", number, "-q")
    for name, net, survey in (("first", NET, "graded"), ("before", NET, "unseen")):
        if not (folder / name / "candidates.parquet").is_file():
            run("scan", net, folder / survey / "mosaic.fits", "-o", folder / name, "--views", 1, "-q")
    pack, database, better = folder / "best.pack", folder / "best.sqlite", folder / "better"
    if not pack.is_dir():
        run("export", folder / "first", "-o", pack, "--top", GRADED, "--apart-arcsec", APART_ARCSEC, "-q")
    if not database.is_file():
        grade(pack, folder / "graded", database, seed)
    if not (better / "model.json").is_file():
        changes = [part for change in TRAINING for part in ("--set", change)]
        run(
            "train",
            pack,
            "--grades",
            database,
            "--from",
            NET,
            "--task",
            "lens",
            "-o",
            better,
            *changes,
            "-q",
            "--force",
        )
    if not (folder / "after" / "candidates.parquet").is_file():
        run("scan", better, folder / "unseen" / "mosaic.fits", "-o", folder / "after", "--views", 1, "-q")
    rows = []
    for when in ("before", "after"):
        candidates = keep_apart(open_scan(folder / when).table(), APART_ARCSEC).reset_index(drop=True)
        found = is_lens(candidates, folder / "unseen")
        rows += [{"seed": seed, "when": when, "rank": k, "purity": float(found[:k].mean())} for k in range(1, 301)]
    return pd.DataFrame(rows)


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean over seeds and its 95 % interval by Student's t."""
    mean = float(values.mean())
    half = (
        student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    )
    return mean, mean - half, mean + half


def draw_figure(table: pd.DataFrame) -> bytes:
    """Return the figure as SVG: purity against the rank, mean and interval over seeds."""
    wide = table.pivot_table(index="rank", columns=["when", "seed"], values="purity")
    with draw("number k of best-ranked candidates", "purity of the k best") as drawing:
        for colour, when, label in ((GREY, "before", f"before: {NET}"), (COLORS[1], "after", f"after {GRADED} grades")):
            values = wide[when].to_numpy()
            ends = np.array([interval(row) for row in values])
            drawing.axes.plot(wide.index, ends[:, 0], color=colour, label=label)
            drawing.axes.fill_between(wide.index, ends[:, 1], ends[:, 2], color=colour, alpha=0.18, linewidth=0)
        drawing.axes.axvline(100, color=GREY, linewidth=0.8, linestyle=":")
        drawing.axes.set_ylim(0, 1.02)
        drawing.axes.set_xlim(5, 300)
        drawing.legend("upper right")
    return drawing.svg


def main() -> None:
    """Go round the loop for each seed, print the figures and write the drawing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    tables = []
    for seed in range(given.seeds):
        tables.append(go_round(given.work, seed))
        shown = (
            tables[-1].pivot_table(index="rank", columns="when", values="purity").loc[list(RANKS), ["before", "after"]]
        )
        print(f"seed {seed}\n{shown.round(3).to_string()}", flush=True)
    table = pd.concat(tables)
    table.to_csv(given.work / "purity.csv", index=False)
    wide = table.pivot_table(index="rank", columns=["when", "seed"], values="purity")
    for k in RANKS:
        before, after = (wide[when].loc[k].to_numpy() for when in ("before", "after"))
        texts = ["{:.3f} ({:.3f} to {:.3f})".format(*interval(one)) for one in (before, after, after - before)]
        print(f"{k:>4} best: before {texts[0]}, after {texts[1]}, difference {texts[2]}")
    given.figure.write_bytes(draw_figure(table))


if __name__ == "__main__":
    main()
