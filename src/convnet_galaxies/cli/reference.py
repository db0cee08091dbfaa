"""Generate docs/commands.md from the commands themselves; a check fails if it is out of date.

``python -m convnet_galaxies.cli.reference docs/commands.md`` writes it, ``--check`` compares it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

import typer

from convnet_galaxies.cli import app
from convnet_galaxies.library.reference import write_or_check
from convnet_galaxies.settings import Settings, SettingsSection, write_settings

COMMANDS_HEAD = """# Commands

Made from the program's own help; do not edit (`make docs` writes it).

Results go to standard output, progress and remarks to standard error. Exit codes: 0 done, 1 input at fault, 2 wrong
usage, 130 stopped by Ctrl-C. A run is a folder that `train` wrote, or `builtin:NAME`.
"""


def write_reference() -> str:
    """Return the whole page as Markdown."""
    root = typer.main.get_command(app)
    sections = [
        section for name, command in list_commands(root, "convnet-galaxies") for section in _describe(name, command)
    ]
    return "\n".join([COMMANDS_HEAD, *sections, *_describe_settings()]).rstrip() + "\n"


def list_commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the full name and the command of every command below one, without the hidden ones."""
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child in children.values():
        if not child.hidden:
            yield from list_commands(child, f"{name} {child.name}")


def _describe(name: str, command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join(_argument(p) for p in arguments)
    yield f"## `{name} {usage}`\n"
    yield command.help.strip() + "\n"
    rows = [(f"`{_argument(p)}`", p.help or "", "") for p in arguments]
    rows += [(", ".join(f"`{opt}`" for opt in p.opts), p.help or "", _default(p)) for p in options]
    yield "| | | default |\n| --- | --- | --- |"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def _describe_settings() -> Iterator[str]:
    yield "## Settings\n"
    yield f"{inspect.getdoc(Settings)}\n\nThe defaults:\n\n```toml\n{write_settings(Settings())}```\n"
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, SettingsSection):
            first, _, rest = str(inspect.getdoc(field.annotation)).partition("\n\n")
            yield f"### `[{name}]`\n\n{first}\n"
            entries = re.sub(r"\n(?![a-z_, ]+: )", " ", rest)  # one line per entry
            yield "\n".join(f"- {line.strip()}" for line in entries.splitlines() if line.strip()) + "\n"


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper() + ("..." if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if value is None or value is False or value == [] or value == () or callable(value):
        return ""
    return f"`{getattr(value, 'value', value)}`"


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], write_reference))
