"""The libraries of the extra ``inspect``, without which neither the page nor its results can be had."""

from __future__ import annotations

from importlib.util import find_spec

from convnet_galaxies.errors import InputError

NAMES = ("fastapi", "uvicorn", "krippendorff")


def require_libraries() -> None:
    """Raise InputError unless all are installed; imports none, so that the answer is immediate."""
    absent = [name for name in NAMES if find_spec(name) is None]
    if absent:
        raise InputError(
            f"inspect: found no {', no '.join(absent)}, expected the libraries of the extra 'inspect'",
            "pip install 'convnet-galaxies[inspect]' (in a clone of the project: pip install '.[inspect]')",
        )
