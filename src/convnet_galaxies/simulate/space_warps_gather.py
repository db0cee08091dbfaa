"""Draws fields until the crowd's clicks have made enough cutouts of every sort, and shows some again in stage 2."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from convnet_galaxies.simulate.lens import FLAVORS
from convnet_galaxies.simulate.space_warps_field import Subject, draw_subject, kind_of, show_again
from convnet_galaxies.simulate.space_warps_plan import Cell
from convnet_galaxies.simulate.swap import DETECTED_ABOVE, LENS, NOT, UNKNOWN, Verdicts, judge

# Clusters a field that show a lens and that do not, to begin with; later batches go by what came before.
EXPECTED = {"sim": (1.9, 1.0), "dud": (1.9, 0.0), "test": (2.4, 0.0), "test lens": (1.4, 1.0)}
AGAIN = {"sim": (3.9, 1.0), "dud": (5.6, 0.0)}
MOST_FIELDS_PER_ROW = 20

# Measured on the published lists: of 138 sims of stage 2, 133 are sims of stage 1; of 18 duds, 16 are the image of a
# test field of stage 2 under another name, one is that of a test field of stage 1 only, and one is new.
NEW_SIMS = (5, 138)
DUDS_IN_A_ROW = 18

Run = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Showing:
    """A field in one stage, under one name.

    subject: the field and the clicks of this stage. kind: sim, dud or test. recycled: a dud that was a test field.
    """

    subject: Subject
    stage: int
    kind: str
    recycled: bool = False

    @property
    def flavor(self) -> str:
        """The catalogue's flavor: that of the lens for sims, else dud or test."""
        return self.subject.pool if self.kind == "sim" else self.kind

    @property
    def key(self) -> tuple[str, int, bool]:
        """Showings of one key bear the same ZooID."""
        return (self.subject.pool, self.subject.index, self.recycled)

    @property
    def cells(self) -> list[Cell]:
        """The cell of each cluster."""
        return [(self.stage, self.flavor, int(shows)) for shows in self.subject.shows_lens]


@dataclass
class Drawer:
    """Draws the fields of a pool in their order; remembers how far it came."""

    draw: Callable[[tuple[str, int]], Subject]
    run: Run
    next_index: dict[str, int]

    def __call__(self, pool: str, number: int) -> list[Subject]:
        start = self.next_index.setdefault(pool, 0)
        self.next_index[pool] = start + number
        return list(self.run(self.draw, [(pool, index) for index in range(start, start + number)]))


def gather(
    seed: int, wanted: dict[Cell, int], folder: Path, run: Run, *, population: str
) -> tuple[list[Showing], list[Subject], dict[int, Verdicts]]:
    """All showings of both stages, test fields that only stage 1 showed, and SWAP's verdicts on each stage's showings.

    folder: where the field images are saved. run: maps a function over arguments, in order. Verdicts number the
    showings of a stage in their order. What is drawn depends on seed and wanted only.
    """
    drawer = Drawer(partial(_draw, seed=seed, folder=folder, population=population), run, {})
    first: list[Showing] = []
    for pool in (*FLAVORS, "dud"):
        kind = kind_of(pool)
        first += _fill(
            wanted,
            (1, pool),
            EXPECTED[kind],
            lambda n, pool=pool, kind=kind: [Showing(s, 1, kind) for s in drawer(pool, n)],
        )
    verdicts = {1: judge_showings(first, seed)}
    rng = np.random.default_rng([seed, 1 << 21])
    second: list[Showing] = []
    for pool in FLAVORS:
        kept = [
            s.subject
            for s, p in zip(first, verdicts[1].probability, strict=True)
            if s.subject.pool == pool and p > DETECTED_ABOVE
        ]
        order = iter([kept[i] for i in rng.permutation(len(kept))])
        second += _fill(
            wanted, (2, pool), AGAIN["sim"], partial(_again_sims, seed, folder, run, drawer, pool, order, [0])
        )
    lenses = _fill(
        {(2, "test", 1): wanted[2, "test", 1]},
        (2, "test"),
        EXPECTED["test lens"],
        lambda n: [Showing(s, 2, "test") for s in drawer("test lens", n)],
    )
    rest = wanted[2, "test", 0] - sum(cell[2] == 0 for s in lenses for cell in s.cells)
    tests = _fill(
        {(2, "test", 0): rest},
        (2, "test"),
        EXPECTED["test"],
        lambda n: [Showing(s, 2, "test") for s in drawer("test", n)],
    )
    second += lenses + tests
    lensless = iter([tests[i].subject for i in rng.permutation(len(tests))])
    only_first: list[Subject] = []
    second += _fill(
        wanted, (2, "dud"), AGAIN["dud"], partial(_again_duds, seed, folder, run, drawer, lensless, only_first, [0])
    )
    verdicts[2] = judge_showings(second, seed)
    return first + second, only_first, verdicts


