"""Some commands survive what trust/break_commands.py does to all, which ends with a fault when one is not listed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "trust" / "break_commands.py"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system cannot wait for a process with a limit")
def test_every_command_that_writes_is_listed_and_two_survive_kills_faults_and_collisions() -> None:
    options = ["--kills=3", "--steps=2", "--pairs=2", "--limits=1", "--only=train;zooniverse votes"]
    done = subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| kills at random | 3 |" in done.stdout
    assert "| two at once | 2 |" in done.stdout
    assert "2 commands, 0 findings" in done.stdout
