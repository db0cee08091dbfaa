"""Fixes of errors, as the command that printed them can follow them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

QUOTED = re.compile(r"`[^`]*`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def find_command(root: Any, words: Sequence[str]) -> Any:
    """Return the command that the words of a command line call; root itself where they call none."""
    command = root
    for word in words:
        children = getattr(command, "commands", None)
        if children is None:
            break
        command = children.get(word, command)
    return command


def options_of(command: Any) -> set[str]:
    """Return the long options of a command."""
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("--")}


def make_followable(fix: str, root: Any, words: Sequence[str]) -> str:
    """Return a fix without the alternatives that name options of other commands than the one that was called.

    Readers of images serve several commands, each with some of their options. Where no alternative is left, all stay,
    with the commands that have these options. What stands between backticks is a command of its own.
    """
    command = find_command(root, words)
    own = options_of(command)
    alternatives = fix.split(", or ")
    kept = [one for one in alternatives if set(OPTION.findall(QUOTED.sub("", one))) <= own]
    if kept:
        return ", or ".join(kept)
    foreign = [name for name in dict.fromkeys(OPTION.findall(QUOTED.sub("", fix))) if name not in own]
    places = [f"{name} of {' and '.join(homes)}" for name in foreign if (homes := _homes(root, name))]
    return f"{fix} ({'; '.join(places)}; `{command.name}` has no such option)" if places else fix


def _homes(command: Any, option: str, name: str = "") -> list[str]:
    children = getattr(command, "commands", None)
    if children is None:
        return [f"`{name}`"] if option in options_of(command) else []
    return [home for child in children.values() for home in _homes(child, option, f"{name} {child.name}".strip())]
