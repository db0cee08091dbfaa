"""Work spread over processes, such that the results do not depend on how many there are."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

from threadpoolctl import threadpool_limits

RunInWorkers = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Maps a function over arguments; results come in the order of the arguments."""

AHEAD = 4
"""Tasks per worker that wait or whose results wait, which bounds the memory."""


@contextmanager
def worker_pool(workers: int, *, modules: Iterable[str] = (), ahead: int | None = None) -> Iterator[RunInWorkers]:
    """A function that maps over arguments in order, on so many processes; one worker stays in this process.

    Every process computes on one thread: with more, sums may round differently and the bytes would depend on it.
    modules: what the function computes with, by name. They are imported before the limit is set, since it does not
    reach modules that are loaded later. ahead: tasks that wait or whose results wait; None: AHEAD per worker.
    """
    modules = tuple(modules)
    if workers == 1:
        _load(modules)
        with threadpool_limits(1):
            yield lambda function, arguments: map(function, arguments)
        return
    # Not forked: a fork of a process whose threads hold locks (torch's) can hang.
    pool = ProcessPoolExecutor(workers, mp_context=_Context(), initializer=_begin_worker, initargs=(modules,))
    try:
        yield partial(map_in_order, pool, ahead or AHEAD * workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Process(SpawnProcess):
    """A worker that does not run the user's script again, which may lack ``if __name__ == "__main__"``."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _Context(SpawnContext):
    Process = _Process


def _begin_worker(modules: tuple[str, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it, and ends the workers in order
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _load(modules)
    threadpool_limits(1)


def _load(modules: tuple[str, ...]) -> None:
    for name in modules:
        import_module(name)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a parent that was killed cannot end its workers


def map_in_order(pool: Executor, ahead: int, function: Callable[[Any], Any], arguments: Iterable[Any]) -> Iterator[Any]:
    """Yield the results in the order of the arguments, of which at most ``ahead`` are sent before theirs is taken."""
    waiting: list[Future[Any]] = []
    for argument in arguments:
        waiting.append(pool.submit(function, argument))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()
