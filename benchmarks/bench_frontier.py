"""Measure the RMSE of the votes against seconds of training, for networks of several sizes.

Each point is a separate training with its own number of epochs and its own learning-rate schedule; intermediate points
of one training would not be a frontier. The script needs real galaxies (--data, the folder galaxy-zoo), split by galaxy
with seed 0. The RMSE is that of the validation part, 8 views, with a 95 % bootstrap interval over galaxies. Points in
results/frontier.csv are not measured again. All points take twenty minutes with bf16 and hours without. `make bench`
therefore only draws the existing points; `make frontier` measures the missing ones, the cheapest first.

    python benchmarks/bench_frontier.py [--data ../shared/data/galaxy-zoo] [--budget SECONDS] [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from galaxy_files import PIXELS, make_galaxy_files
from measuring import RESULTS, describe_load, describe_machine

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.measure.scores import evaluate_votes
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.settings import load_settings
from convnet_galaxies.show.canvas import COLORS, GREY, MARKERS, draw
from convnet_galaxies.training.fit import fit

PLOT = Path(__file__).parents[1] / "docs" / "images" / "frontier.svg"
TICKS = (10, 20, 50, 100, 200, 500, 1000, 2000)
GOALS = ((240, 0.087), (600, 0.083))
"""Seconds and RMSE that were asked for on two cores with bf16."""

WIDE = ("net.widths=[64,128,256]", "net.depths=[1,2,2]")
NETS: dict[str, tuple[float, Sequence[str], tuple[int, ...]]] = {
    "default": (1.0, (), (5, 15, 40, 80)),
    "blocks 1, 2, 2": (1.6, ("net.depths=[1,2,2]",), (54,)),
    "80 px, blocks 1, 2, 2": (2.4, ("net.input_px=80", "net.depths=[1,2,2]"), (36,)),
    "twice the widths, blocks 1, 2, 2": (6.0, WIDE, (36,)),
    "twice the widths, 80 px, blocks 1, 2, 2": (9.0, (*WIDE, "net.input_px=80"), (36,)),
    "without symmetry": (1.0, ("net.backbone=plain",), (40,)),
}
"""Arithmetic as a multiple of the default net's, settings, and numbers of epochs."""
POINTS = sorted(
    ((net, epochs) for net, (_, _, counts) in NETS.items() for epochs in counts),
    key=lambda point: NETS[point[0]][0] * point[1],
)
"""Net and epochs, the cheapest first."""


@dataclass(frozen=True)
class Point:
    """seconds: of training without validation; images_s: images per second; rmse with its interval."""

    net: str
    epochs: int
    seconds: float
    images_s: float
    rmse: float
    low: float
    high: float


def measure(images: ImageSet, net: str, epochs: int) -> Point:
    """Train one net from scratch and score it on the validation part."""
    settings = load_settings(None, [*NETS[net][1], f"train.epochs={epochs}", f"train.validate_every={epochs}"])
    parts = images.split(settings.split.fractions, seed=settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        run = fit(images, settings, Path(folder) / "run", tasks=("votes",), parts=parts)
        seconds = float(pd.read_csv(run.metrics)["train_seconds"].iloc[-1])
        rows = np.flatnonzero(parts == "validation")
        answer = Predictor(run.path, views=8).predict(images.images[rows])["votes"]
    table = images.table.iloc[rows]
    figure = evaluate_votes(table[list(VOTE_COLUMNS)].to_numpy(), answer, table["group"].to_numpy(), seed=0).rmse
    speed = epochs * int((parts == "train").sum()) / seconds
    return Point(net, epochs, seconds, speed, figure.value, figure.low, figure.high)


def plot(table: pd.DataFrame, machine: str) -> bytes:
    """All points, those that no quicker one beats joined by a line, and the goals."""
    with draw("seconds of training", "RMSE of the votes, validation part, 8 views") as drawing:
        axes = drawing.axes
        for number, (net, rows) in enumerate(table.groupby("net", sort=False)):
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["rmse"].to_numpy())
            style = {"color": COLORS[number], "marker": MARKERS[number], "linestyle": "none"}
            axes.errorbar(rows["seconds"], rows["rmse"], yerr=error, label=net, capsize=2, elinewidth=0.8, **style)
        ordered = table.sort_values("seconds")
        front = ordered[ordered["rmse"] <= ordered["rmse"].cummin()]
        axes.plot(front["seconds"], front["rmse"], color=GREY, linewidth=1, zorder=0)
        for seconds, rmse in GOALS:
            axes.plot(seconds, rmse, marker="*", color="black", markersize=8, linestyle="none")
            words = {"xytext": (6, 4), "textcoords": "offset points", "fontsize": 7}
            axes.annotate(f"goal with bf16: {rmse:g}", (seconds, rmse), **words)
        axes.set_xscale("log")
        axes.set_xticks(TICKS, [str(seconds) for seconds in TICKS])
        axes.minorticks_off()
        axes.set_xlim(0.8 * table["seconds"].min(), max(1.3 * table["seconds"].max(), 1100))
        axes.set_title(machine.partition(";")[0], fontsize=7, color=GREY, loc="left")
        drawing.legend("upper right")
    return drawing.svg


def read_points(path: Path) -> tuple[str, pd.DataFrame]:
    """Header line and points of a CSV that this script wrote; none when it is not there."""
    if not path.is_file():
        return "", pd.DataFrame(columns=list(Point.__annotations__))
    return path.read_text("utf-8").partition("\n")[0].lstrip("# "), pd.read_csv(path, skiprows=1)


def main() -> None:
    """Measure what is missing within the budget, then draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "galaxy-zoo")
    parser.add_argument("--budget", type=float, default=0, help="seconds after which no further point is begun")
    parser.add_argument("--out", type=Path, default=RESULTS / "frontier.csv")
    parser.add_argument("--quick", action="store_true", help="one tiny training of simulated galaxies, nothing kept")
    given = parser.parse_args()
    if given.quick:
        print(measure(make_galaxy_files(96).pack(), "default", 1))
        return
    header, points = read_points(given.out)
    load = describe_load()
    if given.budget and not given.data.is_dir():
        print(f"{given.data}: not there, so no point is measured; give the developers' galaxies as --data")
    elif given.budget:
        header = header or describe_machine(load)
        with tempfile.TemporaryDirectory() as folder:
            write_pack(read_galaxy_zoo(given.data), PIXELS, Path(folder) / "zoo.pack")
            points = measure_missing(read_pack(Path(folder) / "zoo.pack"), points, given.budget, given.out, header)
    if len(points):
        PLOT.write_bytes(plot(points, header))
        print(points.to_string(index=False))


def measure_missing(images: ImageSet, points: pd.DataFrame, budget: float, out: Path, header: str) -> pd.DataFrame:
    """The points with those added that the budget allows, each kept as soon as it is there."""
    spent = 0.0
    for net, epochs in POINTS:
        if spent > budget or ((points["net"] == net) & (points["epochs"] == epochs)).any():
            continue
        point = measure(images, net, epochs)
        spent += point.seconds
        print(point, flush=True)
        points = pd.concat([points, pd.DataFrame([asdict(point)])], ignore_index=True)
        temporary = out.with_suffix(".csv.partial")
        temporary.write_text(f"# {header}\n" + points.to_csv(index=False, float_format="%.5g"), "utf-8")
        temporary.replace(out)
    return points


if __name__ == "__main__":
    main()
