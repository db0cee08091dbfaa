"""Cut 96 px round positions of a catalogue from a gri tile: ours, a loop of astropy's Cutout2D, and Cutana.

Everyone begins with the sky positions in memory and the files on disk (in its cache), and opens the files anew in each
round. Ours makes float32 windows of three bands in which missing pixels are marked, and, in the second part, the uint8
composites that a network takes. Cutout2D is called in the usual way, with the sky position and the world coordinate
system, and once more with pixels and without it, which only gives the numbers. Cutana runs in its own environment,
within one process and without writing, which is the fastest way that it has (peer_cutana.py).
Memory: peak of anonymous memory of a process that detects the objects of a tile and makes their cutouts, for tiles of
4,096 and 16,384 px (the same pixels repeated); what is mapped from files counts separately.

    python benchmarks/bench_cutouts.py [--quick]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from bench_memory import watch
from galaxy_files import cache_folder
from measuring import Options, Report, race, read_options
from peer_cutana import BANDS, SIDE_PX
from peers import Peer, find_peer_python

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.stretch import Composite
from convnet_galaxies.data.survey.cutouts import make_pixels
from convnet_galaxies.data.survey.detection import BLOCK_PX, Detection, detect_in_region
from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.data.survey.tiles import list_tiles
from convnet_galaxies.simulate.survey import simulate_survey

PIXELS = Preprocess(crop_px=SIDE_PX, size_px=SIDE_PX, pixel_scale_arcsec=0.186, stretch=Composite())
AT_ONCE = 32
PART_PX = 2 * BLOCK_PX


def make_tile(size_px: int) -> Path:
    """A simulated tile, a file per band, from the cache or new."""
    folder = cache_folder() / f"tile-{size_px}"
    if not folder.exists():
        simulate_survey(folder, 10, 1, size_px=size_px, separate=True)
    return folder


def repeat_tile(tile: Path, folder: Path, times: int) -> Path:
    """The same pixels so many times in both directions, written row by row."""
    folder.mkdir()
    for band in BANDS:
        with fits.open(tile / f"mosaic_{band}.fits", memmap=True) as opened:
            values, header = opened[0].data, opened[0].header.copy()
            header["NAXIS1"], header["NAXIS2"] = times * values.shape[1], times * values.shape[0]
            with (folder / f"mosaic_{band}.fits").open("wb") as file:
                file.write(header.tostring().encode())
                for _ in range(times):
                    for row in values:
                        file.write(np.tile(row, times).tobytes())
                file.write(b"\0" * (-file.tell() % 2880))
    return folder


def scatter(tile: Path, number: int) -> pd.DataFrame:
    """Positions within the tile, in no order."""
    rng = np.random.default_rng(0)
    with open_survey_image(list_tiles(tile).tiles[0]) as image:
        h, w = image.shape
        x, y = rng.uniform(SIDE_PX, w - SIDE_PX, number), rng.uniform(SIDE_PX, h - SIDE_PX, number)
        ra, dec = image.to_sky(x, y)
    return pd.DataFrame({"ra": ra, "dec": dec})


def compare_speed(report: Report, options: Options) -> None:
    """Measure cutouts per second."""
    size, number = (256, 64) if options.quick else (4096, 4000)
    tile = make_tile(size)
    places = scatter(tile, number)
    table = cache_folder() / f"positions-{size}-{number}.csv"
    places.to_csv(table, index=False)
    ra, dec = places["ra"].to_numpy(), places["dec"].to_numpy()
    some = slice(0, min(number, 500))

    def ours() -> None:
        with open_survey_image(list_tiles(tile).tiles[0]) as image:
            x, y = image.to_pixels(ra, dec)
            order = np.argsort(y)
            for start in range(0, number, AT_ONCE):
                rows = order[start : start + AT_ONCE]
                image.cut(x[rows], y[rows], SIDE_PX)

    def ours_whole() -> None:
        with open_survey_image(list_tiles(tile).tiles[0]) as image:
            make_pixels(image, *image.to_pixels(ra, dec), PIXELS)

    def astropy_sky() -> None:
        sky = SkyCoord(ra[some] * u.deg, dec[some] * u.deg)
        for band in BANDS:
            with fits.open(tile / f"mosaic_{band}.fits", memmap=True) as opened:
                values, wcs = opened[0].data, WCS(opened[0].header)
                for place in sky:
                    Cutout2D(values, place, SIDE_PX, wcs=wcs, mode="partial", copy=True)

    def astropy_pixels() -> None:
        for band in BANDS:
            with fits.open(tile / f"mosaic_{band}.fits", memmap=True) as opened:
                values = opened[0].data
                x, y = WCS(opened[0].header).all_world2pix(ra, dec, 0)
                for place in zip(x, y, strict=True):
                    np.asarray(Cutout2D(values, place, SIDE_PX, mode="partial").data, np.float32)

    python, remark = find_peer_python("cutana", make=not options.quick)
    contestants = {"ours": ours, "whole": ours_whole, "sky": astropy_sky, "pixels": astropy_pixels}
    if remark:
        speeds = {name: number / seconds for name, seconds in race(contestants, options.rounds).items()}
    else:
        with (
            Peer("peer_cutana.py", (tile, table, "cut"), python=python) as cut,
            Peer("peer_cutana.py", (tile, table, "asinh"), python=python) as asinh,
            Peer("peer_cutana.py", (tile, table, "linear"), python=python) as linear,
        ):
            remark = cut.remark
            contestants |= {"cutana": cut, "cutana asinh": asinh, "cutana linear": linear}
            speeds = {name: number / seconds for name, seconds in race(contestants, options.rounds).items()}
    speeds["sky"] *= len(ra[some]) / number
    unit = "images/s"
    report.add("Cutout2D by sky positions", speeds["sky"], unit)
    report.add("Cutout2D by pixels, without world coordinates", speeds["pixels"], unit)
    report.add("ours, windows", speeds["ours"], unit, against="Cutout2D", reference=speeds["sky"], goal=">= 5")
    report.add("ours, windows", speeds["ours"], unit, against="Cutout2D by pixels", reference=speeds["pixels"])
    report.add("ours, input of a network", speeds["whole"], unit)
    if "cutana" in speeds:
        for name, text in (("cutana", "windows"), ("cutana asinh", "asinh, uint8"), ("cutana linear", "linear")):
            report.add(f"Cutana, {text}", speeds[name], unit, remark=remark)
        report.add("ours, windows", speeds["ours"], unit, against="Cutana", reference=speeds["cutana"], goal=">= 2")
        report.add(
            "ours, input of a network", speeds["whole"], unit, against="Cutana, asinh",
            reference=speeds["cutana asinh"], goal=">= 2",
        )  # fmt: skip
        report.add(
            "ours, input of a network", speeds["whole"], unit, against="Cutana, linear",
            reference=speeds["cutana linear"],
        )  # fmt: skip
    else:
        report.add("Cutana", np.nan, unit, remark=remark)


def compare_memory(report: Report, options: Options) -> None:
    """Measure the peak memory of detecting and cutting, by the size of the tile."""
    if not Path("/proc/self/status").is_file():
        print("memory is not measured: this system has no /proc")
        return
    size, times = (256, 2) if options.quick else (4096, 4)
    small = make_tile(size)
    with tempfile.TemporaryDirectory() as folder:
        large = repeat_tile(small, Path(folder) / "large", times)
        first = 0.0
        for tile, side in ((small, size), (large, times * size)):
            anonymous, resident = watch(["--work", str(tile)], script=__file__)
            first = first or anonymous
            report.add(
                f"objects of a tile of {side:,} px", anonymous, "MB", against=f"{size:,} px", reference=first,
                goal="<= 1.1" if side > size else "", remark=f"peak RSS {resident:.0f} MB",
            )  # fmt: skip


def work(tile: Path) -> None:
    """Detect the objects of a tile and make their cutouts, part by part, in the process that is watched."""
    with open_survey_image(list_tiles(tile).tiles[0]) as image:
        for top in range(0, image.shape[0], PART_PX):
            for left in range(0, image.shape[1], PART_PX):
                found = detect_in_region(image, Detection(), top=top, left=left, side_px=PART_PX)
                x, y = found["x"].to_numpy(), found["y"].to_numpy()
                for start in range(0, len(found), 512):
                    make_pixels(image, x[start : start + 512], y[start : start + 512], PIXELS)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "cutouts", rounds=5)
    report = Report("cutouts", options)
    compare_speed(report, options)
    compare_memory(report, options)
    report.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(Path(sys.argv[2]))
    else:
        main()
