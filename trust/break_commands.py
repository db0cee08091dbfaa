"""Kill, starve and collide every command that writes, and hold what is there afterwards against a run left alone.

- kills: SIGKILL at random times, and before steps that change its folder (trust/attempts.py).
- faults: a step fails with ENOSPC, EDQUOT or EIO; the command must end with one message, or with the whole output.
- pairs: a second process starts with the same output while the first one writes; it must refuse and name the first.
- limits: few file handles, little memory, a read-only folder, a full disk of a few kilobytes (needs root, for tmpfs),
  a quota of a few kilobytes (needs root and btrfs).

After each, an output is as before, or whole; no process lives on; the next run ends with the same bytes as a run that
was left alone, and leaves nothing beside them.

    python trust/break_commands.py [--kills 200] [--steps 12] [--same 3] [--pairs 20] [--limits 1]
        [--only 'train;scan'] [--seed 0]
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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import commands
from attempts import Step, die_at, fail_at, left_over, limit, load_everything, outputs, pause_at
from bench import Bench, Tally, make_inputs
from commands import WRITES
from quota import can_have_quota, disk_with_quota

LIBRARIES_END = ("ABORT", "libgomp: ", "OpenBLAS error: ", "error return without exception set")
"""Words of libraries in C that end the process themselves when there is no more memory."""


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


def kill_at_steps(bench: Bench, draw: random.Random, number: int, same: int) -> None:
    """Kill a command before steps that change what is there: before all others it leaves the same as before the next
    of these."""
    for step in choose(bench.steps, draw, number, same, lambda step: step.is_change):
        with_old, more = bench.choose_old(draw)
        before = bench.prepare(with_old=with_old)
        end = bench.start(*more, before=die_at(bench.place, step)).wait()
        bench.note_hang(f"killed before step {step}", end)
        bench.judge(f"killed before step {step}, {bench.steps[step - 1]}", before)
        bench.tally.attempts["kills at a step"] += 1


def fail_at_steps(bench: Bench, draw: random.Random, number: int, same: int) -> None:
    """Let steps fail, save the removal of a lock, which no full disk hinders and which may stay."""
    for step in choose(bench.steps, draw, number, same, lambda step: not step.removes_lock):
        with_old, more = bench.choose_old(draw)
        before = bench.prepare(with_old=with_old)
        error = draw.choice((errno.ENOSPC, errno.EDQUOT, errno.EIO)) if bench.steps[step - 1].writes else errno.EIO
        end = bench.start(*more, before=fail_at(bench.place, step, error)).wait()
        bench.judge_end(f"{errno.errorcode[error]} at step {step}, {bench.steps[step - 1]}", end, before)
        bench.tally.attempts["faults at a step"] += 1


def collide(bench: Bench, draw: random.Random) -> None:
    """Start a second process while the first one waits in the middle of its writing."""
    bench.prepare()
    (told, telling), (going, go) = os.pipe(), os.pipe()
    writes = [number for number, step in enumerate(bench.steps, 1) if step.what in ("fsync", "os.rename")]
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
        died = end.code < 0 or any(words in end.err for words in LIBRARIES_END)
        if kind == "memory" and died and not end.is_hang:
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


def exceed_quota(bench: Bench, draw: random.Random) -> None:
    """Write onto a disk that has room, with a quota that is too small."""
    size = sum(path.stat().st_size for path in bench.kept.rglob("*") if path.is_file())
    kib = int((0.2 + 0.7 * draw.random()) * size / 1024)
    with disk_with_quota(bench.place, bench.top / "quota.img") as limit_to:
        before = bench.prepare()
        limit_to(kib)
        end = bench.start().wait()
        limit_to(None)
        bench.judge_end(f"a quota of {kib} KiB", end, before)
    bench.tally.attempts["a quota"] += 1


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


def choose(
    steps: list[Step], draw: random.Random, number: int, same: int, is_wanted: Callable[[Step], bool]
) -> list[int]:
    """Return so many of the wanted steps, counted from 1: the first, those of the last flush on, and others by chance.

    same: of the steps that the same lines of the program lead to, at most so many: the first, the last, and others by
    chance.
    """
    by_lines: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, step in enumerate(steps, 1):
        if is_wanted(step):
            by_lines[step.what, step.lines].append(at)
    left: list[int] = []
    for group in by_lines.values():
        ends = [group[0], group[-1]][:same] if len(group) > 1 else group
        others = group[1:-1]
        left += ends + draw.sample(others, min(len(others), max(0, same - 2)))
    left.sort()
    last = max((at for at, step in enumerate(steps, 1) if step.what == "fsync"), default=1)
    first = [at for at in left if at == left[0] or at >= last - 1]
    rest = [at for at in left if at not in first]
    draw.shuffle(rest)
    return sorted({*draw.sample(first, min(len(first), (number + 1) // 2)), *rest[: number // 2]})


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main() -> int:
    """Break all commands, print what was found and a table of what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs at random times, over all commands")
    parser.add_argument("--steps", type=int, default=12, help="steps of each command that are killed, and that fail")
    parser.add_argument("--same", type=int, default=3, help="of the steps of the same lines of code, at most so many")
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
            kill_at_steps(bench, draw, given.steps, given.same)
            fail_at_steps(bench, draw, given.steps, given.same)
            for _ in range(pairs[name]):
                collide(bench, draw)
            for _ in range(given.limits):
                starve(bench, draw)
                if os.geteuid() == 0:
                    fill_disk(bench, draw)
                if can_have_quota():
                    exceed_quota(bench, draw)
            print(
                f"{name:26s} {len(bench.steps):4d} steps, {time.monotonic() - begun:5.0f} s, "
                f"{len(tally.findings) - found} findings",
                flush=True,
            )
    return tally.close(len(names), time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