def judge_showings(showings: Sequence[Showing], seed: int) -> Verdicts:
    """SWAP on the showings of one stage, whose looks come in random order. pl and pd follow the showings and looks.

    A sim counts as called a lens only when the lensed light itself was marked.
    """
    truth = np.array([{"sim": LENS, "dud": NOT, "test": UNKNOWN}[s.kind] for s in showings], int)
    looks = [s.subject.looks for s in showings]
    volunteer = np.concatenate([one.lookers for one in looks])
    field = np.repeat(np.arange(len(looks)), [len(one.lookers) for one in looks])
    said = np.concatenate(
        [one.saw_lens if s.kind == "sim" else one.marked for s, one in zip(showings, looks, strict=True)]
    )
    order = np.random.default_rng([seed, 1 << 22]).permutation(len(volunteer))
    verdicts = judge(volunteer[order], field[order], said[order], truth)
    back = np.argsort(order)
    return Verdicts(verdicts.probability, verdicts.pl[back], verdicts.pd[back])


@contextmanager
def worker_pool(workers: int) -> Iterator[Run]:
    """A function that maps over arguments in order, on so many processes; one worker stays in this process.

    Every process computes on one thread: with more, sums may round differently and the bytes would depend on it.
    """
    if workers == 1:
        with threadpool_limits(1):
            yield lambda function, arguments: map(function, arguments)
        return
    # Not forked: a fork of a process whose threads hold locks (torch's) can hang.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_worker)
    try:
        yield partial(_map_in_order, pool, 4 * workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it, and ends the workers in order
    threadpool_limits(1)


def _map_in_order(
    pool: Executor, ahead: int, function: Callable[[Any], Any], arguments: Sequence[Any]
) -> Iterator[Any]:
    waiting: list[Future[Any]] = []
    for argument in arguments:
        waiting.append(pool.submit(function, argument))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _draw(which: tuple[str, int], *, seed: int, folder: Path, population: str) -> Subject:
    return draw_subject(seed, *which, folder, population=population)


def _show(which: tuple[Subject, str], *, seed: int, folder: Path) -> Subject:
    return show_again(seed, which[0], folder, which[1])


def _fill(
    wanted: dict[Cell, int], sort: tuple[int, str], expected: tuple[float, float], draw: Callable[[int], list[Showing]]
) -> list[Showing]:
    """Showings until their clusters are as many as wanted of both cells of a sort (stage, flavor)."""
    need = [wanted.get((*sort, shows), 0) for shows in (0, 1)]
    found: list[Showing] = []
    while True:
        have = [sum(int((s.subject.shows_lens == shows).sum()) for s in found) for shows in (0, 1)]
        lacking = [max(want - got, 0) for want, got in zip(need, have, strict=True)]
        if not any(lacking):
            return found
        if len(found) > MOST_FIELDS_PER_ROW * (sum(need) + 10):
            raise RuntimeError(f"{len(found)} fields of {sort} gave {have} clusters, {need} are wanted")
        rates = [max(got / len(found), 0.1) for got in have] if found else list(expected)
        number = max(math.ceil(lack / rate) for lack, rate in zip(lacking, rates, strict=True) if lack)
        found += draw(number)


def _again_sims(
    seed: int, folder: Path, run: Run, drawer: Drawer, pool: str, kept: Iterator[Subject], count: list[int], number: int
) -> list[Showing]:
    """Sims for stage 2: those that stage 1 detected, now and then a new one, and new ones when those run out."""
    chosen: list[Subject] = []
    for _ in range(number):
        count[0] += 1
        is_new = count[0] * NEW_SIMS[0] // NEW_SIMS[1] > (count[0] - 1) * NEW_SIMS[0] // NEW_SIMS[1]
        known = None if is_new else next(kept, None)
        chosen += drawer(pool, 1) if known is None else [known]
    show = partial(_show, seed=seed, folder=folder)
    return [Showing(subject, 2, "sim") for subject in run(show, [(subject, "sim") for subject in chosen])]


def _again_duds(
    seed: int,
    folder: Path,
    run: Run,
    drawer: Drawer,
    tests: Iterator[Subject],
    only_first: list[Subject],
    count: list[int],
    number: int,
) -> list[Showing]:
    """Duds for stage 2: of 18, 16 are test fields of stage 2, one is a test field of stage 1 only, and one is new."""
    chosen: list[Subject] = []
    for _ in range(number):
        place = count[0] % DUDS_IN_A_ROW
        count[0] += 1
        known = next(tests, None) if place not in (8, 17) else None
        if known is None:
            (known,) = drawer("dud" if place == 17 else "test", 1)
            only_first += [known] if known.pool == "test" else []
        chosen.append(known)
    show = partial(_show, seed=seed, folder=folder)
    subjects = run(show, [(subject, "dud") for subject in chosen])
    return [Showing(subject, 2, "dud", recycled=subject.pool == "test") for subject in subjects]
