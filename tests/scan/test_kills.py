"""What is killed goes on; a full disk ends a scan with one message, and what is finished stays."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.detection import Detection
from convnet_galaxies.errors import InputError
from convnet_galaxies.scan import shards
from convnet_galaxies.scan.scan import scan_tiles
from convnet_galaxies.scan.survey import SurveyOptions

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scan_kills.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_scan_that_is_killed_several_times_gives_the_same_candidates(world, survey, tmp_path) -> None:
    command = [sys.executable, SCRIPT, world / "survey", survey.folder, tmp_path / "out", "--kills=4", "--region=64"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 kills" in done.stdout
    assert "64 shards" in done.stdout
    assert "the same bytes" in done.stdout


def test_a_full_disk_is_told_once_and_the_scan_goes_on_when_there_is_room(
    survey, surveyor, tmp_path, monkeypatch
) -> None:
    options = SurveyOptions(detection=Detection(threshold_sigma=5), reading=ReadOptions(missing_share=0.4))
    write, calls = shards.pq.write_table, []

    def fill(table: object, path: object, **options: object) -> None:
        write(table, path, **options)
        calls.extend([path] if isinstance(path, Path) and path.parent.name == "shards" else [])
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shards.pq, "write_table", fill)
        with pytest.raises(InputError, match=r"000002\.parquet: the disk is full"):
            scan_tiles(surveyor, survey.folder, tmp_path / "scan", options)
    names = sorted(path.name for path in (tmp_path / "scan" / "shards").iterdir())
    assert names == ["000000.parquet", "000001.parquet"]
    times = [(tmp_path / "scan" / "shards" / name).stat().st_mtime_ns for name in names]
    summary = scan_tiles(surveyor, survey.folder, tmp_path / "scan", options)
    assert summary.session.failures == ()
    assert times == [(tmp_path / "scan" / "shards" / name).stat().st_mtime_ns for name in names]
