"""Damaged inputs of every kind end in a result or one message: a short form of trust/fuzz_readers.py, and the smallest
of those that once did not, which are kept in tests/damaged."""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_sets import make_lens_set, tiny

from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import IMAGES, TABLE, read_pack, write_set
from convnet_galaxies.data.panoptes.classifications import read_classifications
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.encoder_file import load_encoder
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.predict.embeddings import Embeddings, read_embeddings, write_embeddings
from convnet_galaxies.runs.split import read_split

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "trust" / "fuzz_readers.py"
KEPT = ROOT / "tests" / "damaged"

PREPROCESS = Preprocess(size_px=32)
Reader = Callable[[Path], object]


def read_image(path: Path) -> object:
    return PREPROCESS.decode_file(ImageFile(path))


def read_zip(path: Path) -> object:
    return [PREPROCESS.decode_file(file) for file in read_image_folder(path).files or ()]


def read_pack_with(name: str) -> Reader:
    def read(path: Path) -> object:
        pack = path.with_suffix(".pack")
        write_set(make_lens_set(8), pack)
        (pack / name).write_bytes(path.read_bytes())
        return read_pack(pack)

    return read


def read_encoder(path: Path) -> object:
    net = GalaxyNet(tiny("net.widths=[8,8]").net, bands=3, classes={"votes": ()}).backbone
    return load_encoder(net, path)


def read_parts_of_parquet(path: Path) -> object:
    return read_table(path, columns=["file"])


CASES: list[tuple[str, Reader, str]] = [
    ("rice-long-stream.fits.fz.gz", read_image, "cannot be read as FITS .*unused bytes"),
    ("promises-1e12-pixels.fits.gz", read_image, "cannot be read as FITS .*too small"),
    ("promises-1e12-pixels.png", read_image, r"cannot be decoded .*1000000000000 pixels\) exceeds limit"),
    ("table-card.fits.gz", read_table, "table-card.fits: found something else .*, expected a FITS table"),
    ("table-promises-1e12-rows.fits.gz", read_table, "found something else .*too small.*, expected a FITS table"),
    ("encoding.vot", read_table, "unknown encoding"),
    ("no-text.parquet", read_table, "no-text.parquet: found something else .*UTF8"),
    ("no-text.parquet", read_parts_of_parquet, "no-text.parquet: found something else .*UTF8"),
    ("promises-1e12-rows.parquet", read_table, "unpack to more than 1.1 GB"),
    ("promises-1e12-rows.parquet", read_pack_with(TABLE), "the pack is damaged .*unpack to more than 1.1 GB"),
    ("promises-1e12-rows.parquet", read_split, "cannot be read .*unpack to more than 1.1 GB"),
    ("column-facts.parquet.gz", read_pack_with(TABLE), "the pack is damaged"),  # Arrow 16 reads it
    ("head.npy", read_pack_with(IMAGES), "the pack is damaged"),
    ("promises-1e12-images.npy", read_pack_with(IMAGES), "the pack is damaged .*greater than file size"),
    ("later-version.zip", read_zip, r"later-version.zip: .*expected a whole zip archive \(zip file version 8\.5"),
    ("promises-3-gb.zip", read_zip, "cannot be read .*unpack to more than 1.1 GB"),
    ("row-no-text.csv", read_classifications, "is cut short or damaged .*Expected 14 columns, got 3"),
    ("text.pt.gz", read_encoder, "cannot be read as weights .*invalid start byte"),
    ("stack.pt.gz", read_encoder, "cannot be read as weights .*pop from empty list"),
    ("number.pt.gz", read_encoder, "cannot be read as weights .*invalid literal"),
]
"""File, reader, message; files that end in .gz are unpacked first."""


def test_damaged_inputs_of_every_kind_end_in_a_result_or_one_message() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--inputs", "12"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" inputs, ") >= 26
    assert done.stdout.endswith("\n0 findings\n")
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("name", "read", "message"), CASES, ids=lambda value: getattr(value, "__name__", str(value))[:40]
)
@pytest.mark.filterwarnings("ignore")  # astropy names what is wrong before it fails
def test_what_once_failed_is_refused(tmp_path: Path, name: str, read: Reader, message: str) -> None:
    path = take(name, tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=message):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


@pytest.mark.parametrize("name", ["time-zones.csv", "time-no-text.csv"])
def test_times_that_are_none_leave_a_classification_as_the_last_one(tmp_path: Path, name: str) -> None:
    found = read_classifications(take(name, tmp_path))
    assert found.subjects["id"].tolist() == ["7"]


def test_a_file_of_features_that_promises_more_rows_than_it_has_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "features.parquet"
    kept = Embeddings(
        ("a", "b"), make_lens_set(2).images.reshape(2, -1)[:, :4].astype("float32"), "builtin:zoo", "0" * 16, 1
    )
    write_embeddings(path, kept)
    assert read_embeddings(path).ids == ("a", "b")
    monkeypatch.setattr("convnet_galaxies.data.unpack.ALWAYS_BYTES", 8)
    monkeypatch.setattr("convnet_galaxies.data.unpack.MOST_TIMES", 0)
    with pytest.raises(InputError, match=r"cannot be read .*unpack to more than"):
        read_embeddings(path)


def test_every_kept_file_is_read_here_and_described() -> None:
    names = {path.name for path in KEPT.iterdir()} - {"README.md"}
    assert names == {name for name, _, _ in CASES} | {"time-zones.csv", "time-no-text.csv"}
    described = (KEPT / "README.md").read_text("utf-8")
    assert [name for name in names if f"`{name}`" not in described] == []
    assert all((KEPT / name).stat().st_size < 1200 for name in names)


def take(name: str, folder: Path) -> Path:
    """Put a kept file, unpacked, into a folder."""
    data = (KEPT / name).read_bytes()
    path = folder / name.removesuffix(".gz")
    path.write_bytes(gzip.decompress(data) if name.endswith(".gz") else data)
    return path
