"""Results as JSON: dataclasses, paths and arrays as what JSON knows."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from convnet_galaxies.data.output import new_file


def as_plain(result: Any) -> Any:
    """Dataclasses, paths, arrays and tuples as what JSON knows; what is not finite becomes null."""
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {field.name: as_plain(getattr(result, field.name)) for field in dataclasses.fields(result)}
    if isinstance(result, dict):
        return {str(key): as_plain(value) for key, value in result.items()}
    if isinstance(result, list | tuple):
        return [as_plain(value) for value in result]
    if isinstance(result, Path):
        return str(result)
    if hasattr(result, "tolist"):  # numpy arrays and scalars
        return as_plain(result.tolist())
    if isinstance(result, float) and result - result != 0:
        return None
    return result


def write_json(path: Path, result: Any, *, force: bool = False) -> None:
    """Write a dataclass, dict or list as JSON, whole or not at all. Raises OutputExistsError unless force."""
    text = json.dumps(as_plain(result), indent=2, ensure_ascii=False, allow_nan=False)
    with new_file(path, force=force) as temporary:
        temporary.write_text(text + "\n", "utf-8")
