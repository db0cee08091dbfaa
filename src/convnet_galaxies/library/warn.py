"""Remarks on images as Python warnings, which a notebook shows below its cell."""

from __future__ import annotations

import warnings
from collections.abc import Iterable


class InputWarning(UserWarning):
    """Warning about images that can be used, but with care."""


def warn_of(texts: Iterable[str]) -> None:
    """Issue an InputWarning per text, for the caller of the function that calls this one."""
    for text in texts:
        warnings.warn(text, InputWarning, stacklevel=3)
