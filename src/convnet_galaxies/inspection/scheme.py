"""The scheme of grades and the keys of the page; a TOML file may change both."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, require_path

Keys = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=20)], ...], Field(min_length=1)]
Label = Annotated[str, Field(min_length=1, max_length=30)]

COMMANDS = {
    "undo": ("take back the last grade", ("u",)),
    "pick": ("pick or unpick", (" ",)),
    "open": ("look at it alone, or back to the mosaic", ("Enter",)),
    "next": ("next image", ("ArrowRight",)),
    "previous": ("previous image", ("ArrowLeft",)),
    "down": ("image below (mosaic)", ("ArrowDown",)),
    "up": ("image above (mosaic)", ("ArrowUp",)),
    "next_page": ("next page; this one counts as seen", ("PageDown", "n")),
    "previous_page": ("page before", ("PageUp", "p")),
    "stretch": ("next stretch", ("v",)),
    "brighter": ("more contrast", ("+", "=")),
    "darker": ("less contrast", ("-",)),
    "band": ("next single band, then all", ("b",)),
    "smooth": ("smooth or square pixels", ("i",)),
    "wider": ("larger field", ("l",)),
    "map": ("what the network's answer rests on", ("m",)),
    "note": ("write a note", ("t",)),
    "help": ("all keys", ("?",)),
}
"""Commands of the page, what they do, and their keys as browsers name them."""


class GradeChoice(BaseModel):
    """One grade. value: 0 (no lens) to 3 (certain lens)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Label
    value: Annotated[float, Field(ge=0, le=3)]
    meaning: Annotated[str, Field(max_length=60)] = ""
    keys: Keys


class KindChoice(BaseModel):
    """What an image shows if no lens; its key gives the lowest grade as well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Label
    keys: Keys


class Scheme(BaseModel):
    """Grades, kinds and keys. commands: keys by the names of COMMANDS; those that are left out keep theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grades: Annotated[tuple[GradeChoice, ...], Field(min_length=2, max_length=10)] = (
        GradeChoice(label="A", value=3, meaning="certain lens", keys=("1", "q")),
        GradeChoice(label="B", value=2, meaning="likely lens", keys=("2", "w")),
        GradeChoice(label="C", value=1, meaning="possible lens", keys=("3", "e")),
        GradeChoice(label="X", value=0, meaning="no lens", keys=("4", "r")),
    )
    kinds: Annotated[tuple[KindChoice, ...], Field(max_length=20)] = (
        KindChoice(label="ring", keys=("a",)),
        KindChoice(label="spiral", keys=("s",)),
        KindChoice(label="merger", keys=("d",)),
        KindChoice(label="edge-on", keys=("f",)),
        KindChoice(label="star", keys=("g",)),
        KindChoice(label="artefact", keys=("h",)),
    )
    commands: dict[str, Keys] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keys_differ(self) -> Scheme:
        unknown = sorted(set(self.commands) - set(COMMANDS))
        if unknown:
            raise ValueError(f"found the command {unknown[0]!r}, expected one of {', '.join(COMMANDS)}")
        labels = [*(one.label for one in self.grades), *(one.label for one in self.kinds)]
        for what, names in (("label", labels), ("key", self.every_key())):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise ValueError(f"found the {what} {twice[0]!r} more than once, expected each once")
        if not self.lowest.value < max(one.value for one in self.grades):
            raise ValueError("found grades of one value, expected at least two")
        return self

    @property
    def lowest(self) -> GradeChoice:
        """The grade that a kind stands for."""
        return min(self.grades, key=lambda one: one.value)

    def keys_of(self, command: str) -> tuple[str, ...]:
        """Return the keys of a command."""
        return self.commands.get(command, COMMANDS[command][1])

    def every_key(self) -> list[str]:
        """Return all keys, letters in lower case."""
        keys = [key for one in self.grades for key in one.keys] + [key for one in self.kinds for key in one.keys]
        keys += [key for command in COMMANDS for key in self.keys_of(command)]
        return [key.lower() if len(key) == 1 else key for key in keys]

    def as_page(self) -> dict[str, Any]:
        """Return what the page needs."""
        commands = [{"name": name, "text": text, "keys": self.keys_of(name)} for name, (text, _) in COMMANDS.items()]
        return {**self.model_dump(mode="json", include={"grades", "kinds"}), "commands": commands}


def read_scheme(path: StrPath | None) -> Scheme:
    """Read a scheme from a TOML file; None gives the one that ships.

    Raises InputError for a file that is no TOML, unknown names, values outside 0 to 3, and keys or labels given twice.
    """
    if path is None:
        return Scheme()
    require_path(Path(path))
    try:
        return Scheme.model_validate(tomllib.loads(Path(path).read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: is no TOML file ({error})", "see docs/using.md for an example") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the scheme"
        raise InputError(f"{path}, {place}: {first['msg']}", "see docs/using.md for an example") from None
