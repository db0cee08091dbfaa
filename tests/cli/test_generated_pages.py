"""The pages on commands and on the library are those that the code gives, and a check tells when they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import convnet_galaxies
from convnet_galaxies.cli import app, reference
from convnet_galaxies.library import reference as library_reference
from convnet_galaxies.library.reference import write_or_check

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [("commands.md", reference.write_reference), ("api.md", library_reference.write_api)]


@pytest.mark.parametrize(("name", "write"), PAGES)
def test_a_page_is_written_and_a_changed_or_missing_one_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, write: Callable[[], str]
) -> None:
    page = tmp_path / name
    assert write_or_check(["--check", str(page)], write) == 1
    assert write_or_check([str(page)], write) == 0
    assert page.read_text("utf-8") == (DOCS / name).read_text("utf-8")
    assert write_or_check(["--check", str(page)], write) == 0
    page.write_text(page.read_text("utf-8") + "more\n", "utf-8")
    capsys.readouterr()
    assert write_or_check(["--check", str(page)], write) == 1
    assert capsys.readouterr().err == f"{page} is out of date; run `make docs`\n"


def test_every_command_and_every_option_that_is_shown_is_on_the_page() -> None:
    sections = reference.write_reference().split("\n## ")
    commands = dict(reference.list_commands(typer.main.get_command(app), "convnet-galaxies"))
    assert len(commands) > 25
    for name, command in commands.items():
        (section,) = (one for one in sections if one.startswith((f"`{name} ", f"`{name}`")))
        shown = [option for one in command.params if not getattr(one, "hidden", False) for option in one.opts]
        assert [option for option in shown if option.startswith("--") and f"`{option}`" not in section] == [], name


def test_every_name_of_the_library_is_on_the_page() -> None:
    text = library_reference.write_api()
    names = [name for name in convnet_galaxies.__all__ if not name.startswith("_")]
    assert [name for name in names if f"\n## `cg.{name}" not in text] == []
    assert "\n### `Run.predict(" in text
