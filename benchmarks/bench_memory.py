"""Measure the peak memory of packing, training and predicting at 1, 4 and 16 times the number of images.

The claim is that memory does not grow with the number of images. Each task runs in a process of its own, whose memory
is read from /proc/PID/status every 5 ms. Anonymous memory (RssAnon) counts: only this process holds it, and the system
cannot reclaim it. Pages of a memory-mapped pack are resident too (RssFile), but they are on disk, and the system can
drop them at any time. Peak RSS therefore grows with the pack without a meaning; it is reported for completeness.
Systems without /proc are not measured. All trainings take the same number of steps, since the allocator reaches its
peak only after a hundred of them (437 MB after 60 steps, 486 after 100, 472 after 112 in one epoch of 16,000 images),
whatever the number of images.

    python benchmarks/bench_memory.py [--quick]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from galaxy_files import PIXELS, make_galaxy_files
from measuring import Report, read_options


def work(task: str, folder: Path, number: int, epochs: int) -> None:
    """One task, in the process that is watched; epochs of training."""
    files = make_galaxy_files(number)
    if task == "pack":
        from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
        from convnet_galaxies.data.pack import write_pack

        write_pack(read_galaxy_zoo(files.archive, files.solutions), PIXELS, folder / f"pack{number}")
    elif task == "train":
        from convnet_galaxies.data.pack import read_pack
        from convnet_galaxies.settings import load_settings
        from convnet_galaxies.training.fit import fit

        changes = [f"train.epochs={epochs}", "split.train=0.7", "split.validation=0.3", "split.test=0"]
        fit(
            read_pack(folder / f"pack{number}"), load_settings(None, changes), folder / f"run{number}", tasks=("votes",)
        )
    else:
        from convnet_galaxies.predict.predictor import Predictor
        from convnet_galaxies.predict.stream import predict_file

        (run, *_) = sorted(folder.glob("run*"))
        source = folder / f"pack{number}" if task == "predict pack" else files.archive
        predict_file(Predictor(run), source, folder / "predictions.csv", force=True)


def watch(arguments: list[str], script: str = __file__) -> tuple[float, float]:
    """Peaks of anonymous memory and of all resident memory, in MB, of a script called with arguments."""
    process = subprocess.Popen([sys.executable, script, *arguments])
    status = Path(f"/proc/{process.pid}/status")
    anonymous = resident = 0.0
    while process.poll() is None:
        found = dict(
            line.split(":", 1) for line in status.read_text().splitlines() if line.startswith(("Rss", "VmRSS"))
        )
        if "RssAnon" in found:  # absent for a moment when the process ends
            anonymous = max(anonymous, float(found["RssAnon"].split()[0]) / 1024)
            resident = max(resident, float(found["VmRSS"].split()[0]) / 1024)
        time.sleep(0.005)
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with exit code {process.returncode}")
    return anonymous, resident


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "memory", rounds=1)
    report = Report("memory", options)
    if not Path("/proc/self/status").is_file():
        print("not measured: this system has no /proc")
        return
    counts = (32, 64) if options.quick else (1000, 4000, 16000)
    for number in counts:
        make_galaxy_files(number)
    with tempfile.TemporaryDirectory() as folder:
        for task in ("pack", "train", "predict pack", "predict JPEG zip"):
            first = 0.0
            for number in counts:
                anonymous, resident = watch(["--work", task, folder, str(number), str(counts[-1] // number)])
                first = first or anonymous
                last = number == counts[-1]
                report.add(
                    f"{task}, {number:,} images", anonymous, "MB", against=f"{counts[0]:,} images", reference=first,
                    goal="<= 1.1" if last and task != "pack" else "", remark=f"peak RSS {resident:.0f} MB",
                )  # fmt: skip
    report.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
