"""The scripts beside the package: whatever they import from it exists."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([*ROOT.glob("weights/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_script_imports_nothing_that_the_package_lacks(script: Path) -> None:
    missing = []
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("convnet_galaxies"):
            module = importlib.import_module(str(node.module))
            for one in node.names:
                if not hasattr(module, one.name):
                    try:
                        importlib.import_module(f"{node.module}.{one.name}")
                    except ImportError:
                        missing.append(f"{node.module}.{one.name}")
    assert missing == []
