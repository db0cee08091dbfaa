"""Fixes can be followed: the options and commands that they name exist, and where."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

import convnet_galaxies
from convnet_galaxies.cli import app
from convnet_galaxies.cli.fixes import OPTION, QUOTED, find_command, make_followable, options_of

ROOT = typer.main.get_command(app)
SOURCE = Path(convnet_galaxies.__file__).parent
ERRORS = {"InputError", "UsageError", "BadImageError"}


def read_text(node: ast.AST) -> str:
    """The text of an expression; what is filled in counts as the word X."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            read_text(part) if isinstance(part, ast.Constant) else f"X{read_text(part)}" for part in node.values
        )
    return " ".join(filter(None, map(read_text, ast.iter_child_nodes(node))))


def find_fixes() -> dict[str, str]:
    """Place to text of each fix in the source: second arguments of errors, and what is assigned to a name fix."""
    fixes = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS and len(node.args) > 1:
                text = read_text(node.args[1])
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "fix":
                text = read_text(node.value)
            elif isinstance(node, ast.FunctionDef) and node.name.endswith("_fix"):
                text = " ".join(read_text(one) for one in ast.walk(node) if isinstance(one, ast.Return))
            else:
                continue
            fixes[f"{path.relative_to(SOURCE)}:{node.lineno}"] = text
    return fixes


FIXES = find_fixes()


def all_commands(command=ROOT, name: str = "") -> dict[str, set[str]]:
    """Name to options of every command, groups without their options."""
    children = getattr(command, "commands", None)
    if children is None:
        return {name: options_of(command)}
    found = {name: set[str]()} if name else {}
    for child in children.values():
        found |= all_commands(child, f"{name} {child.name}".strip())
    return found


COMMANDS = all_commands()


def test_there_are_fixes_to_check() -> None:
    assert len(FIXES) > 200
    assert sum("--" in text for text in FIXES.values()) > 30


@pytest.mark.parametrize("place", [place for place, text in FIXES.items() if "--" in text or "`" in text])
def test_every_option_and_command_that_a_fix_names_exists(place: str) -> None:
    everything = set().union(*COMMANDS.values())
    text = FIXES[place]
    assert set(OPTION.findall(QUOTED.sub("", text))) <= everything
    for quoted in QUOTED.findall(text):
        words = quoted.strip("`").removeprefix("convnet-galaxies ").split()
        if words == ["file"]:
            continue  # the name of a column
        name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
        if words[0] == "pack" and name == "pack":  # any kind of pack
            options = set.intersection(*(own for command, own in COMMANDS.items() if command.startswith("pack ")))
        else:
            assert name is not None, quoted
            options = COMMANDS[name]
        assert set(OPTION.findall(quoted)) <= options | {"--help"}, quoted
    for name in re.findall(r"convnet-galaxies ([a-z]+)", text):
        assert name in COMMANDS


@pytest.mark.parametrize(
    ("words", "fix", "expected"),
    [
        (["predict", "zoo"], "fetch it again, or pass --skip-bad", "fetch it again, or pass --skip-bad"),
        (["submit", "zoo"], "fetch it again, or pass --skip-bad", "fetch it again"),
        (
            ["pack", "images", "folder"],
            "correct the header, or pass --zero-point",
            "correct the header, or pass --zero-point",
        ),
        (["pack", "galaxy-zoo"], "correct the header, or pass --zero-point", "correct the header"),
        (["train", "a.pack"], "pack it with `pack images --label x`", "pack it with `pack images --label x`"),
    ],
)
def test_a_fix_keeps_what_the_command_can_follow(words: list[str], fix: str, expected: str) -> None:
    assert make_followable(fix, ROOT, words) == expected


def test_a_fix_that_only_another_command_can_follow_names_it() -> None:
    found = make_followable("name its plane by --hdu", ROOT, ["submit", "run", "images"])
    homes = {f"`{name}`" for name, options in COMMANDS.items() if "--hdu" in options}
    start, end = "name its plane by --hdu (--hdu of ", "; `submit` has no such option)"
    assert found.startswith(start)
    assert found.endswith(end)
    assert set(found.removeprefix(start).removesuffix(end).split(" and ")) == homes
    assert {"`predict`", "`pack images`"} <= homes


def test_the_command_is_found_behind_its_group() -> None:
    assert find_command(ROOT, ["pack", "images", "pack"]).name == "images"
    assert find_command(ROOT, []) is ROOT
