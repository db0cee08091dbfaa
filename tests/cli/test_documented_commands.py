"""Every command in the documents has arguments and options that the program takes."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from convnet_galaxies.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
DOCUMENTS += [str(path.relative_to(ROOT)) for path in sorted((ROOT / "src").rglob("CARD.md"))]
PROGRAM = "convnet-galaxies"


def list_lines(text: str) -> Iterator[str]:
    """The lines of fenced blocks, with those that they go on with, that call the program."""
    for block in re.findall(r"^```[^\n`]*\n(.*?)^```", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            called = re.search(rf"(?:^|[ /]){PROGRAM} .*", line)
            if called and not line.lstrip().startswith("#"):
                yield called.group().lstrip(" /")


COMMANDS = sorted({line for name in DOCUMENTS for line in list_lines((ROOT / name).read_text("utf-8"))})


def parse(line: str) -> None:
    """Parse a line without running it, up to the first character with which a shell ends a command."""
    lexer = shlex.shlex(re.sub(r"\$\w+", "1", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(itertools.takewhile(lambda word: word[0] not in ";|&<>", lexer))
    command, rest = typer.main.get_command(app), words[1:]
    while hasattr(command, "commands"):
        assert rest, f"{line}: the command stops at a group"
        name, *rest = rest
        if name.startswith("-"):
            return
        found = command.commands.get(name)
        assert found is not None, f"{line}: no command {name}"
        command = found
    command.make_context(PROGRAM, list(rest)).close()


def test_documents_hold_commands() -> None:
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("line", COMMANDS)
def test_a_documented_command_is_parsed(line: str) -> None:
    parse(line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("convnet-galaxies pock images a b", "no command pock"),
        ("convnet-galaxies predict builtin:lens cutouts/ --vews 8", "[Nn]o such option.*--vews"),
        ("convnet-galaxies predict builtin:lens cutouts/ --views many", "many"),
        ("convnet-galaxies predict", "[Mm]issing"),
    ],
)
def test_a_wrong_command_is_not(line: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        parse(line)
