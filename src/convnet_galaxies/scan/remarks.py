"""Remarks on images (data/input_notes.py) as JSON, since each shard has its own and the scan tells them together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from convnet_galaxies.data.input_notes import InputNotes
from convnet_galaxies.data.listing import MOST_NAMED

MOST_LEFT_OUT = 5
"""Images left out of a shard that are named; the rest is counted."""


def to_remarks(notes: InputNotes, left_out: list[str]) -> dict[str, Any]:
    """Return notes on the images of a shard as a dict that JSON holds."""
    return {
        "images": notes.images,
        "largest_masked": notes.largest_masked,
        "counts": [[*key, count, notes.names[key]] for key, count in notes.counts.items()],
        "left_out": left_out[:MOST_LEFT_OUT],
        "n_left_out": len(left_out),
    }


def join_remarks(parts: Iterable[dict[str, Any]], notes: InputNotes) -> tuple[InputNotes, list[str], int]:
    """Add the remarks of all shards to notes; return these, texts on images left out, and how many there are."""
    texts: list[str] = []
    number = 0
    for part in parts:
        notes.images += part["images"]
        notes.largest_masked = max(notes.largest_masked, part["largest_masked"])
        for kind, text, count, names in part["counts"]:
            key = kind, text
            notes.counts[key] = notes.counts.get(key, 0) + count
            known = notes.names.setdefault(key, [])
            known += names[: MOST_NAMED - len(known)]
        texts += part["left_out"][: MOST_LEFT_OUT - len(texts)]
        number += part["n_left_out"]
    return notes, texts, number
