"""Hashes of the files of a pack, by which damage is found that leaves every file readable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

NAME = "sha256"
"""Key of the hashes in the description of a pack."""


def hash_files(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the SHA-256 of each file, in hexadecimal digits."""
    found = {}
    for name in names:
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def find_damage(folder: Path, description: Mapping[str, object]) -> tuple[list[str], int]:
    """Return a sentence for each file whose content is not that which was packed, and how many files were compared.

    Packs of before have no hashes: nothing is compared.
    """
    expected = description.get(NAME)
    if not isinstance(expected, dict):
        return [], 0
    names = tuple(name for name in expected if (folder / name).is_file())
    found = hash_files(folder, names)
    faults = [f"{name}: is missing" for name in expected if name not in found]
    faults += [
        f"{name}: found the SHA-256 {found[name][:16]}..., expected {str(expected[name])[:16]}...: it was changed"
        for name in names
        if found[name] != expected[name]
    ]
    return faults, len(names)
