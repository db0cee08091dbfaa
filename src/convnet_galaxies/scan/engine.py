"""Predict shards: read ahead in a thread, batches across shards, results in order.

Every batch that the network gets has the same number of images, the last one filled up with black ones. Kernels of
matrix products depend on the shape, so that a batch of another size rounds otherwise; in one of the same shape an image
gets the same bytes whatever stands beside it (tests/scan/test_engine.py). Therefore it does not matter which shards
share a batch, nor on how many machines a scan runs, as long as device and precision are the same.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies.data.input_notes import InputNotes
from convnet_galaxies.errors import GalaxyError, require_handles
from convnet_galaxies.predict.familiarity import STRANGE
from convnet_galaxies.predict.predictions import to_table
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.remarks import to_remarks
from convnet_galaxies.scan.shards import Piece, Reader, Shard, ShardResult

AHEAD = 3
"""Pieces that are read before the network is ready for them; bounds the memory."""

SWITCH_S = 0.0005
"""After this time a thread that computes in Python lets another one go on. The network waits for it before each of its
kernels, and with the usual 5 ms it is slowed down by a quarter (docs/experiments.md)."""

Event = tuple[Shard, Piece | Exception | None]
"""A piece of a shard, what went wrong with it, or its end (None)."""


def predict_shards(reader: Reader, shards: Iterable[Shard], predictor: Predictor) -> Generator[ShardResult]:
    """Yield the results of shards, in order; one that fails has an error, and the others go on."""
    with closing(_read_ahead(reader, shards)) as events:
        yield from _predict(events, predictor)


@dataclass(eq=False)
class _Open:
    """A shard that is being predicted: its pieces, and the answers so far, each (tasks, familiarity)."""

    shard: Shard
    notes: InputNotes
    pieces: list[Piece] = field(default_factory=list)
    answers: list[tuple[dict[str, np.ndarray], np.ndarray | None]] = field(default_factory=list)
    images: int = 0
    answered: int = 0
    is_read: bool = False
    error: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def is_finished(self) -> bool:
        return bool(self.error) or (self.is_read and self.answered == self.images)


class _Batches:
    """Collects images into full batches, and gives the answers back to their shards."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.pixels = np.zeros((0,), np.uint8)
        self.owners: list[tuple[_Open, int]] = []
        self.filled = 0

    def add(self, owner: _Open, pixels: np.ndarray) -> None:
        if not self.pixels.size:
            self.pixels = np.zeros((self.predictor.batch, *pixels.shape[1:]), np.uint8)
        while len(pixels):
            taken = min(len(pixels), len(self.pixels) - self.filled)
            self.pixels[self.filled : self.filled + taken] = pixels[:taken]
            self.owners.append((owner, taken))
            self.filled += taken
            pixels = pixels[taken:]
            if self.filled == len(self.pixels):
                self.predict()

    def predict(self) -> None:
        if not self.filled:
            return
        self.pixels[self.filled :] = 0
        answer = self.predictor.predict_all(self.pixels)
        start = 0
        for owner, number in self.owners:
            part = slice(start, start + number)
            known = None if answer.familiarity is None else answer.familiarity[part]
            owner.answers.append(({task: values[part] for task, values in answer.tasks.items()}, known))
            owner.answered += number
            start += number
        self.owners, self.filled = [], 0


def _predict(events: Iterable[Event], predictor: Predictor) -> Generator[ShardResult]:
    batches = _Batches(predictor)
    waiting: deque[_Open] = deque()
    for shard, event in events:
        if not waiting or waiting[-1].shard is not shard:
            waiting.append(_Open(shard, InputNotes(predictor.window_px, STRANGE)))
        last = waiting[-1]
        if isinstance(event, Piece):
            last.pieces.append(event)
            last.images += len(event.pixels)
            batches.add(last, event.pixels)
            event = last.pieces[-1] = _without_pixels(event, last.notes)
        elif event is None:
            last.is_read = True
        else:
            last.error = _describe(event)
        while waiting and waiting[0].is_finished:
            yield _result(waiting.popleft(), predictor)
    batches.predict()
    for one in waiting:
        yield _result(one, predictor)


def _without_pixels(piece: Piece, notes: InputNotes) -> Piece:
    """The piece without its pixels, of which the notes are taken now; familiarity is noted when it is known."""
    notes.add(piece.before["id"].tolist(), piece.pixels, piece.infos)
    return Piece(np.empty((0,), np.uint8), piece.before, piece.after, (), piece.left_out)


def _result(one: _Open, predictor: Predictor) -> ShardResult:
    seconds = time.monotonic() - one.started
    shard = one.shard
    if one.error:
        return ShardResult(shard.number, shard.name, None, one.error, seconds)
    left_out = [text for piece in one.pieces for text in piece.left_out]
    before = pd.concat([piece.before for piece in one.pieces], ignore_index=True) if one.pieces else pd.DataFrame()
    if not len(before):
        return ShardResult(shard.number, shard.name, before, "", seconds, to_remarks(one.notes, left_out))
    after = pd.concat([piece.after for piece in one.pieces], ignore_index=True)
    tasks = {task: np.concatenate([part[task] for part, _ in one.answers]) for task in predictor.classes}
    familiarity = None
    if one.answers[0][1] is not None:
        familiarity = np.concatenate([known for _, known in one.answers if known is not None])
        one.notes.add_familiarity(before["id"].tolist(), familiarity)
    answers = to_table(before["id"].tolist(), tasks, predictor.classes, familiarity).drop(columns="id")
    table = pd.concat([before, answers, after], axis=1)
    return ShardResult(shard.number, shard.name, table, "", seconds, to_remarks(one.notes, left_out))


def _describe(error: Exception) -> str:
    """The message of an error meant for users; the traceback of another, which would be a bug of ours."""
    if isinstance(error, GalaxyError):
        return error.message
    if isinstance(error, OSError):
        return str(error)
    return "".join(traceback.format_exception(error)).strip()


def _read_ahead(reader: Reader, shards: Iterable[Shard]) -> Generator[Event]:
    """Yield what a thread reads of the shards, at most AHEAD pieces before they are taken."""
    ready: queue.Queue[Event | BaseException | None] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def put(event: Any) -> None:
        while not stopped.is_set():
            try:
                ready.put(event, timeout=0.1)
                return
            except queue.Full:
                pass

    def read() -> None:
        try:
            for shard in shards:
                for event in _read_one(reader, shard):
                    put((shard, event))
                    if stopped.is_set():
                        return
            put(None)
        except BaseException as error:
            put(error)
        finally:
            reader.close()

    thread = threading.Thread(target=read, name="read shards", daemon=True)
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(min(SWITCH_S, usual_s))
    thread.start()
    try:
        while (event := ready.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        stopped.set()
        thread.join()
        sys.setswitchinterval(usual_s)


def _read_one(reader: Reader, shard: Shard) -> Iterator[Piece | Exception | None]:
    try:
        yield from reader.read(shard)
        yield None
    except Exception as error:  # one tile, whatever is wrong with it, does not end a scan of thousands
        require_handles(error)
        yield error


@contextmanager
def in_this_process(
    reader: Reader, predictor: Predictor
) -> Iterator[Callable[[Iterable[Shard]], Generator[ShardResult]]]:
    """Yield a function from shards to their results, which works in this process (see cluster.py for others)."""
    yield lambda shards: predict_shards(reader, shards, predictor)
