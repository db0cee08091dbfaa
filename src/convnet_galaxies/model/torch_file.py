"""Files that torch saved: tensors, numbers and names in containers, read so that no code of theirs runs."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from convnet_galaxies.errors import InputError


def read_torch_file(path: Path, what: str, fix: str, *, check: bool = False) -> Any:
    """Return what a file of torch.save holds, on the CPU. Raises InputError for a damaged file and for other objects.

    what: it should be, as a noun. fix: what the user can do then. check: compare its parts with the checksums that
    torch stored, but does not look at; files from elsewhere may have none that hold.
    """
    try:
        if check:
            _require_checksums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes reach many layers of its unpickler, each of which raises its own errors
        if isinstance(error, MemoryError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as {what} ({reason})", fix) from None


def _require_checksums(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if (broken := archive.testzip()) is not None:
            raise ValueError(f"{broken} does not match its checksum")
