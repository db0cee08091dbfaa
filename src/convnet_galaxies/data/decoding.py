"""Decodes many image files in parallel threads into one array file; only a few batches are in memory at a time.

Threads, because the decoders leave Python's lock while they work; written piece by piece rather than through a memory
map, because a map on a full disk kills the program instead of raising an error.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ImageInfo, ReadOptions
from convnet_galaxies.errors import BadImageError, InputError

BATCH_BYTES = 2_000_000
"""Decoded bytes that one task of one thread makes."""


def decode_batches(
    files: Sequence[ImageFile],
    preprocess: Preprocess,
    *,
    skip_bad: bool = False,
    workers: int | None = None,
    batch: int | None = None,
    reading: ReadOptions | None = None,
    infos: dict[int, ImageInfo] | None = None,
) -> Generator[tuple[np.ndarray, np.ndarray, list[str]]]:
    """Yields, batch by batch and in order: row numbers (int [m]), pixels (uint8 [m, h, w, bands]), failures.

    The failures are texts that say which images of the batch were left out and why; without skip_bad the first one
    is raised as BadImageError. workers: threads; None takes one for each processor this process may use.
    infos: gets what each image was before, by row number.
    """
    workers = workers or count_processors()
    image_bytes = preprocess.size_px**2 * preprocess.bands
    batch = batch or max(1, min(64, BATCH_BYTES // image_bytes))
    starts = iter(range(0, len(files), batch))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: deque[Future[tuple[np.ndarray, np.ndarray, list[BadImageError]]]] = deque()

    def send() -> None:
        start = next(starts, None)
        if start is not None:
            rows = range(start, min(start + batch, len(files)))
            task = pool.submit(_decode_rows, files, rows, preprocess, reading, infos, stop_at_first=not skip_bad)
            waiting.append(task)

    try:
        for _ in range(2 * workers):
            send()
        while waiting:
            rows, pixels, failures = waiting.popleft().result()
            if failures and not skip_bad:
                raise failures[0]
            send()
            yield rows, pixels, [failure.message for failure in failures]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def count_processors() -> int:
    """Processors that this process may use (a job on a cluster often has fewer than the machine)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decode_to_npy(
    files: Sequence[ImageFile],
    preprocess: Preprocess,
    path: Path,
    *,
    skip_bad: bool = False,
    workers: int | None = None,
    reading: ReadOptions | None = None,
    look: Callable[[np.ndarray, np.ndarray, list[ImageInfo]], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Decode files into a .npy file, uint8 [m, size_px, size_px, bands].

    look: called with the row numbers, pixels and infos of each batch.
    Returns the row numbers that were kept (int [m]) and the failures (see decode_batches). Raises InputError when no
    image could be decoded.
    """
    shape = (preprocess.size_px, preprocess.size_px, preprocess.bands)
    kept: list[np.ndarray] = []
    failures: list[str] = []
    infos: dict[int, ImageInfo] = {}
    done = 0
    with path.open("wb") as out:
        header_bytes = _write_header(out, len(files), shape)
        for rows, pixels, failed in decode_batches(
            files, preprocess, skip_bad=skip_bad, workers=workers, reading=reading, infos=infos
        ):
            out.write(pixels.data)
            kept.append(rows)
            failures += failed
            found = [infos.pop(row) for row in rows.tolist()]
            if look is not None:
                look(rows, pixels, found)
            done += len(rows) + len(failed)
            if progress is not None:
                progress(done, len(files))
        rows = np.concatenate(kept) if kept else np.empty(0, int)
        if not len(rows):
            raise InputError(
                f"none of {len(files):,} images can be decoded; the first: {failures[0] if failures else 'nothing'}",
                "check the images and the number of bands",
            )
        out.seek(0)
        if _write_header(out, len(rows), shape) != header_bytes:
            raise RuntimeError("the header of the array changed its length")
    return rows, failures


def _decode_rows(
    files: Sequence[ImageFile],
    rows: range,
    preprocess: Preprocess,
    reading: ReadOptions | None,
    infos: dict[int, ImageInfo] | None,
    *,
    stop_at_first: bool,
) -> tuple[np.ndarray, np.ndarray, list[BadImageError]]:
    pixels = preprocess.new_array(len(rows))
    kept: list[int] = []
    failures: list[BadImageError] = []
    for row in rows:
        file = files[row]
        try:
            pixels[len(kept)], info = preprocess.decode_file(file, reading)
        except BadImageError as error:
            failures.append(error)
            if stop_at_first:
                break
            continue
        kept.append(row)
        if infos is not None:
            infos[row] = info
    return np.array(kept, dtype=int), pixels[: len(kept)], failures


def _write_header(out, n: int, shape: tuple[int, ...]) -> int:  # type: ignore[no-untyped-def]
    """Numpy pads the header so that the first axis may grow in place; here it may shrink."""
    description = {"descr": "|u1", "fortran_order": False, "shape": (n, *shape)}
    np.lib.format.write_array_header_1_0(out, description)
    return out.tell()
