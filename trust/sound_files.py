"""Small sound files of every kind that the package reads, and the function that reads each."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.table import Table
from PIL import Image
from sound_runs import (
    make_encoder,
    make_export,
    make_familiar,
    make_run,
    make_unfinished,
    read_checkpoint,
    read_encoder,
    read_export,
    use_familiar,
)

from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.markers import read_markers
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.space_warps import read_space_warps
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.decision_tree import read_tree
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.runs.weights import load_nets
from convnet_galaxies.settings import load_settings

PREPROCESS = Preprocess(size_px=32)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (40, 44, 3), dtype=np.uint8)
CUBE = (RNG.normal(0, 1, (3, 40, 44)) + 100).astype(np.float32)


@dataclass(frozen=True)
class Kind:
    """ending: of the file's name. make: writes a sound file. read: reads one, whole."""

    ending: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]


def read_image(path: Path) -> object:
    """Decode as pack and predict do."""
    return PREPROCESS.decode_file(ImageFile(path))


def make_fits(path: Path, *, rice: bool = False) -> None:
    """Three bands with a mask, as a survey writes them."""
    header = fits.Header({"BANDS": "grz", "MAGZERO": 22.5, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    header.update({"CRVAL1": 30.0, "CRVAL2": -9.0, "CD1_1": -0.262 / 3600, "CD2_2": 0.262 / 3600})
    image = fits.CompImageHDU if rice else fits.ImageHDU
    mask = (RNG.random((40, 44)) < 0.01).astype(np.int32)
    hdus = [fits.PrimaryHDU(), image(CUBE, header, name="SCI"), image(mask, name="MASK")]
    fits.HDUList(hdus).writeto(path, overwrite=True)


def make_table() -> pd.DataFrame:
    """Ids, names, numbers, positions and blanks."""
    n = 30
    frame = pd.DataFrame({"id": np.arange(n) + 2**60, "file": [f"g{k}.png" for k in range(n)]})
    frame["ra"], frame["dec"], frame["z"] = RNG.uniform(0, 360, n), RNG.uniform(-90, 90, n), RNG.random(n)
    frame.loc[3, "z"] = np.nan
    return frame


def make_images_zip(path: Path) -> None:
    """A zip of pictures in a folder."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(4):
            name = path.with_suffix(f".{k}.png")
            Image.fromarray(PIXELS).save(name)
            archive.write(name, f"images/g{k}.png")
            name.unlink()


def read_zip(path: Path) -> object:
    """List and decode everything."""
    records = read_image_folder(path)
    return [PREPROCESS.decode_file(file) for file in records.files or ()]


def make_catalogue(path: Path) -> None:
    """A Space Warps catalogue."""
    n = 12
    frame = pd.DataFrame(
        {
            "ZooID": [f"ASW000{k:04d}" for k in range(n)],
            "object_name": [f"c{k}" for k in range(n)],
            "cutoutname": [f"c{k}.png" for k in range(n)],
            "category": ["training", "test"] * (n // 2),
            "kind": ["sim", "test", "dud"] * (n // 3),
            "truth": ["LENS", "NOT", "UNKNOWN"] * (n // 3),
            "flavor": ["lensed galaxy", "dud", "test"] * (n // 3),
            "stage": [1, 2] * (n // 2),
            "alpha": [1, 0, 1, 1] * (n // 4),
        }
    )
    frame.to_csv(path, index=False)


def make_markers(path: Path) -> None:
    """Clicks of volunteers on fields."""
    n = 20
    frame = pd.DataFrame({"ZooID": [f"ASW000{k % 4:04d}" for k in range(n)], "volunteer": [f"v{k}" for k in range(n)]})
    frame["x"], frame["y"], frame["stage"] = RNG.uniform(0, 440, n), RNG.uniform(0, 440, n), 1
    frame.to_csv(path, index=False)


def in_place_of(member: str, make: Callable[[Path], None], read: Callable[[Path], object]) -> Kind:
    """A kind whose input is one file of a folder that is otherwise sound."""

    def make_member(path: Path) -> None:
        folder = path.with_name(f"{path.name}.whole")
        if not folder.exists():
            make(folder)
        shutil.copyfile(folder / member, path)

    def read_member(path: Path) -> object:
        folder = path.parent / f"sound{path.suffix}"
        whole, copy = folder.with_name(f"{folder.name}.whole"), path.with_name(f"{path.name}.copy")
        shutil.copytree(whole, copy)
        shutil.copyfile(path, copy / member)
        try:
            return read(copy)
        finally:
            shutil.rmtree(copy)

    return Kind(f".{member.replace('.', '-')}", make_member, read_member)


def make_pack(folder: Path) -> None:
    """A pack of pictures."""
    archive = folder.with_suffix(".zip")
    make_images_zip(archive)
    write_pack(read_image_folder(archive), PREPROCESS, folder)


def use_pack(folder: Path) -> object:
    """Read a pack and all of its pixels."""
    return np.asarray(read_pack(folder).images).sum()


KINDS = {
    "jpeg": Kind(".jpg", lambda path: Image.fromarray(PIXELS).save(path, quality=90), read_image),
    "png": Kind(".png", lambda path: Image.fromarray(PIXELS).save(path), read_image),
    "png-16": Kind(".png", lambda path: Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200).save(path), read_image),
    "tiff": Kind(".tif", lambda path: Image.fromarray(PIXELS).save(path, compression="tiff_lzw"), read_image),
    "webp": Kind(".webp", lambda path: Image.fromarray(PIXELS).save(path), read_image),
    "fits": Kind(".fits", make_fits, read_image),
    "fits-rice": Kind(".fits.fz", lambda path: make_fits(path, rice=True), read_image),
    "zip": Kind(".zip", make_images_zip, read_zip),
    "table-csv": Kind(".csv", lambda path: make_table().to_csv(path, index=False), read_table),
    "table-parquet": Kind(".parquet", lambda path: make_table().to_parquet(path), read_table),
    "table-fits": Kind(".fits", lambda path: Table.from_pandas(make_table()).write(path, overwrite=True), read_table),
    "table-votable": Kind(
        ".vot", lambda path: Table.from_pandas(make_table()).write(path, format="votable", overwrite=True), read_table
    ),
    "table-ecsv": Kind(".ecsv", lambda path: Table.from_pandas(make_table()).write(path, overwrite=True), read_table),
    "catalogue": Kind(".csv", make_catalogue, read_space_warps),
    "settings": Kind(
        ".toml",
        lambda path: path.write_text("seed = 3\n[train]\nepochs = 4\n[net]\nwidths = [8, 16]\ndepths = [1, 1]\n"),
        load_settings,
    ),
    "tree": Kind(
        ".toml",
        lambda path: shutil.copyfile(
            Path(__file__).parents[1] / "src/convnet_galaxies/decision_tree/trees/desi.toml", path
        ),
        read_tree,
    ),
    "pack-pixels": in_place_of("images.npy", make_pack, use_pack),
    "pack-table": in_place_of("table.parquet", make_pack, use_pack),
    "pack-json": in_place_of("pack.json", make_pack, use_pack),
    "run-card": in_place_of("model.json", make_run, read_card),
    "run-weights": in_place_of("weights.safetensors", make_run, load_nets),
    "checkpoint": in_place_of("resume.ckpt", make_unfinished, read_checkpoint),
    "familiarity": in_place_of("familiarity.safetensors", make_familiar, use_familiar),
    "encoder": Kind(".pt", make_encoder, read_encoder),
    "markers": Kind(".csv", make_markers, read_markers),
    "export": Kind(".csv", make_export, read_export),
}
