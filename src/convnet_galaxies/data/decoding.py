"""Decodes many image files in parallel threads into one array file; only a few batches are in memory at a time.

Threads, because the decoders of pictures leave Python's lock while they work; processes for many FITS images, whose
many short steps hold it. Written piece by piece rather than through a memory
map, because a map on a full disk kills the program instead of raising an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import current_process
from pathlib import Path

import numpy as np

from convnet_galaxies.data.fits_image import FITS_ENDINGS
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ImageInfo, ReadOptions
from convnet_galaxies.errors import BadImageError, InputError, require_handles
from convnet_galaxies.workers import RunInWorkers, map_in_order, worker_pool

BATCH_BYTES = 2_000_000
"""Decoded bytes that one task of one worker makes."""

FITS_FOR_PROCESSES = 512
"""From so many FITS images on processes are started, which takes as long as reading about a hundred of them."""

_FITS_BATCH = 16


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
    """Yield, batch by batch and in order: row numbers (int [m]), pixels (uint8 [m, h, w, bands]), failures.

    The failures are texts that name the images left out of the batch and the reasons; without skip_bad the first one
    is raised as BadImageError. workers: threads, or processes for many FITS images (their batches are the same); None
    takes one for each processor this process may use.
    infos: gets what each image was before, by row number.
    """
    workers = workers or count_processors()
    image_bytes = preprocess.size_px**2 * preprocess.bands
    fits_images = sum(file.name.lower().endswith(FITS_ENDINGS) for file in files)
    batch = batch or max(1, min(_FITS_BATCH if fits_images else 64, BATCH_BYTES // image_bytes))
    tasks = ((start, files[start : start + batch]) for start in range(0, len(files), batch))
    decode = partial(_decode_rows, preprocess, reading, stop_at_first=not skip_bad)
    with _start_pool(workers, processes=fits_images >= FITS_FOR_PROCESSES) as run:
        for rows, pixels, found, failures in run(decode, tasks):
            if failures and not skip_bad:
                raise failures[0]
            if infos is not None:
                infos.update(zip(rows.tolist(), found, strict=True))
            yield rows, pixels, [failure.message for failure in failures]
            del pixels  # else it would lie in memory until the next batch is there


@contextmanager
def _start_pool(workers: int, *, processes: bool) -> Iterator[RunInWorkers]:
    ahead = 2 * workers + 1
    if processes and workers > 1 and not current_process().daemon:  # a daemon may have no processes of its own
        with worker_pool(workers, modules=[__name__], ahead=ahead) as run:
            yield run
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        yield partial(map_in_order, pool, ahead)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def count_processors() -> int:
    """Return processors that this process may use (a job on a cluster often has fewer than the machine)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decode_to_npy(
    files: Sequence[ImageFile],
    preprocess: Preprocess,
    path: Path,
    *,
    skip_bad: bool = False,
    workers: int | None = None,
    reading: ReadOptions | None = None,
    on_batch: Callable[[np.ndarray, np.ndarray, list[ImageInfo]], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Decode files into a .npy file, uint8 [m, size_px, size_px, bands].

    on_batch: called with the row numbers, pixels and infos of each batch.
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
            if on_batch is not None:
                on_batch(rows, pixels, found)
            done += len(rows) + len(failed)
            del pixels
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
    preprocess: Preprocess, reading: ReadOptions | None, task: tuple[int, Sequence[ImageFile]], *, stop_at_first: bool
) -> tuple[np.ndarray, np.ndarray, list[ImageInfo], list[BadImageError]]:
    """Return the kept row numbers, their pixels and infos, and the failures; task: the first row number and the
    files."""
    first, files = task
    pixels = preprocess.new_array(len(files))
    kept: list[int] = []
    infos: list[ImageInfo] = []
    failures: list[BadImageError] = []
    for row, file in enumerate(files, first):
        try:
            pixels[len(kept)], info = preprocess.decode_file(file, reading)
        except BadImageError as error:
            require_handles(error)
            failures.append(error)
            if stop_at_first:
                break
            continue
        kept.append(row)
        infos.append(info)
    return np.array(kept, dtype=int), pixels[: len(kept)], infos, failures


def _write_header(out, n: int, shape: tuple[int, ...]) -> int:  # type: ignore[no-untyped-def]
    """Numpy pads the header so that the first axis may grow in place; here it may shrink."""
    description = {"descr": "|u1", "fortran_order": False, "shape": (n, *shape)}
    np.lib.format.write_array_header_1_0(out, description)
    return out.tell()
