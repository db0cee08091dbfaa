"""Do the shards of a plan that are not done yet, and keep the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.paths import name_some
from convnet_galaxies.scan.ledger import Failure, Ledger, Progress
from convnet_galaxies.scan.lock import hold_folder
from convnet_galaxies.scan.plan import Plan
from convnet_galaxies.scan.shards import Shard, ShardResult, is_shard, write_shard

Workers: TypeAlias = AbstractContextManager[Callable[[Iterable[Shard]], Generator[ShardResult]]]
"""Gives a function from shards to their results, in any order: see engine.in_this_process and cluster.py."""


TELL_S = 0.5
"""Time between reports of progress, for which the whole ledger is counted."""


@dataclass(frozen=True)
class Part:
    """Every count-th shard from the number-th on, of numbers 1 to count: the share of one job of an array."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def takes(self, shard: int) -> bool:
        """Return whether a shard belongs to this part."""
        return shard % self.count == self.number - 1

    @staticmethod
    def read(text: str | None) -> Part:
        """Read ``3/40``; None is the whole. Raises UsageError."""
        if text is None:
            return Part()
        number, _, count = text.partition("/")
        if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return Part(int(number), int(count))
        raise UsageError(f"--part: found {text}, expected a part of several, from 1 on", "give e.g. --part 3/40")


@dataclass(frozen=True)
class Place:
    """Where a part of a scan keeps its ledger and shards: the folder of the scan, or one of its own within."""

    scan: Path
    part: Part = Part()

    @property
    def folder(self) -> Path:
        """Folder of ledger and shards."""
        if self.part.count == 1:
            return self.scan
        return self.scan / "parts" / f"{self.part.number:0{len(str(self.part.count))}d}-of-{self.part.count}"

    @property
    def ledger(self) -> Path:
        """The ledger."""
        return self.folder / "scan.sqlite"

    def shard(self, number: int) -> Path:
        """File of a shard."""
        return self.folder / "shards" / f"{number:06d}.parquet"


def find_places(scan: Path) -> list[Place]:
    """Find the places of a scan that have a ledger, parts in order. Raises InputError for several divisions."""
    places = [Place(scan)] if Place(scan).ledger.is_file() else []
    names = sorted(path.parent.name for path in (scan / "parts").glob("*-of-*/scan.sqlite"))
    for name in names:
        number, _, count = name.partition("-of-")
        places.append(Place(scan, Part(int(number), int(count))))
    counts = sorted({place.part.count for place in places})
    if len(counts) > 1:
        raise InputError(
            f"{scan}: found parts of several divisions, of {' and '.join(map(str, counts))}",
            "keep the parts of one division, and move the others away",
        )
    return places


def do_shards(
    place: Place,
    plan: Plan,
    workers: Workers,
    *,
    changed: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Do all shards of a part that are not done, those that failed before among them.

    changed: names of inputs whose files changed on disk since the scan began. Raises UsageError if shards of one are
    done, InputError when another process holds the folder, or the disk is full; what is finished stays.
    """
    tell = progress or (lambda found: None)
    place.folder.mkdir(parents=True, exist_ok=True)
    with hold_folder(place.folder), Ledger(place.ledger) as ledger:
        numbers = [number for number in range(len(plan.names)) if place.part.takes(number)]
        ledger.begin({"plan": plan.hash, "part": str(place.part)}, ((k, plan.names[k]) for k in numbers))
        if ledger.facts["plan"] != plan.hash:
            raise UsageError(f"{place.ledger}: is of another scan", "choose another output")
        _refuse_changed(place, plan, changed, ledger.numbers("done"))
        todo = _look(place, plan, ledger)
        tell(ledger.progress())
        if todo:
            with workers as work, closing(work(plan.make_shard(number) for number in todo)) as results:
                told = time.monotonic()
                for result in results:
                    keep(place, plan, ledger, result)
                    if time.monotonic() - told > TELL_S:
                        tell(ledger.progress())
                        told = time.monotonic()
        return ledger.progress()


def _refuse_changed(place: Place, plan: Plan, changed: Sequence[str], done: Sequence[int]) -> None:
    spoiled = sorted({plan.names[number] for number in done} & set(changed))
    if spoiled:
        raise UsageError(
            f"{place.scan}: {len(spoiled):,} inputs changed after they were scanned ({name_some(spoiled, 3)})",
            "restore the files, or scan into another output",
        )


def keep(place: Place, plan: Plan, ledger: Ledger, result: ShardResult) -> None:
    """Write a shard and then its row in the ledger, so that a row never lies."""
    if result.table is None:
        ledger.fail(result.number, result.error)
        return
    write_shard(place.shard(result.number), result.table, plan.hash)
    ledger.finish(result.number, len(result.table), result.seconds, result.remarks)


def _look(place: Place, plan: Plan, ledger: Ledger) -> list[int]:
    """Return the shards to do. One whose file is there is done, even if a kill came before its row was written."""
    there = {path.name for path in place.shard(0).parent.glob("*.parquet")}
    done = set(ledger.numbers("done"))
    todo = []
    for number in ledger.numbers("pending", "done", "failed"):
        path = place.shard(number)
        if number in done and path.name in there:
            continue
        rows = is_shard(path, plan.hash) if path.name in there else None
        if rows is None:
            todo.append(number)
        else:
            ledger.finish(number, rows, 0.0)
    for stray in _strays(place):
        stray.unlink(missing_ok=True)
    return todo


def _strays(place: Place) -> Iterator[Path]:
    """Files that a kill left unfinished."""
    yield from place.shard(0).parent.glob(".*.unfinished-*")


def require_done(scan: Path, places: Sequence[Place]) -> list[Failure]:
    """Return the failures of all parts. Raises InputError while shards are pending or parts have not begun."""
    if not places:
        raise InputError(f"{scan}: holds no ledger", "run the scan first")
    begun = {place.part.number for place in places}
    absent = [k for k in range(1, places[0].part.count + 1) if k not in begun]
    if absent:
        listed = ", ".join(map(str, absent[:10])) + (" ..." if len(absent) > 10 else "")
        raise InputError(
            f"{scan}: {len(absent)} of {places[0].part.count} parts have not begun ({listed})", "run them first"
        )
    failures: list[Failure] = []
    for place in places:
        with Ledger(place.ledger, read_only=True) as ledger:
            found = ledger.progress()
        if found.done + found.failed < found.shards:
            left = found.shards - found.done - found.failed
            raise InputError(
                f"{place.folder}: {left:,} of {found.shards:,} shards are not done", "run the same command again first"
            )
        failures += found.failures
    return failures
