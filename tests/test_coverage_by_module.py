"""The check of each module's coverage fails for a module below the least share, and for what was not measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "trust" / "coverage_by_module.py"
COVERED = "".join(f"x{k} = {k}\n" for k in range(17))
NOT_RUN = "def one():\n    return 1\n" * 2


def measure(folder: Path, text: str, *options: str) -> Path:
    """What coverage writes about a module."""
    module = folder / "measured.py"
    module.write_text(text)
    run = [sys.executable, "-m", "coverage"]
    own = {name: value for name, value in os.environ.items() if name != "COVERAGE_FILE"}  # in which these tests measure
    for words in (["run", *options, str(module)], ["json", "-q", "--fail-under=0"]):
        subprocess.run([*run, words[0], "--rcfile=", *words[1:]], cwd=folder, check=True, env=own)
    return folder / "coverage.json"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (COVERED, 0),
        (COVERED + NOT_RUN, 0),  # 19 of 21
        (COVERED[: COVERED.index("x7")] + NOT_RUN, 1),  # 9 of 11
    ],
)
def test_a_module_below_the_least_share_fails(tmp_path: Path, text: str, code: int) -> None:
    report = measure(tmp_path, text, "--branch")
    done = subprocess.run([sys.executable, SCRIPT, report], capture_output=True, text=True)
    assert done.returncode == code
    assert ("measured.py: 81.8 %" in done.stderr) == bool(code)
    assert done.stdout.startswith({COVERED: "100.00 %"}.get(text, "90.48 %" if not code else "81.82 %"))


def test_a_measurement_without_branches_or_without_modules_fails(tmp_path: Path) -> None:
    report = measure(tmp_path, COVERED)
    assert subprocess.run([sys.executable, SCRIPT, report], capture_output=True).returncode == 1
    facts = json.loads(report.read_text())
    facts["meta"]["branch_coverage"], facts["files"] = True, {}
    report.write_text(json.dumps(facts))
    done = subprocess.run([sys.executable, SCRIPT, report], capture_output=True, text=True)
    assert done.returncode == 1
    assert "found 0 modules" in done.stderr
