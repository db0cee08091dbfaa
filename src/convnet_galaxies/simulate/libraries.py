"""GalSim and caustics, which only simulation needs and the extra ``simulate`` installs; nothing else imports them.

GalSim: Rowe et al. 2015, arXiv:1407.7676. caustics: Stone et al. 2024, JOSS 9, 7081.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from convnet_galaxies.errors import InputError
from convnet_galaxies.extras import missing_extra

NAMES = {"galsim": "GalSim", "caustics": "caustics"}


def require_libraries() -> None:
    """Raise InputError unless both libraries are installed; imports neither, so that the answer is immediate."""
    for module in NAMES:
        if find_spec(module) is None:
            raise _missing(module)


def load_galsim() -> ModuleType:
    """Return the module galsim. Raises InputError when it is not installed."""
    return _load("galsim", "galsim")


def load_caustics() -> ModuleType:
    """Return caustics' functional interface to deflection angles. Raises InputError when it is not installed."""
    return _load("caustics.lenses.func", "caustics")


@cache
def _load(name: str, library: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or library).partition(".")[0] != library:  # installed, but something that it needs is not
            raise
        raise _missing(library) from error


def _missing(module: str) -> InputError:
    return missing_extra("simulation", "simulate", [NAMES[module]])
