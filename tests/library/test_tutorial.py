"""The tutorial notebook, executed cell by cell as a notebook would."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


def run_cell(source: str, names: dict) -> object:
    """Execute a cell; return the value of its last line, as a notebook shows it."""
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    return None if last is None else eval(compile(last, "<cell>", "eval"), names)


@pytest.mark.filterwarnings("default::convnet_galaxies.InputWarning")
def test_every_cell_of_the_tutorial_runs_and_shows_what_it_promises(tmp_path, monkeypatch) -> None:
    pytest.importorskip("galsim", reason="the tutorial simulates its images: pip install '.[simulate]'")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cells = json.loads(TUTORIAL.read_text("utf-8"))["cells"]
    names: dict = {}
    shown = [run_cell("".join(one["source"]), names) for one in cells if one["cell_type"] == "code"]
    pages = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert len(pages) >= 10
    assert sum("data:image/png" in page for page in pages) == 3  # galleries
    assert any("<svg" in page or "data:image/svg" in page for page in pages)
    assert any("AUROC" in page for page in pages)
    assert any("RMSE" in page for page in pages)
