"""Time a whole scan against its bare network, and measure its peak memory on tiles of two sizes and on two workers.

Scan: `scan` of simulated gri tiles at the objects that it detects, from the files to the ranked table: detection,
cutting, stretch, network, shards, ledger, joining. Bare network: the same cutouts, packed in memory, through
Predictor.predict_all, and the bytes of all files read once. Two workers: the same scan on two local processes of Dask,
whose start is not counted (the pool is warm), against one process; its candidates must be the same bytes.

Memory: anonymous memory of a process that scans 2,000 positions on a tile of 4,096 px, and of 16,384 px.

    python benchmarks/bench_scan.py [--quick]
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from bench_memory import watch
from measuring import Report, race, read_options

from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.folder import open_scan
from convnet_galaxies.scan.scan import scan_tiles
from convnet_galaxies.scan.survey import SurveyOptions
from convnet_galaxies.simulate.survey_tiles import simulate_tiles

RUN = "builtin:lens"
SIDES_PX = (4096, 16384)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "scan", rounds=3)
    report = Report("scan", options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        side_px = 256 if options.quick else 1536
        simulate_tiles(folder / "survey", 4 if options.quick else 12, 0, tiles=(1, 2), size_px=side_px, overlap_px=128)
        for views in (8, 1):
            _measure_speed(report, folder, views, options.rounds)
        _measure_cluster(report, folder, options.rounds)
        if Path("/proc/self/status").is_file():
            _measure_memory(report, folder, (512, 1024) if options.quick else SIDES_PX)
    report.finish()


def _measure_speed(report: Report, folder: Path, views: int, rounds: int) -> None:
    predictor = Predictor(RUN, views=views)  # type: ignore[arg-type]
    tiles = folder / "survey" / "tiles.csv"
    files = sorted((folder / "survey" / "tiles").iterdir())

    def scan() -> None:
        shutil.rmtree(folder / "scan", ignore_errors=True)
        scan_tiles(predictor, tiles, folder / "scan", SurveyOptions())

    scan()
    shards = sorted((folder / "scan" / "shards").iterdir())
    positions = pd.concat([pd.read_parquet(path) for path in shards], ignore_index=True)
    with open_scan(folder / "scan").cutter() as cutter:
        pixels = cutter.cut(positions)

    def bare() -> None:
        for path in files:
            path.read_bytes()
        predictor.predict_all(pixels)

    times = race({"bare": bare, "scan": scan}, rounds)
    speeds = {name: len(pixels) / seconds for name, seconds in times.items()}
    text = f"{views} view{'s' if views > 1 else ''}"
    report.add(f"bare network and bytes, {text}", speeds["bare"], "images/s", remark=f"{len(pixels):,} cutouts")
    report.add(
        f"whole scan, {text}", times["scan"], "s", against="bare network and bytes", reference=times["bare"],
        goal="<= 1.3" if views == 8 else "",
    )  # fmt: skip


def _measure_cluster(report: Report, folder: Path, rounds: int) -> None:
    from distributed import Client, LocalCluster

    predictor = Predictor(RUN, views=8)
    tiles = folder / "survey" / "tiles.csv"

    def scan(name: str, cluster: str | None) -> None:
        shutil.rmtree(folder / name, ignore_errors=True)
        scan_tiles(predictor, tiles, folder / name, SurveyOptions(), cluster=cluster)

    logging.getLogger("distributed").setLevel(logging.ERROR)
    workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0)
    with workers as local, Client(local):
        address = local.scheduler_address
        times = race({"one": lambda: scan("one", None), "two": lambda: scan("two", address)}, rounds)
    same = (folder / "one" / "candidates.parquet").read_bytes() == (folder / "two" / "candidates.parquet").read_bytes()
    report.add(
        "scan on 2 Dask workers", times["two"], "s", against="1 process", reference=times["one"],
        remark="the same bytes" if same else "OTHER BYTES",
    )  # fmt: skip


def _measure_memory(report: Report, folder: Path, sides_px: tuple[int, ...]) -> None:
    first = 0.0
    for side in sides_px:
        tile = folder / f"tile{side}.fits"
        _write_tile(tile, side)
        rng = np.random.default_rng(0)
        x, y = rng.uniform(200, side - 200, (2, 2000))
        catalogue = folder / f"positions{side}.csv"
        pd.DataFrame({"id": range(2000), "tile": tile.stem, "x_px": x, "y_px": y}).to_csv(catalogue, index=False)
        started = time.monotonic()
        anonymous, resident = watch(["--work", str(tile), str(catalogue), str(folder / f"m{side}")], script=__file__)
        first = first or anonymous
        report.add(
            f"peak memory, tile of {side:,} px", anonymous, "MB", against=f"{sides_px[0]:,} px", reference=first,
            goal="<= 1.1" if side == sides_px[-1] else "",
            remark=f"peak RSS {resident:.0f} MB, {time.monotonic() - started:.0f} s",
        )  # fmt: skip
        tile.unlink()


def _write_tile(path: Path, side_px: int) -> None:
    """A tile in one band, of noise that repeats, written stripe by stripe."""
    stripe = np.random.default_rng(0).normal(10, 1, (256, side_px)).astype(">f4")
    header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": side_px, "NAXIS2": side_px})
    header.update({"FILTER": "r", "MAGZERO": 30.0, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    header.update({"CRVAL1": 30.0, "CRVAL2": -9.0, "CD1_1": -0.186 / 3600, "CD2_2": 0.186 / 3600})
    with path.open("wb") as file:
        file.write(header.tostring().encode("ascii"))
        for _ in range(side_px // 256):
            file.write(stripe.tobytes())
        file.write(b"\0" * (-(side_px**2) * 4 % 2880))


def work(tile: Path, catalogue: Path, folder: Path) -> None:
    """A scan of one tile, in the process that is watched."""
    scan_tiles(Predictor(RUN, views=1), tile, folder, SurveyOptions(str(catalogue)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(*map(Path, sys.argv[2:5]))
    else:
        main()
