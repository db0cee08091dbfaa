"""Values of single cards of FITS headers, whatever they were written as."""

from __future__ import annotations

import math

from astropy.io.fits import Header


def text_of(header: Header, key: str) -> str:
    """The text of a card, or an empty one where it is absent or holds something else."""
    value = header.get(key)
    return value.strip() if isinstance(value, str) else ""


def number_of(header: Header, key: str, *, or_text: bool = False) -> float | None:
    """The finite number of a card, or None without one. or_text: also one that is written as a text."""
    value = header.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str if or_text else int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
