"""Keeps the warnings of decoders from the terminal, in many threads at once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_filters: warnings.catch_warnings[None] | None = None


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """Warnings are ignored while any thread is within this context.

    The list of filters belongs to the process: threads that each saved and restored it would leave it changed, so the
    first thread that enters saves it and the last one that leaves restores it.
    """
    global _inside, _filters
    with _lock:
        if not _inside:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.simplefilter("ignore")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and _filters is not None:
                _filters.__exit__(None, None, None)
