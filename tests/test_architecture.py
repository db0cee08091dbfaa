"""The documents name files and functions that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "convnet_galaxies"
TEXT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
FILES = sorted(set(re.findall(r"`([\w/*]+\.py)`", TEXT)))
DOCUMENTS = [path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md")]
FUNCTIONS = sorted(set(re.findall(r"`([A-Za-z_.]+)` (?:in|of) `([\w/]+\.py)`", TEXT)))


def test_a_missing_file_would_be_found() -> None:
    assert len(FILES) > 60
    assert len(FUNCTIONS) >= 1
    assert not list(PACKAGE.glob("training/plan.py"))


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_it_names_is_in_the_package(name: str) -> None:
    assert list(PACKAGE.glob(name)), f"ARCHITECTURE.md names {name}"


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "README.md", *sorted(map(str, DOCUMENTS))])
def test_every_file_that_another_document_names_is_there(document: str) -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", (ROOT / document).read_text("utf-8")))
    absent = [name for name in named if not ((PACKAGE / name).is_file() or (ROOT / name).is_file())]
    assert not absent


@pytest.mark.parametrize(("function", "name"), FUNCTIONS)
def test_every_function_that_it_names_is_in_its_file(function: str, name: str) -> None:
    last = function.rpartition(".")[2]
    assert re.search(rf"^ *(def|class) {last}\b", (PACKAGE / name).read_text("utf-8"), re.M), f"{function} in {name}"
