"""Cutana (ESA) in a process of its own: cuts the positions of a table from a tile of three files, one turn a line.

    python benchmarks/peer_cutana.py FOLDER TABLE MODE

MODE: ``cut`` for windows as they are stored, the fastest that it does; ``asinh`` or ``linear`` for pictures of three
channels, asinh as uint8. One worker in this process, so that neither starting processes nor writing counts.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd
from peers import answer, wait_for_turn

SIDE_PX = 96
BANDS = ("i", "r", "g")


def main() -> None:
    """Answer each turn with its seconds."""
    folder, table, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    try:
        from cutana import __version__, create_cutouts_direct, get_default_config
    except ImportError as error:
        print(f"REMARK Cutana is not here: {error}", flush=True)
        return
    config = get_default_config()
    config.fits_extensions, config.target_resolution, config.write_to_disk = ["PRIMARY"], SIDE_PX, False
    config.apply_flux_conversion = False
    config.do_only_cutout_extraction = mode == "cut"
    config.normalisation_method = "none" if mode == "cut" else mode
    config.data_type = "uint8" if mode == "asinh" else "float32"
    config.channel_weights = {
        f"mosaic_{band}": [1.0 if place == k else 0.0 for k in range(3)] for place, band in enumerate(BANDS)
    }
    positions = pd.read_csv(table)
    paths = str([str(folder / f"mosaic_{band}.fits") for band in BANDS])
    catalogue = pd.DataFrame(
        {
            "SourceID": [f"s{k}" for k in range(len(positions))],
            "RA": positions["ra"],
            "Dec": positions["dec"],
            "diameter_pixel": SIDE_PX,
            "fits_file_paths": paths,
        }
    )
    print(f"REMARK Cutana {__version__}", flush=True)
    while wait_for_turn():
        started = time.perf_counter()
        found = create_cutouts_direct(catalogue, config, max_workers=1, log_set_progress=False)
        answer(time.perf_counter() - started)
        assert sum(len(one["metadata"]) for one in found) == len(positions)


if __name__ == "__main__":
    main()
