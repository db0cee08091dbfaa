"""Every library has a lowest version, which the lock file does not fall below."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]


def test_the_lock_file_has_every_library_at_its_lowest_version_or_above() -> None:
    done = subprocess.run([sys.executable, ROOT / "trust" / "floors.py"], capture_output=True, text=True, check=True)
    lines = [line.partition(";") for line in done.stdout.lower().splitlines()]
    floors = [tuple(pinned.split("==")) for pinned, _, _ in lines]
    earlier = {name: parts(version) for (name, version), (_, _, when) in zip(floors, lines, strict=True) if "<" in when}
    later = {name: parts(version) for (name, version), (_, _, when) in zip(floors, lines, strict=True) if ">" in when}
    assert earlier.keys() == later.keys()
    assert all(earlier[name] < later[name] for name in earlier)  # later Pythons need later wheels
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text("utf-8").lower(), re.M))
    locked = {name.replace("_", "-"): version for name, version in locked.items()}
    assert len(floors) > 30
    assert [name for name, version in floors if parts(locked[name]) < parts(version)] == []
