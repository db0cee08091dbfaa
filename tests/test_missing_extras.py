"""Commands whose libraries are not installed name them and how to install them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from convnet_galaxies import extras
from convnet_galaxies.errors import InputError
from convnet_galaxies.extras import require_extra
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.survey import SurveyOptions, plan_survey


def test_libraries_that_are_not_installed_are_named() -> None:
    with pytest.raises(
        InputError, match="inspect: found no no_such_library, expected the libraries of the extra 'x'"
    ) as caught:
        require_extra("inspect", "x", ("json", "no_such_library"))
    assert caught.value.fix.startswith("pip install 'convnet-galaxies[x]'")
    require_extra("inspect", "x", ("json",))


def test_a_scan_without_its_extra_says_so_before_it_looks_at_a_tile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def find(name: str) -> object:
        return None if name in ("sep", "mocpy") else importlib.util.find_spec(name)

    monkeypatch.setattr(extras, "find_spec", find)
    with pytest.raises(InputError, match="scan: found no sep, no mocpy, expected"):
        plan_survey(Predictor("builtin:lens"), tmp_path, tmp_path / "out", SurveyOptions())
    assert list(tmp_path.iterdir()) == []
