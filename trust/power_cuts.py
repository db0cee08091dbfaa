"""Cut the power of a disk under every command that writes, and hold what is on it against a run left alone.

The disk is an image of an ext4 file system behind a loop device. Its image is copied while the command is stopped at a
random moment, or right after it ended: what the system has not written to the disk by then is lost, as when the power
is cut. The copy is mounted, which replays its journal, and looked at: each output is as before or whole, and whole when
the command had ended. Then the command is run again on it. Needs root; Linux.

    python trust/power_cuts.py [--cuts 50] [--only 'train;scan'] [--seed 0] [--without-flush]

--without-flush makes fsync do nothing, which shows what would be lost.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attempts import empty, load_everything, outputs
from bench import Bench, Tally, make_inputs
from commands import WRITES

SIZE_MB = 96


def cut(bench: Bench, disk: Path, draw: random.Random, *, is_flushed: bool) -> None:
    """Cut the power once: in half of the cases at a random moment, else right after the end."""
    with mounted(disk, bench.place):
        with_old, more = bench.choose_old(draw)
        before = bench.prepare(with_old=with_old)
        os.sync()
        has_ended = draw.random() < 0.5
        attempt = bench.start(*more, before=(lambda: None) if is_flushed else forget_flushes)
        if has_ended:
            code = attempt.wait().code
        else:
            time.sleep(draw.uniform(0, bench.seconds))
            os.kill(attempt.process, signal.SIGSTOP)
        shutil.copyfile(disk, bench.top / "cut.img")
        if not has_ended:
            os.kill(attempt.process, signal.SIGKILL)
            code = attempt.wait().code
    at = bench.place
    empty(at)
    with mounted(bench.top / "cut.img", bench.top / "cut"):
        shutil.copytree(bench.top / "cut", at, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lost+found"))
    what = "power cut after its end" if has_ended else "power cut"
    if has_ended and code == 0 and outputs(at, bench.case.varies) != bench.whole:
        bench.tally.find(f"{bench.name}, {what}: the output is not whole")
    bench.judge(what, before)
    bench.tally.attempts[what] += 1


def forget_flushes() -> None:
    """Make fsync do nothing in this process."""
    os.fsync = lambda handle: None


@contextmanager
def mounted(disk: Path, place: Path) -> Iterator[None]:
    """Mount an image."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(place)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def main() -> int:
    """Cut, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=50, help="cuts over all commands")
    parser.add_argument("--only", help="names of trust/commands.py, separated by ;")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-flush", action="store_true")
    given = parser.parse_args()
    if os.geteuid() or not (shutil.which("mkfs.ext4") and Path("/dev/loop-control").exists()):
        print("skipped: needs root, mkfs.ext4 and loop devices")
        return 0
    names = list(WRITES) if given.only is None else given.only.split(";")
    load_everything()
    tally, started, draw = Tally(), time.monotonic(), random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        make_inputs(top, names)
        disk = top / "disk.img"
        with disk.open("wb") as file:
            file.truncate(SIZE_MB * 1_000_000)
        subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
        for number, name in enumerate(names):
            bench = Bench(name, WRITES[name], top, top / "place", tally)
            for _ in range(given.cuts // len(names) + (number < given.cuts % len(names))):
                cut(bench, disk, draw, is_flushed=not given.without_flush)
    return tally.close(len(names), time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
