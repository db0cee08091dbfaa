"""Unpack gzip and bzip2 in bounded memory: a few bytes may promise more than any computer has."""

from __future__ import annotations

import bz2
import zlib

ALWAYS_BYTES, MOST_TIMES = 1 << 30, 100
"""What may always be unpacked; beyond, so many times the packed size. Real images and tables shrink to a fiftieth at
most, empty ones of up to ALWAYS_BYTES to a thousandth."""

_STEP_BYTES = 1 << 24


class TooLargeError(ValueError):
    """Packed bytes that unpack to far more than any sound file of their size."""


def unpack(data: bytes) -> bytes:
    """Return bytes that may be packed by gzip (also several parts one after another) or bzip2; others as they are.

    Raises TooLargeError, and zlib.error, OSError or EOFError where they are damaged or cut off.
    """
    if data[:2] == b"\x1f\x8b":
        return _unpack(data, lambda: zlib.decompressobj(wbits=31))
    return _unpack(data, bz2.BZ2Decompressor) if data[:3] == b"BZh" else data


def require_sound_size(packed: int, unpacked: int) -> None:
    """Raise TooLargeError for sizes in bytes that no sound file has."""
    if unpacked > max(ALWAYS_BYTES, MOST_TIMES * packed):
        raise TooLargeError(
            f"its {packed:,} bytes unpack to more than {max(ALWAYS_BYTES, MOST_TIMES * packed) / 1e9:,.1f} GB"
        )


def _unpack(data: bytes, new) -> bytes:  # type: ignore[no-untyped-def]
    parts: list[bytes] = []
    size, rest = 0, data
    while rest.rstrip(b"\0"):  # padding of tapes
        unpacker, waiting = new(), rest
        while not unpacker.eof:
            part = unpacker.decompress(waiting, _STEP_BYTES)
            parts.append(part)
            size += len(part)
            require_sound_size(len(data), size)
            waiting = unpacker.unconsumed_tail if hasattr(unpacker, "unconsumed_tail") else b""
            if not part and not waiting and not unpacker.eof:
                raise EOFError("the file is cut off")
        if parts and unpacker.unused_data[:2] != data[:2]:
            break  # what follows is no further part
        rest = unpacker.unused_data
    return b"".join(parts)
