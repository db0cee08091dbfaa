"""Libraries that the package needs for some of its commands only, by the extra that installs them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from convnet_galaxies.errors import InputError


def require_extra(what: str, extra: str, libraries: Sequence[str]) -> None:
    """Raise InputError unless all libraries are installed; imports none, so that the answer is immediate.

    what: needs them, for the message.
    """
    absent = [name for name in libraries if find_spec(name) is None]
    if absent:
        raise missing_extra(what, extra, absent)


def missing_extra(what: str, extra: str, absent: Sequence[str]) -> InputError:
    """Return the error that names absent libraries and how to install them."""
    return InputError(
        f"{what}: found no {', no '.join(absent)}, expected the libraries of the extra '{extra}'",
        f"pip install 'convnet-galaxies[{extra}]' (in a clone of the project: pip install '.[{extra}]')",
    )
