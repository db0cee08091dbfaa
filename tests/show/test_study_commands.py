from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_results import make_cutouts, make_study
from typer.testing import CliRunner

from convnet_galaxies.cli import app
from convnet_galaxies.errors import InputError, OutputExistsError, UsageError


def run(*words: str) -> str:
    """What a command prints; its errors are raised as they are."""
    result = CliRunner().invoke(app, list(words), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.mark.parametrize("text", ["0,1", "2", "half", ""])
def test_impossible_shares_of_the_labels_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"--label-fractions: found .*expected numbers above 0 and at most 1"):
        run("study", "--zoo", "z", "--lenses", "s", "-o", str(tmp_path / "o"), "--label-fractions", text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [("--rates", "-1", "numbers above 0"), ("--rates", "inf", "numbers above 0"), ("--lens-epochs", "8,1.5", "whole")],
)
def test_an_impossible_grid_is_refused(tmp_path: Path, option: str, text: str, expected: str) -> None:
    with pytest.raises(UsageError, match=rf"{option}: found '{text}', expected {expected}"):
        run("study", "--zoo", "z", "--lenses", "s", "-o", str(tmp_path / "o"), option, text)


def test_report_command_writes_the_page_and_says_what_it_is(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", make_cutouts(30, np.random.default_rng(0)), repetitions=1, fractions=(1.0,))
    page = tmp_path / "report.html"
    printed = run("report", str(folder), "-o", str(page))
    assert printed.startswith(f"{page}: study, ")
    assert "</html>" in page.read_text("utf-8")
    with pytest.raises(OutputExistsError, match="already exists"):
        run("report", str(folder), "-o", str(page))


def test_unknown_refuses_an_output_that_is_there_and_a_run_that_is_not(tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError, match="already exists"):
        run("unknown", "builtin:lens", str(tmp_path), "-o", str(tmp_path))
    with pytest.raises(InputError, match="no such folder, expected a finished run"):
        run("unknown", str(tmp_path / "run"), "pack", "-o", str(tmp_path / "out"))
