"""Generate docs/api.md from the docstrings of ``convnet_galaxies``; a check fails if it is out of date.

``python -m convnet_galaxies.library.reference docs/api.md`` writes it, ``--check`` compares it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import convnet_galaxies

LIBRARY_HEAD = """# The library

Made from the docstrings; do not edit (`make docs` writes it). `import convnet_galaxies as cg` offers every name below,
and loads it when it is first used. Every path is text or a `pathlib.Path`. [tutorial.ipynb](tutorial.ipynb) shows the
library at work.
"""

_ENTRY = re.compile(r"^[a-z_0-9]+(, [a-z_0-9]+)*: ")


def write_api() -> str:
    """Return the whole page as Markdown."""
    names = [name for name in convnet_galaxies.__all__ if not name.startswith("_")]
    sections = [line for name in names for line in _describe(f"cg.{name}", getattr(convnet_galaxies, name), "##")]
    return "\n".join([LIBRARY_HEAD, *sections]).rstrip() + "\n"


def write_or_check(arguments: Sequence[str], write: Callable[[], str]) -> int:
    """Write a page to the path among the arguments, or compare it when they hold ``--check``; return the exit code."""
    (path,) = (Path(argument) for argument in arguments if argument != "--check")
    text = write()
    if "--check" not in arguments:
        path.write_text(text, "utf-8")
    elif not path.is_file() or path.read_text("utf-8") != text:
        sys.stderr.write(f"{path} is out of date; run `make docs`\n")
        return 1
    return 0


def _describe(name: str, thing: Any, heading: str) -> Iterator[str]:
    is_class = inspect.isclass(thing)
    signature = "" if is_class or isinstance(thing, property) else _signature(thing)
    yield f"{heading} `{name}{signature}`\n"
    yield from _prose(inspect.getdoc(thing) or "")
    if is_class and thing.__module__.startswith(convnet_galaxies.__name__) and not issubclass(thing, Exception):
        for member, value in vars(thing).items():
            if member.startswith("_") or not (inspect.isfunction(value) or isinstance(value, property)):
                continue
            yield from _describe(f"{thing.__name__}.{member}", value, "###")


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    kept = [one for one in signature.parameters.values() if one.name != "self"]
    return str(signature.replace(parameters=kept)).replace("'", "")


def _prose(text: str) -> Iterator[str]:
    """Paragraphs, and a list where lines begin with a name and a colon."""
    for block in text.split("\n\n"):
        in_list = False
        lines: list[str] = []
        for line in block.splitlines():
            if _ENTRY.match(line):
                if not in_list and lines:
                    lines.append("")
                in_list = True
                name, _, rest = line.partition(": ")
                lines.append(f"- `{name}`: {rest}")
            elif in_list and line.startswith(" "):
                lines.append(f"  {line.strip()}")
            else:
                if in_list:
                    lines.append("")
                in_list = False
                lines.append(line)
        yield "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], write_api))
