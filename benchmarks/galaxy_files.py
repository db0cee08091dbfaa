"""Make the images that the benchmarks read: galaxies in Kaggle's form, real ones if available, else simulated.

A few hundred different galaxies are repeated under other names until there are enough, so that a benchmark of thousands
of images starts within seconds. Decoders, networks and file systems are not affected (all files stay in the page cache,
which is fair since every contestant reads the same files). The files are kept in the temporary folder for the next
script.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.output import new_folder
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.simulate.galaxy_zoo import simulate_galaxy_zoo

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "galaxy-zoo"
"""The developers' real images beside the project; they are never part of it."""
DIFFERENT = 384
PIXELS = Preprocess(crop_px=288, size_px=108)
ARCHIVE, SOLUTIONS = "images_training_rev1.zip", "training_solutions_rev1.csv"


@dataclass(frozen=True)
class GalaxyFiles:
    """One set of galaxies in several forms.

    archive: zip of 424 px JPEGs; solutions: CSV of their votes; jpegs, pngs: folders of the same images.
    origin: ``real`` or ``simulated``; number: of images.
    """

    archive: Path
    solutions: Path
    jpegs: Path
    pngs: Path
    origin: str
    number: int

    def pack(self) -> ImageSet:
        """The pack of these images, memory-mapped; made when it is not there."""
        path = self.archive.parent / "pack"
        if not path.exists():
            write_pack(read_galaxy_zoo(self.archive, self.solutions), PIXELS, path)
        return read_pack(path)


def cache_folder() -> Path:
    """Where the benchmarks keep what they make, for this user."""
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"convnet-galaxies-benchmarks-{owner}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def make_galaxy_files(number: int, *, with_pngs: bool = False) -> GalaxyFiles:
    """Files of so many galaxies, from the cache or new."""
    origin = "real" if REAL.is_dir() else "simulated"
    folder = cache_folder() / f"galaxies-{origin}-{number}"
    if not folder.exists():
        with new_folder(folder, is_ours=lambda path: False) as temporary:
            _write(temporary, REAL if origin == "real" else _simulate(min(number, DIFFERENT)), number)
    files = GalaxyFiles(
        folder / ARCHIVE, folder / SOLUTIONS, folder / "images_training_rev1", folder / "pngs", origin, number
    )
    if with_pngs and not files.pngs.exists():
        with new_folder(files.pngs, is_ours=lambda path: False) as temporary:
            _write_pngs(sorted(files.jpegs.iterdir()), temporary)
    return files


def _simulate(number: int) -> Path:
    folder = cache_folder() / f"simulated-{number}"
    if not folder.exists():
        simulate_galaxy_zoo(folder, number=number, seed=0, test_fraction=0)
    return folder


def _write(folder: Path, source: Path, number: int) -> None:
    with zipfile.ZipFile(source / "training_solutions_rev1.zip") as solutions:
        inside = next(name for name in solutions.namelist() if name.endswith(SOLUTIONS) and "MACOSX" not in name)
        votes = pd.read_csv(solutions.open(inside)).head(DIFFERENT)
    rows = np.arange(number) % len(votes)
    names = np.arange(100_001, 100_001 + number)
    votes.iloc[rows].assign(GalaxyID=names).to_csv(folder / SOLUTIONS, index=False)
    (folder / "images_training_rev1").mkdir()
    with zipfile.ZipFile(source / ARCHIVE) as images, zipfile.ZipFile(folder / ARCHIVE, "w") as out:
        members = {
            Path(name).stem: name for name in images.namelist() if name.endswith(".jpg") and "MACOSX" not in name
        }
        jpegs = [images.read(members[str(galaxy)]) for galaxy in votes["GalaxyID"]]
        for name, row in zip(names, rows, strict=True):
            out.writestr(zipfile.ZipInfo(f"images_training_rev1/{name}.jpg"), jpegs[row])
            (folder / "images_training_rev1" / f"{name}.jpg").write_bytes(jpegs[row])


def _write_pngs(jpegs: list[Path], folder: Path, different: int = 96) -> None:
    for number, jpeg in enumerate(jpegs):
        target = folder / f"{jpeg.stem}.png"
        if number < different:
            with Image.open(jpeg) as image:
                image.save(target)
            continue
        first = folder / f"{jpegs[number % different].stem}.png"
        try:
            target.hardlink_to(first)
        except OSError:  # a file system without links
            shutil.copyfile(first, target)
