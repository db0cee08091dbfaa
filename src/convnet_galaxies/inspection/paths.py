"""Where the table of grades of a source is, and whether a file is one; without any heavy library."""

from __future__ import annotations

import os
from pathlib import Path

APPLICATION = 0x636E6767
"""Marks a SQLite file as a table of grades."""


def default_database(source: str | os.PathLike[str]) -> Path:
    """Return the table of grades of a source: beside it, with its name."""
    path = Path(source).absolute()
    return path.with_name(f"{path.name}.grades.sqlite")


def is_grade_book(path: Path) -> bool:
    """Return whether path is a table of grades, of any version."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return head.startswith(b"SQLite format 3\0") and int.from_bytes(head[68:72]) == APPLICATION
