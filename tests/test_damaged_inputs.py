"""Damaged inputs of every kind end in a result or one message: a short form of trust/fuzz_readers.py, and what it
found."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from small_sets import make_lens_set

from convnet_galaxies.data.pack import IMAGES, read_pack, write_set
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.data.zip_files import list_members
from convnet_galaxies.errors import InputError

SCRIPT = Path(__file__).parents[1] / "trust" / "fuzz_readers.py"


def test_damaged_inputs_of_every_kind_end_in_a_result_or_one_message() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--inputs", "12"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" inputs, ") >= 20
    assert done.stdout.endswith("\n0 findings\n")


def test_a_fits_table_with_a_card_that_cannot_be_parsed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    Table({"a": np.arange(3), "b": np.arange(3.0)}).write(path)
    path.write_bytes(path.read_bytes().replace(b"TFORM2  = 'D", b"TFORM2  = \x01D"))
    with pytest.raises(InputError, match=r"t\.fits: found something else .*, expected a FITS table"):
        read_table(path)


def test_a_votable_in_an_encoding_that_there_is_not_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.vot"
    Table({"a": [1, 2]}).write(path, format="votable")
    path.write_bytes(path.read_bytes().replace(b'encoding="utf-8"', b'encoding="qtf-8"'))
    with pytest.raises(InputError, match="unknown encoding"):
        read_table(path)


def test_a_pack_whose_array_has_a_broken_head_is_refused(tmp_path: Path) -> None:
    write_set(make_lens_set(8), tmp_path / "a.pack")
    data = (tmp_path / "a.pack" / IMAGES).read_bytes()
    (tmp_path / "a.pack" / IMAGES).write_bytes(data.replace(b"}  ", b"} (", 1))
    with pytest.raises(InputError, match="the pack is damaged"):
        read_pack(tmp_path / "a.pack")


def test_a_zip_of_a_later_version_of_the_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"x")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 6] = 85  # the version that is needed
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"t\.zip: .*expected a whole zip archive \(zip file version 8\.5"):
        list_members(path)


def test_a_parquet_table_whose_text_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pd.DataFrame({"file": ["g1.png", "g2.png"]})
    table.to_parquet(path, compression=None)
    path.write_bytes(path.read_bytes().replace(b"g2.png", b"g2\xffpng"))
    for columns in (None, ["file"]):
        with pytest.raises(InputError, match=r"t\.parquet: found something else .*UTF8"):
            read_table(path, columns=columns)
