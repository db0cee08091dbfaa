"""gzip, bzip2 and members of zips: what they hold, and those that would fill the memory."""

from __future__ import annotations

import bz2
import gzip
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from convnet_galaxies.data import unpack as module
from convnet_galaxies.data.fits_image import read_fits
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.data.unpack import TooLargeError, unpack
from convnet_galaxies.errors import BadImageError, InputError

PACKERS = [gzip.compress, bz2.compress]
NOISE = np.random.default_rng(0).bytes(1000)


@pytest.fixture
def small(monkeypatch) -> None:
    """Limits of kilobytes, so that the tests need no gigabytes."""
    monkeypatch.setattr(module, "ALWAYS_BYTES", 10_000)
    monkeypatch.setattr(module, "_STEP_BYTES", 4_000)


@pytest.mark.parametrize("pack", PACKERS)
def test_packed_bytes_come_back_also_of_several_parts_and_with_padding(pack, small) -> None:
    data = NOISE + bytes(8_000)
    assert unpack(pack(data)) == data
    assert unpack(pack(b"one ") + pack(b"two")) == b"one two"
    assert unpack(pack(b"x") + bytes(512)) == b"x"
    assert unpack(pack(b"")) == b""
    assert unpack(b"neither") == b"neither"


@pytest.mark.parametrize("pack", PACKERS)
def test_bytes_that_are_cut_off_or_damaged_are_refused(pack) -> None:
    packed = pack(NOISE * 3)
    with pytest.raises(EOFError, match="cut off"):
        unpack(packed[:-9])
    with pytest.raises((OSError, zlib.error)):
        unpack(packed[:100] + bytes([packed[100] ^ 255]) + packed[101:])


@pytest.mark.parametrize("pack", PACKERS)
def test_unpacking_ends_at_the_limit_and_what_hardly_shrinks_has_none(pack, small) -> None:
    with pytest.raises(TooLargeError, match="unpack to more than"):
        unpack(pack(bytes(10_000_000)))
    whole = NOISE * 11
    assert len(whole) > module.ALWAYS_BYTES
    assert unpack(pack(whole)) == whole


def test_images_and_tables_that_would_fill_the_memory_are_one_message(tmp_path: Path, small) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(20_000_000))
    with pytest.raises(BadImageError, match=r"a\.zip\[a\.png\]: cannot be read \(its 19,\d\d\d bytes unpack to more"):
        ImageFile(tmp_path / "a.zip", "a.png").read()
    with pytest.raises(BadImageError, match="unpack to more than"):
        read_fits(gzip.compress(bytes(20_000_000)), "a.fits.gz")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 5_000_000))
    with pytest.raises(InputError, match="unpack to more than"):
        read_table(tmp_path / "a.csv.gz")
