"""Run commands with 1, 2 and 7 threads and workers, and compare the bytes of what they write.

Each run is a process of its own, with another seed of Python's hashes. Pictures and FITS files are decoded, galaxies
and fields are drawn, nets are trained and predict, and estimates are drawn from resamples.

    python trust/same_bytes.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from attempts import outputs
from commands import TINY_WORDS, WRITES, Case
from world import make_world

COUNTS = (1, 2, 7)
CASES = {
    "pack, pictures": Case(
        "pack images {w}/images {w}/labels.csv --label is_lens -o {o}/mine.pack --size 32 --workers {n}"
    ),
    "simulate galaxy-zoo": Case("simulate galaxy-zoo {o}/zoo --number 6 --workers {n}"),
    "simulate space-warps": Case("simulate space-warps {o}/lenses --number 24 --workers {n}"),
    "simulate survey": WRITES["simulate survey"],
    "predict": WRITES["predict"],
    "scan": WRITES["scan"],
    "unknown, the statistics": WRITES["unknown"],
    "report": WRITES["report"],
    "train": Case(f"train {{w}}/zoo.pack -o {{o}}/run {TINY_WORDS}", varies=("environment.json",)),
}
"""Commands with {n} workers, where they have this option; the others take threads."""


def main() -> int:
    """Print a table: for each command, which numbers give the bytes of one thread."""
    print("| command | 2 | 7 | files that differ |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        make_world(top / "world", " ".join(case.words for case in CASES.values()))
        for name, case in CASES.items():
            found = [run(top, name, case, number) for number in COUNTS]
            first, *others = found
            differ = {
                f"{one}/{file}"
                for other in others
                for one in first
                for file in first[one]
                if other[one].get(file) != first[one][file]
            }
            same = ["the same" if other == first else "other" for other in others]
            print(f"| {name} | {same[0]} | {same[1]} | {', '.join(sorted(differ)) or '-'} |", flush=True)
    return 0


def run(top: Path, name: str, case: Case, number: int) -> dict[str, dict[str, str]]:
    """Run a command with so many threads and workers, and return the fingerprint of its outputs."""
    place = top / f"{name} {number}"
    place.mkdir()
    words = [word.format(w=top / "world", o=place, n=number) for word in case.words.split()]
    threads = {f"{library}_NUM_THREADS": str(number) for library in ("OMP", "MKL", "OPENBLAS")}
    environment = {**os.environ, **threads, "PYTHONHASHSEED": str(number)}
    done = subprocess.run(
        [sys.executable, "-m", "convnet_galaxies", *words], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr}")
    return outputs(place, case.varies)


if __name__ == "__main__":
    sys.exit(main())
