"""Options and commands under the names that they had before: they work for one release, and no help lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from made_fits import save, tan_wcs

from convnet_galaxies.cli import app
from convnet_galaxies.simulate.camera import Camera
from convnet_galaxies.simulate.field import render_objects
from convnet_galaxies.simulate.sky_population import SkyObject

MINE = ["mine", "run", "images", "-o", "out"]
RENAMED = [
    (["ensemble", "a", "b", "-o", "out"], ["--half"], ["--float16"]),
    (["evaluate", "run", "pack"], ["--by", "flavor", "--by=stage"], ["--breakdown", "flavor", "--breakdown=stage"]),
    (["submit", "run", "images", "-o", "out"], ["--sample", "s.csv"], ["--sample-submission", "s.csv"]),
    (MINE, ["--above", "0.7"], ["--min-probability", "0.7"]),
    (MINE, ["--on", "objects"], ["--windows", "objects"]),
    (MINE, ["--stride", "9"], ["--stride-px", "9"]),
    (MINE, ["--context=5"], ["--margin-px=5"]),
    (
        ["study", "--zoo", "z", "--lenses", "s", "-o", "o"],
        ["--fractions", "0.5,1"],
        ["--label-fractions", "0.5,1"],
    ),
    (["study", "--lenses", "s", "-o", "o"], ["--seeds", "3"], ["--repetitions", "3"]),
    (["study", "--lenses", "s", "-o", "o"], ["--space-warps", "t"], ["--lenses", "t"]),
    (["report", "run", "-o", "out"], ["--lenses", "7"], ["--survey-lenses", "7"]),
    (["report", "run", "-o", "out"], ["--fields", "700"], ["--survey-images", "700"]),
    (["cutouts", "fields", "clicks.csv", "-o", "out"], ["--fields", "f.csv"], ["--field-table", "f.csv"]),
    (["simulate", "galaxy-zoo", "out"], ["--test-share", "0.4"], ["--test-fraction", "0.4"]),
    (["simulate", "survey", "out"], ["--separate"], ["--file-per-band"]),
]


def parse(words: list[str]) -> tuple[dict[str, Any], Any]:
    """What the command is called with, and the command."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    return command.make_context(command.name, list(words)).params, command


@pytest.mark.parametrize(("words", "old", "new"), RENAMED, ids=lambda given: " ".join(given))
def test_an_old_name_means_the_new_one_and_only_the_new_one_is_listed(capsys, words, old, new) -> None:
    plain, command = parse(words)
    renamed, _ = parse([*words, *new])
    assert capsys.readouterr().err == ""
    assert parse([*words, *old])[0] == renamed != plain
    name, new_name = old[0].partition("=")[0], new[0].partition("=")[0]
    assert f"{name} is now called {new_name}; the old name goes with the next release\n" in capsys.readouterr().err
    listed = {option for parameter in command.params for option in parameter.opts}
    assert new_name in listed
    assert name not in listed


def test_a_remark_on_an_old_name_is_silenced_by_quiet_and_operands_are_left_alone(capsys) -> None:
    assert parse([*MINE, "--stride", "9", "-q"])[0]["stride_px"] == 9
    assert Path(parse(["evaluate", "run", "--", "--by"])[0]["pack"]) == Path("--by")
    assert capsys.readouterr().err == ""


def test_lenses_are_injected_under_the_old_option_as_by_the_command(run, tmp_path) -> None:
    red = SkyObject(70.3, 66.8, 19.6, 1.6, 0.6, "elliptical", 0.4, 4.0, 0.7, 0.5)
    light = render_objects([red], (140, 140), Camera())
    noise = np.array(Camera().sky_sigma_counts)[:, None, None] * np.random.default_rng(0).standard_normal(light.shape)
    primary = {"BANDS": "gri", "MZP_AB": 30.0, **tan_wcs(0.186)}
    save(tmp_path / "in" / "a.fits", (light + noise).astype(np.float32), primary=primary)
    old = run("simulate", "space-warps", tmp_path / "old", "--onto", tmp_path / "in", "--number", 1, "--seed", 3)
    new = run("simulate", "injected-lenses", tmp_path / "in", tmp_path / "new", "--number", 1, "--seed", 3)
    assert (old.code, new.code) == (0, 0)
    assert "`simulate injected-lenses FIELDS OUT`" in old.err
    assert "1 images with a lens each, in 1 different fields" in new.out
    written = [sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in ("old", "new")]
    assert [path.read_bytes() for path in written[0]] == [path.read_bytes() for path in written[1]] != []
    assert "--onto" not in run("simulate", "space-warps", "--help").out
