"""Kill a scan at random moments, again and again, and hold its candidates against those of one that was left alone.

Each attempt is a process of its own, forked before anything was computed, that is ended by SIGKILL after a random time.
The next one has the same arguments. At the end the candidates must be the same bytes, and no more shards may have been
written twice than there were kills. With --cluster, a scan on local Dask workers loses one of them by SIGKILL after its
first shard, and must give the same bytes as well.

    python benchmarks/scan_kills.py RUN TILES FOLDER [--kills 30] [--region 256] [--seed 0] [--cluster 2]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
import traceback
from pathlib import Path

from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey import detection
from convnet_galaxies.data.survey.detection import Detection
from convnet_galaxies.scan import run as scan_run
from convnet_galaxies.scan import survey


def main() -> None:
    """Run, kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("run", "tiles", "folder"):
        parser.add_argument(name)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--region", type=int, default=256, help="pixels of the side of a shard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cluster", help="local workers of Dask, of which one is killed")
    given = parser.parse_args()
    detection.BLOCK_PX = survey.REGION_PX = given.region
    folder = Path(given.folder)
    folder.mkdir()
    _wait(_start(given.run, given.tiles, folder / "alone", folder / "alone.log"))
    times = [float(line.split()[2]) for line in (folder / "alone.log").read_text().splitlines()]
    whole_s = times[-1] - times[0]
    shards = len(list((folder / "alone" / "shards").iterdir()))
    if given.cluster is not None:
        child = _start(given.run, given.tiles, folder / "dask", folder / "dask.log", given.cluster)
        _wait_for_shard(child, folder / "dask.log")
        before = len((folder / "dask.log").read_text().splitlines())
        lost = _kill_worker(child)
        _wait(child)
        is_same = _read(folder / "alone") == _read(folder / "dask")
        print(
            f"{given.cluster} Dask workers, process {lost} killed after {before} of {shards} shards: candidates "
            f"{'the same bytes' if is_same else 'DIFFER'}"
        )
        if not is_same:
            raise SystemExit(1)
    draw = random.Random(given.seed)
    kills = early = 0
    while kills < given.kills:
        child = _start(given.run, given.tiles, folder / "killed", folder / "killed.log")
        if kills % 4:  # one in four moments lies in the start, before anything is read
            _wait_for_shard(child, folder / "killed.log")
        time.sleep(draw.uniform(0, 2 * whole_s / given.kills))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += 1
        if os.WIFEXITED(status):
            early += 1
    _wait(_start(given.run, given.tiles, folder / "killed", folder / "killed.log"))
    written = [line.split() for line in (folder / "killed.log").read_text().splitlines()]
    sessions = len({process for process, *_ in written})
    repeated = len(written) - len({number for _, number, _ in written})
    same = _read(folder / "alone") == _read(folder / "killed")
    print(
        f"{kills} kills ({early} of them after the end), {shards} shards, written in {sessions} sessions, "
        f"{repeated} written twice, candidates {'the same bytes' if same else 'DIFFER'}"
    )
    if not same or repeated > kills:
        raise SystemExit(1)


def _kill_worker(scan: int) -> int:
    """Kill one of the processes that compute for a scan, and return its number."""
    import psutil  # Dask depends on it

    processes = psutil.Process(scan).children(recursive=True)
    workers = [one for one in processes if "spawn_main" in " ".join(one.cmdline())]
    workers[0].kill()
    return int(workers[0].pid)


def _start(run: str, tiles: str, folder: Path, log: Path, cluster: str | None = None) -> int:
    """Scan in a process of its own, which notes each shard that it writes; return its number."""
    child = os.fork()
    if child:
        return child
    write = scan_run.write_shard

    def note(path: Path, *arguments: object) -> None:
        write(path, *arguments)  # type: ignore[arg-type]
        with log.open("a") as file:
            file.write(f"{os.getpid()} {path.stem} {time.monotonic():.4f}\n")

    scan_run.write_shard = note  # type: ignore[assignment]
    code = 1
    try:
        from convnet_galaxies.predict.predictor import Predictor
        from convnet_galaxies.scan.scan import scan_tiles

        options = survey.SurveyOptions(detection=Detection(threshold_sigma=5), reading=ReadOptions(missing_share=0.6))
        scan_tiles(Predictor(run, views=1, batch=16), tiles, folder, options, cluster=cluster)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _wait_for_shard(child: int, log: Path) -> None:
    """Wait until a process has written a shard, or has ended."""
    while not (log.is_file() and f"{child} " in log.read_text()):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.002)


def _wait(child: int) -> None:
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit("a scan that was not killed failed")


def _read(folder: Path) -> bytes:
    return (folder / "candidates.parquet").read_bytes()


if __name__ == "__main__":
    main()
