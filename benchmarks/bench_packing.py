"""Time packing a zip of 424 px JPEGs against bare decoding and Pillow, and FITS stamps against astropy.

Ours: read_galaxy_zoo and write_pack (central 288 px to 108 px, the table of votes, fingerprint, all files complete on
disk). Bare decoding: the same JPEGs from memory on as many threads, nothing kept. Pillow: decode, crop and resize on
as many threads, nothing kept. FITS: stamps of 424 px in 3 bands of float32, plain and Rice-compressed row by row (like
fpack), 128 of them under 8 names each, from files to a pack of whole stamps at 96 px; astropy opens the 128 and reads
their data in one thread, nothing kept.

    python benchmarks/bench_packing.py [--quick]
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from decoders import decode_with_pillow, decode_with_simplejpeg, read_members
from galaxy_files import PIXELS, make_galaxy_files
from measuring import Report, race, read_options

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.data.preprocess import Preprocess

STAMP_PX = 424
COPIES = 8


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "packing", rounds=5)
    report = Report("packing", options)
    number = 32 if options.quick else 1536
    files = make_galaxy_files(number)
    jpegs = read_members(files.archive)

    def pack() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_pack(read_galaxy_zoo(files.archive, files.solutions), PIXELS, Path(folder) / "pack")

    times = race(
        {
            "Pillow": lambda: decode_with_pillow(jpegs),
            "whole": lambda: decode_with_simplejpeg(jpegs, shrink=False),
            "bare": lambda: decode_with_simplejpeg(jpegs),
            "pack": pack,
        },
        options.rounds,
    )
    speeds = {name: number / seconds for name, seconds in times.items()}
    report.add("Pillow: decode, crop, resize", speeds["Pillow"], "images/s", remark=f"{files.origin} galaxies")
    report.add("simplejpeg: decode, whole size", speeds["whole"], "images/s")
    report.add("simplejpeg: decode, shrinking as ours", speeds["bare"], "images/s")
    report.add("pack", speeds["pack"], "images/s", goal=">= 1500")
    report.add("pack", speeds["pack"], "images/s", against="Pillow", reference=speeds["Pillow"])
    report.add("pack", speeds["pack"], "images/s", against="bare decoding", reference=speeds["bare"])
    for kind, goal in (("plain", ">= 300"), ("Rice", ">= 150")):
        _measure_fits(report, kind, goal, 8 if options.quick else 128, options.rounds)
    report.finish()


def _measure_fits(report: Report, kind: str, goal: str, number: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder) / "stamps"
        stamps.mkdir()
        rng = np.random.default_rng(0)
        y, x = np.mgrid[:STAMP_PX, :STAMP_PX] - STAMP_PX / 2
        light = 30 * np.exp(-np.hypot(y, x) / 12)
        header = fits.Header({"BANDS": "grz", "MAGZERO": 30.0, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
        header.update({"CRVAL1": 30.0, "CRVAL2": -9.0, "CD1_1": -0.262 / 3600, "CD2_2": 0.262 / 3600})
        for k in range(number):
            cube = (light + rng.normal(0, 1, (3, STAMP_PX, STAMP_PX))).astype(np.float32)
            image = fits.PrimaryHDU(cube, header)
            if kind == "Rice":
                image = fits.CompImageHDU(cube, header, compression_type="RICE_1")
            hdus = [fits.PrimaryHDU(), image] if kind == "Rice" else [image]
            fits.HDUList(hdus).writeto(stamps / f"s{k:04d}.fits{'.fz' if kind == 'Rice' else ''}")
        paths = sorted(stamps.iterdir())
        for path in paths:  # as many as a survey has, so that the start of the processes counts as it does there
            for copy in range(1, COPIES):
                os.link(path, path.with_name(f"c{copy}{path.name}"))

        def read_with_astropy() -> None:
            for path in paths:
                with fits.open(path, memmap=False) as opened:
                    assert opened[-1].data.shape == (3, STAMP_PX, STAMP_PX)

        def pack() -> None:
            with tempfile.TemporaryDirectory() as out:
                write_pack(read_image_folder(stamps), Preprocess(), Path(out) / "pack")

        times = race({"astropy": read_with_astropy, "pack": pack}, rounds)
    speeds = {"astropy": number / times["astropy"], "pack": COPIES * number / times["pack"]}
    report.add(f"astropy: open and read, {kind} FITS", speeds["astropy"], "images/s")
    report.add(f"pack, {kind} FITS", speeds["pack"], "images/s", goal=goal)
    report.add(f"pack, {kind} FITS", speeds["pack"], "images/s", against="astropy", reference=speeds["astropy"])


if __name__ == "__main__":
    main()
