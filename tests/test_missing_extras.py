"""Commands whose libraries are not installed name them and how to install them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from convnet_galaxies import extras
from convnet_galaxies.errors import InputError
from convnet_galaxies.extras import require_extra
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.survey import SurveyOptions, plan_survey
from convnet_galaxies.simulate import libraries


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


def test_simulating_without_its_library_names_it_and_another_library_that_it_lacks_is_no_missing_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    libraries._load.cache_clear()
    try:
        with monkeypatch.context() as patch:
            for name in [one for one in sys.modules if one.partition(".")[0] == "galsim"]:
                patch.delitem(sys.modules, name)
            patch.setitem(sys.modules, "galsim", None)
            with pytest.raises(InputError, match="found no GalSim, expected") as caught:
                libraries.load_galsim()
            assert "convnet-galaxies[simulate]" in caught.value.fix
        package = tmp_path / "caustics"
        package.mkdir()
        (package / "__init__.py").write_text("import no_such_library\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path)
            for name in [one for one in sys.modules if one.partition(".")[0] == "caustics"]:
                patch.delitem(sys.modules, name)
            with pytest.raises(ModuleNotFoundError, match="no_such_library"):
                libraries.load_caustics()
    finally:
        libraries._load.cache_clear()
