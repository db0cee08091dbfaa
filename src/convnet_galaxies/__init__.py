"""Convolutional neural networks for astronomers who study images of galaxies.

Every name of ``__all__`` is loaded when it is first used, so that ``import convnet_galaxies`` stays fast::

    import convnet_galaxies as cg

    lens = cg.load("builtin:lens")
    table = lens.predict("cutouts/", pixel_scale_arcsec=0.262)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "read_galaxy_zoo": "data.galaxy_zoo",
    "read_space_warps": "data.space_warps",
    "read_images": "library.images",
    "read_table": "data.tables",
    "pack": "library.images",
    "read_pack": "data.pack",
    "show_images": "library.images",
    "apply_grades": "library.images",
    "Records": "data.records",
    "ImageSet": "data.records",
    "train": "library.training",
    "ensemble": "library.training",
    "Settings": "settings",
    "load_settings": "settings",
    "load": "library.run",
    "Run": "library.run",
    "estimate_lenses": "library.unknown",
    "report": "library.run",
    "scan_survey": "library.scanning",
    "open_scan": "library.scanning",
    "read_zooniverse": "library.zooniverse",
    "simulate_galaxy_zoo": "simulate.galaxy_zoo",
    "simulate_space_warps": "simulate.space_warps",
    "InputError": "errors",
    "InputWarning": "library.warn",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
