"""Packing a zip of 424 px JPEGs against bare decoding by simplejpeg and against Pillow.

Ours: read_galaxy_zoo and write_pack (central 288 px to 108 px, the table of votes, fingerprint, all files whole on
disk). Bare decoding: the same JPEGs from memory on as many threads, nothing kept. Pillow: decode, crop and resize on
as many threads, nothing kept.

    python benchmarks/bench_packing.py [--quick]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from decoders import decode_with_pillow, decode_with_simplejpeg, read_members
from galaxy_files import PIXELS, make_galaxy_files
from measuring import Report, race, read_options

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.pack import write_pack


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
    report.finish()


if __name__ == "__main__":
    main()
