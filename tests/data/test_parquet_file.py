"""The package's own Parquet files are read as pandas reads them, by no other thread, and never beyond their size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from astropy import units as u
from astropy.table import Table
from pandas.testing import assert_frame_equal

from convnet_galaxies.data.parquet_file import read_frame, require_sound_rows
from convnet_galaxies.data.parquet_table import parse_parquet
from convnet_galaxies.data.table_notes import table_units
from convnet_galaxies.data.unpack import TooLargeError

STARVED = """
import resource, sys
from pathlib import Path
import pandas, pyarrow.parquet
from convnet_galaxies.data.parquet_file import read_frame
read_frame(Path(sys.argv[1]))  # all libraries are loaded
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20),) * 2)  # a thread takes 8 MB
try:
    print(len(read_frame(Path(sys.argv[1]))))
except MemoryError:
    print("no memory")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"id": ["a", None, "c"], "n": [1, 2, 3], "x": [0.5, None, 2.0], "kind": ["u", "v", "u"]})
    frame["kind"] = frame["kind"].astype("category")
    frame["keys"] = [["a"], [], ["b", "c"]]
    frame.attrs = {"votes": {"kind": "counts", "tree": [["a", 1]]}}
    frame.to_parquet(path, index=False)
    return path


def test_a_frame_is_the_one_that_pandas_reads(path: Path) -> None:
    found, expected = read_frame(path), pd.read_parquet(path)
    assert_frame_equal(found, expected)
    assert found.attrs == expected.attrs == {"votes": {"kind": "counts", "tree": [["a", 1]]}}


def test_more_values_than_a_sound_file_of_its_size_has_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_sound_rows(path)
    monkeypatch.setattr("convnet_galaxies.data.unpack.MOST_TIMES", 0)
    monkeypatch.setattr("convnet_galaxies.data.unpack.ALWAYS_BYTES", 3 * 8)
    require_sound_rows(path, ["x"])
    with pytest.raises(TooLargeError):
        require_sound_rows(path, ["x", "n"])
    with pytest.raises(TooLargeError):
        require_sound_rows(path.read_bytes())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and a limit that holds")
def test_without_memory_for_a_thread_a_frame_is_read_or_refused_but_not_waited_for(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", STARVED, path], capture_output=True, text=True, timeout=60)
    assert done.stdout in ("3\n", "no memory\n"), done.stderr[-2000:]


def test_units_that_astropy_wrote_and_named_columns_are_read_and_others_are_told(path: Path) -> None:
    table = Table({"ra": [10.5, 20.5] * u.deg, "mag": [20.0, 21.0] * u.mag, "id": ["a", "b"]})
    table.write(path, format="parquet", overwrite=True)
    for data in (path, path.read_bytes()):
        frame = parse_parquet(data)
        assert table_units(frame) == {"ra": "deg", "mag": "mag"}
        assert list(frame["ra"]) == [10.5, 20.5]
        part = parse_parquet(data, ["id", "ra"])
        assert (list(part), list(part["id"])) == (["id", "ra"], ["a", "b"])
        with pytest.raises(KeyError, match="absent, dec"):
            parse_parquet(data, ["ra", "dec", "absent"])


def test_a_file_of_pandas_has_no_units_and_its_unnamed_index_is_no_column(path: Path) -> None:
    pd.DataFrame({"n": [1, None]}, index=[7, 9], dtype="Int64").to_parquet(path)
    frame = parse_parquet(path)
    assert list(frame) == ["n"]
    assert table_units(frame) == {}
    assert frame["n"].dtype == pd.Int64Dtype()
