"""Damage sound inputs of every kind, read them, and list whatever does not end in a result or in one message.

Each kind has a maker of a sound file and a reader. A damage is a few bytes changed, removed, doubled or exchanged, or
the end cut off, by a seed. Allowed ends are a result and an error of the package's own (errors.GalaxyError). Findings
are any other exception, more than SECONDS, and more memory than GIGABYTES above that of a sound file. Each finding is
kept in --keep as a file, named by its kind and seed, for a test of its own.

    python trust/fuzz_readers.py [--inputs 400] [--seed 0] [--kinds fits-rice,table-fits] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
from sound_files import KINDS, Kind

from convnet_galaxies.errors import GalaxyError

SECONDS, GIGABYTES = 10, 1.0


class TooSlowError(Exception):
    """A reader took longer than SECONDS."""


def main() -> int:
    """Fuzz all kinds, print a line for each and a traceback for each new kind of failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=400, help="damaged inputs per kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--keep", type=Path, default=None)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _stop)
    total = 0
    with tempfile.TemporaryDirectory() as name:
        for kind in given.kinds.split(","):
            total += fuzz(KINDS[kind], kind, given.inputs, given.seed, Path(name), given.keep)
    print(f"{total} findings")
    return int(total > 0)


def fuzz(kind: Kind, name: str, inputs: int, seed: int, work: Path, keep: Path | None) -> int:
    """Read so many damaged inputs of one kind; return the number of findings."""
    sound = work / f"sound{kind.ending}"
    kind.make(sound)
    kind.read(sound)
    data = sound.read_bytes()
    peak = _memory_gb()
    started, ends, seen = time.monotonic(), {"result": 0, "message": 0, "finding": 0}, set()
    for number in range(inputs):
        damaged = work / f"{name}-{seed}-{number}{kind.ending}"
        damaged.write_bytes(damage(data, np.random.default_rng([seed, number])))
        fault = read(kind.read, damaged)
        if fault is None and _memory_gb() > peak + GIGABYTES:
            fault, peak = (f"more than {GIGABYTES:g} GB", ""), _memory_gb()
        if fault is None or fault[0] == "message":
            ends["result" if fault is None else "message"] += 1
        else:
            ends["finding"] += 1
            if fault[0] not in seen:
                seen.add(fault[0])
                print(f"--- {damaged.name}: {fault[0]}\n{fault[1]}", flush=True)
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / damaged.name).write_bytes(damaged.read_bytes())
        damaged.unlink()
    seconds = time.monotonic() - started
    print(f"{name:14s} {inputs:6d} inputs, {ends}, {seconds:.0f} s", flush=True)
    return ends["finding"]


def read(reader: Callable[[Path], object], path: Path) -> tuple[str, str] | None:
    """Read a file; return None for a result, ("message", "") for one of ours, else a fault and its traceback."""
    signal.alarm(SECONDS)
    try:
        reader(path)
    except GalaxyError:
        return "message", ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        last = traceback.extract_tb(sys.exc_info()[2])[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}", traceback.format_exc(limit=-8)
    finally:
        signal.alarm(0)
    return None


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes with one fault, or up to eight; headers, which are short and at the start, get half of them."""
    out = bytearray(data)
    for _ in range(min(8, int(rng.geometric(0.5)))):
        if not out:
            break
        end = min(len(out), 6000) if rng.random() < 0.5 else len(out)
        at = int(rng.integers(end))
        span = int(rng.integers(1, 20))
        what = rng.integers(6)
        if what == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif what == 1:
            out[at : at + span] = rng.bytes(span)
        elif what == 2:
            out[at : at + span] = b""
        elif what == 3:
            out[at:at] = out[at : at + span]
        elif what == 4:
            out[at : at + span] = bytes([int(rng.choice([0, 32, 48, 57, 255]))]) * span
        elif rng.random() < 0.3:
            del out[at:]
    return bytes(out)


def _stop(number: int, frame: FrameType | None) -> None:
    raise TooSlowError(f"more than {SECONDS} s")


def _memory_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    sys.exit(main())
