"""Kill, starve and collide every command that writes, and hold what is there afterwards against a run left alone.

- kills: SIGKILL at random times, and before steps of its writing (trust/attempts.py).
- faults: a step fails with ENOSPC or EIO; the command must end with one message, or with the whole output.
- pairs: a second process starts with the same output while the first one writes; it must refuse and name the first.
- limits: few file handles, little memory, a read-only folder, a full disk of a few kilobytes (needs root, for tmpfs).

After each, an output is as before, or whole; no process lives on; the next run ends with the same bytes as a run that
was left alone, and leaves nothing beside them.

    python trust/break_commands.py [--kills 200] [--steps 12] [--pairs 20] [--limits 1] [--only 'train;scan'] [--seed 0]
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import commands
from attempts import (
    Attempt,
    Before,
    End,
    count_steps,
    die_at,
    empty,
    fail_at,
    left_over,
    limit,
    load_everything,
    outputs,
    pause_at,
)
from commands import WRITES, Case
from world import make_world

from convnet_galaxies.measure import prevalence
from convnet_galaxies.study import unknown

Outputs = dict[str, dict[str, str]]


@dataclass
class Tally:
    """attempts: by what was done. findings: sentences about what is not as promised."""

    attempts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def find(self, text: str) -> None:
        """Note and print a finding."""
        self.findings.append(text)
        print(f"--- {text}", flush=True)

    def close(self, commands: int, seconds: float) -> int:
        """Print the table of what was done, and return the exit code."""
        print("\n| what | times |\n| --- | --- |")
        for what, times in sorted(self.attempts.items()):
            print(f"| {what} | {times:,} |")
        print(f"{commands} commands, {len(self.findings)} findings, {seconds:.0f} s")
        return int(bool(self.findings))


class Bench:
    """One command, its inputs, and what it writes when it is left alone."""

    def __init__(self, name: str, case: Case, top: Path, place: Path, tally: Tally) -> None:
        self.name, self.case, self.top, self.place, self.tally = name, case, top, place, tally
        self.prepare()
        log = top / "steps"
        end = self.start(before=count_steps(place, log)).wait()
        if end.code:
            raise RuntimeError(f"{name}: ends with {end.code} when left alone: {end.err}")
        self.seconds = end.seconds
        self.steps = log.read_text().splitlines()
        self.whole = outputs(place, case.varies)
        self.kept = top / "whole"
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(place, self.kept)

    def start(self, *more: str, before: Before = lambda: None, logs: Path | None = None) -> Attempt:
        """Start the command."""
        arguments = self.case.arguments(self.top / "world", self.place, *more)
        return Attempt(arguments, logs or self.top, before)

    def prepare(self, *, with_old: bool = False) -> Outputs:
        """Empty the folder of the outputs; put in what the command needs, or an older output. Return what is there."""
        empty(self.place)
        for to, source in self.case.copies.items():
            shutil.copytree(source.format(w=self.top / "world"), self.place / to)
        if with_old:
            shutil.copytree(self.kept, self.place, dirs_exist_ok=True)
            for path in self.place.rglob("*"):
                if path.is_file() and path.suffix in (".csv", ".json", ".html", ".reg", ".png", ".parquet", ".fits"):
                    path.write_bytes(path.read_bytes() + b"\n")
        return outputs(self.place, self.case.varies)

    def judge(self, what: str, before: Outputs) -> None:
        """Look at what an attempt that did not end well left, then run again, and look at that."""
        found = outputs(self.place, self.case.varies)
        if not self.case.goes_on:
            for name in {*before, *self.whole, *found}:
                if found.get(name) not in (before.get(name), self.whole.get(name)):
                    self.tally.find(f"{self.name}, {what}: {name} is neither as before nor whole")
        if found == before and not any(left_over(self.place)) and not self.case.goes_on:
            return  # as if nothing had been
        self.run_again(what)

    def run_again(self, what: str) -> None:
        """Repeat the command as its user would; the outputs must be those of a run that was left alone."""
        more = ["--force"] if self.case.can_force else []
        if self.name == "train":
            run = self.place / "run"
            done, begun = (run / "model.json").is_file(), (run / "resume.ckpt").is_file()
            more = [] if not run.exists() else ["--resume"] if begun and not done else ["--force"]
        end = self.start(*more).wait()
        if end.code:
            self.tally.find(f"{self.name}, {what}: the next run ends with {end.code}: {end.err[-1500:]}")
        elif changed := self._changed():
            self.tally.find(f"{self.name}, {what}: the next run gives other bytes: {changed}")
        if beside := list(left_over(self.place)):
            self.tally.find(f"{self.name}, {what}: {', '.join(beside)} is left over after the next run")

    def _changed(self) -> list[str]:
        """Return the files that are not those of a run that was left alone."""
        found = outputs(self.place, self.case.varies)
        pairs = [(found.get(name, {}), self.whole.get(name, {}), name) for name in {*found, *self.whole}]
        return [f"{name}/{file}" for a, b, name in pairs for file in {*a, *b} if a.get(file) != b.get(file)]

    def judge_end(self, what: str, end: End, before: Outputs) -> None:
        """Look at the end of an attempt that was given an obstacle: all of its output, or one message."""
        if end.code == 0:
            if changed := self._changed():
                self.tally.find(f"{self.name}, {what}: ends well, with other bytes: {changed}")
            return
        if not end.is_one_message:
            self.tally.find(f"{self.name}, {what}: ends with {end.code}, and not with one message: {end.err[-1500:]}")
        self.judge(what, before)

    def choose_old(self, draw: random.Random) -> tuple[bool, list[str]]:
        """Whether an older output is there, and the words that allow to replace it."""
        with_old = self.case.can_force and draw.random() < 0.5
        return with_old, ["--force"] if with_old else []


def kill_at_random(bench: Bench, draw: random.Random, number: int) -> None:
    """Kill a command at a random time."""
    for _ in range(number):
        with_old, more = bench.choose_old(draw)
        before = bench.prepare(with_old=with_old)
        attempt = bench.start(*more)
        after_s = draw.uniform(0, 1.05 * bench.seconds)
        attempt.kill(after_s)
        what = f"killed after {after_s:.3f} s"
        if attempt.is_anything_left():
            bench.tally.find(f"{bench.name}, {what}: its processes live on")
        bench.judge(what, before)
        bench.tally.attempts["kills at random"] += 1


def kill_at_steps(bench: Bench, draw: random.Random, number: int) -> None:
    """Kill a command before steps of its writing."""
    for step in choose(bench.steps, draw, number):
        with_old, more = bench.choose_old(draw)
        before = bench.prepare(with_old=with_old)
        bench.start(*more, before=die_at(bench.place, step)).wait()
        bench.judge(f"killed before step {step}, {bench.steps[step - 1]}", before)
        bench.tally.attempts["kills at a step"] += 1


def fail_at_steps(bench: Bench, draw: random.Random, number: int) -> None:
    """Let steps fail, save the removal of a lock, which no full disk hinders and which may stay."""
    for step in choose(bench.steps, draw, number):
        if bench.steps[step - 1].startswith("os.remove") and bench.steps[step - 1].endswith(".lock"):
            continue
        with_old, more = bench.choose_old(draw)
        before = bench.prepare(with_old=with_old)
        error = draw.choice((errno.ENOSPC, errno.EIO))
        end = bench.start(*more, before=fail_at(bench.place, step, error)).wait()
        bench.judge_end(f"{errno.errorcode[error]} at step {step}, {bench.steps[step - 1]}", end, before)
        bench.tally.attempts["faults at a step"] += 1


def collide(bench: Bench, draw: random.Random) -> None:
    """Start a second process while the first one waits in the middle of its writing."""
    bench.prepare()
    (told, telling), (going, go) = os.pipe(), os.pipe()
    writes = [number for number, line in enumerate(bench.steps, 1) if line.startswith(("fsync", "os.rename"))]
    step = draw.choice(writes)
    first = bench.start(before=pause_at(bench.place, step, telling, going))
    os.read(told, 1)
    logs = bench.top / "second"
    logs.mkdir(exist_ok=True)
    second = bench.start(*(["--force"] if bench.case.can_force else []), logs=logs).wait()
    is_there = second.code == 0 and outputs(bench.place, bench.case.varies) == bench.whole  # a pack that is current
    os.write(go, b"x")
    end = first.wait()
    for handle in (told, telling, going, go):
        os.close(handle)
    what = f"two at once, the first at step {step}"
    if not is_there and (not second.is_one_message or f"process {first.process} on" not in second.err):
        bench.tally.find(f"{bench.name}, {what}: the second ends with {second.code}: {second.err[-1500:]}")
    if end.code or outputs(bench.place, bench.case.varies) != bench.whole:
        bench.tally.find(f"{bench.name}, {what}: the first ends with {end.code}: {end.err[-1500:]}")
    if beside := list(left_over(bench.place)):
        bench.tally.find(f"{bench.name}, {what}: {', '.join(beside)} is left over")
    bench.tally.attempts["two at once"] += 1


def starve(bench: Bench, draw: random.Random) -> None:
    """Give a command few file handles, then little memory."""
    handles = draw.choice((8, 10, 12, 16, 24, 32))
    memory = _virtual_bytes() + draw.choice((2, 8, 32, 128)) * 2**20
    for kind, what, value in (("few handles", resource.RLIMIT_NOFILE, handles), ("memory", resource.RLIMIT_AS, memory)):
        before = bench.prepare()
        end = bench.start(before=limit(what, value)).wait()
        if kind == "memory" and (end.code < 0 or "ABORT" in end.err):  # a library in C ended the process
            bench.tally.attempts["little memory: ended by a library"] += 1
            bench.judge(f"{kind} {value}", before)
            continue
        bench.judge_end(f"{kind} {value}", end, before)
        bench.tally.attempts[kind] += 1


def fill_disk(bench: Bench, draw: random.Random) -> None:
    """Write onto disks of several sizes, all too small, then onto one that can only be read."""
    size = sum(path.stat().st_size for path in bench.kept.rglob("*") if path.is_file())
    for share in (0.0, 0.3 + 0.3 * draw.random(), 0.7 + 0.3 * draw.random(), None):
        kib = 64 if share is None else 8 + int(share * size / 1024)
        with mounted(bench.place, max(kib, 64 if bench.case.copies else 8)) as remount:
            if bench.case.copies:
                remount("size=64m")
            before = bench.prepare()
            if bench.case.copies:
                used = shutil.disk_usage(bench.place).used // 1024
                remount(f"size={used + kib}k")
            if share is None:
                remount("ro")
            end = bench.start().wait()
            remount("rw,size=64m")
            bench.judge_end("a read-only disk" if share is None else f"a disk of {kib} KiB", end, before)
        bench.tally.attempts["a read-only disk" if share is None else "a full disk"] += 1


@contextmanager
def mounted(place: Path, kib: int) -> Iterator[Callable[[str], None]]:
    """Mount a disk in memory; yield a function that changes its options."""

    def mount(*words: str) -> None:
        subprocess.run(["mount", *words, str(place)], check=True, capture_output=True)

    mount("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs")
    try:
        yield lambda options: mount("-o", f"remount,{options}")
    finally:
        subprocess.run(["umount", str(place)], check=True)


def choose(steps: list[str], draw: random.Random, number: int) -> list[int]:
    """Return so many of the steps, counted from 1: the first, those of the last flush on, and others by chance."""
    last = max((at for at, line in enumerate(steps, 1) if line.startswith("fsync")), default=1)
    wanted = [1, *range(max(1, last - 1), len(steps) + 1)]
    others = [step for step in range(1, len(steps) + 1) if step not in wanted]
    draw.shuffle(others)
    return sorted({*draw.sample(wanted, min(len(wanted), (number + 1) // 2)), *others[: number // 2]})


def make_inputs(top: Path, names: list[str]) -> None:
    """Make the inputs of these commands in top/world, and the empty folder top/place."""
    (top / "place").mkdir()
    unknown.quantify = partial(prevalence.quantify, n_resamples=20)  # 6 s of resampling
    child = os.fork()
    if not child:  # where threads of torch may live
        make_world(top / "world", " ".join(f"{WRITES[name].words} {WRITES[name].copies}" for name in names))
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the inputs could not be made")


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main() -> int:
    """Break all commands, print what was found and a table of what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs at random times, over all commands")
    parser.add_argument("--steps", type=int, default=12, help="steps of each command that are killed, and that fail")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of commands with one output")
    parser.add_argument("--limits", type=int, default=1, help="rounds of limits per command")
    parser.add_argument("--only", help="names of trust/commands.py, separated by ;")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if missing := commands.unlisted():
        print(f"not listed in trust/commands.py: {', '.join(missing)}")
        return 1
    names = list(WRITES) if given.only is None else given.only.split(";")
    load_everything()
    tally, started = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        make_inputs(top, names)
        draw = random.Random(given.seed)
        kills = Counter(draw.choices(names, k=given.kills))
        pairs = Counter((names * given.pairs)[: given.pairs])
        for name in names:
            begun, found = time.monotonic(), len(tally.findings)
            bench = Bench(name, WRITES[name], top, top / "place", tally)
            kill_at_random(bench, draw, kills[name])
            kill_at_steps(bench, draw, given.steps)
            fail_at_steps(bench, draw, given.steps)
            for _ in range(pairs[name]):
                collide(bench, draw)
            for _ in range(given.limits):
                starve(bench, draw)
                if os.geteuid() == 0:
                    fill_disk(bench, draw)
            print(
                f"{name:26s} {len(bench.steps):4d} steps, {time.monotonic() - begun:5.0f} s, "
                f"{len(tally.findings) - found} findings",
                flush=True,
            )
    return tally.close(len(names), time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
