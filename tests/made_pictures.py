"""Pictures made by hand, of kinds that Pillow does not write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, and steps of both of each pass of an interlaced PNG."""


def encode(pixels: np.ndarray | Image.Image, form: str, **options) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    image.save(out, form, **options)
    return out.getvalue()


def png16(values: np.ndarray, *, interlaced: bool = False, size: tuple[int, int] | None = None) -> bytes:
    """uint16 [h, w, 1 to 4] as grey, grey and alpha, RGB, RGBA; size: (w, h) that the header claims."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(
        b"\0" + row.astype(">u2").tobytes() for y, x, dy, dx in passes for row in values[y::dy, x::dx] if row.size
    )
    w, h = size or (values.shape[1], values.shape[0])
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2]]
    head = struct.pack(">IIBBBBB", w, h, 16, kind, 0, 0, int(interlaced))
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def tiff(
    *pages: np.ndarray,
    order: str = "<",
    photometric: int | None = None,
    separate: bool = False,
    deflate: bool = False,
    predictor: bool = False,
    tags: dict[int, int] | None = None,
    kinds: tuple[int, ...] = (),
) -> bytes:
    """Numbers [h, w, bands] of any kind as a TIFF file of one strip, or one a band, in each page.

    predictor: differences along the rows. tags: more of them, of one number each. kinds: NewSubfileType of each page.
    """
    out = bytearray({"<": b"II*\0", ">": b"MM\0*"}[order] + b"\0\0\0\0")
    link = 4
    for number, values in enumerate(pages):
        h, w, bands = values.shape
        if predictor:
            values = np.diff(values, axis=1, prepend=np.zeros((h, 1, bands), values.dtype))
        stored = values.astype(values.dtype.newbyteorder(order))
        strips = [stored[..., band] for band in range(bands)] if separate else [stored]
        packed = [zlib.compress(strip.tobytes()) if deflate else strip.tobytes() for strip in strips]
        offsets = []
        for data in packed:
            offsets.append(len(out))
            out += data + b"\0" * (len(data) % 2)
        form = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
        entries: dict[int, list[int]] = {
            254: [kinds[number] if kinds else 0],
            256: [w],
            257: [h],
            258: [8 * values.dtype.itemsize] * bands,
            259: [8 if deflate else 1],
            262: [photometric if photometric is not None else 2 if bands >= 3 else 1],
            273: offsets,
            277: [bands],
            278: [h],
            279: [len(data) for data in packed],
            284: [2 if separate else 1],
            317: [2 if predictor else 1],
            339: [form] * bands,
            **{tag: [value] for tag, value in (tags or {}).items()},
        }
        blobs = dict(_place_long_values(out, entries, order))
        struct.pack_into(f"{order}I", out, link, len(out))
        out += struct.pack(f"{order}H", len(entries))
        for tag, found in sorted(entries.items()):
            field = struct.pack(f"{order}I", blobs[tag] if tag in blobs else found[0])
            out += struct.pack(f"{order}HHI", tag, 4, len(found)) + field
        link = len(out)
        out += b"\0\0\0\0"
    return bytes(out)


def _place_long_values(out: bytearray, entries: dict[int, list[int]], order: str) -> Iterator[tuple[int, int]]:
    for tag, found in entries.items():
        if len(found) > 1:
            yield tag, len(out)
            out += struct.pack(f"{order}{len(found)}I", *found)
