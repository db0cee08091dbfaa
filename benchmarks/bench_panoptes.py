"""Time reading a classification export of Zooniverse, against pandas and json row by row, and its peak memory.

The rows are as long as those of Galaxy Zoo (2.3 kB: six questions, some with a picture before the answer, a question
with several answers, a drawing task, the volunteer's browser). Ours: read_classifications and count_votes, with all
that is left out counted. The usual way: pandas.read_csv in chunks, json.loads of annotations, metadata and
subject_data, the first classification of a volunteer, a Counter of answers; no marks, nothing else counted. Both take
one processor, whose time counts, since the clock depends on what else the machine does. A million rows are read in a
process of its own, for time and peak memory.

    python benchmarks/bench_panoptes.py [--quick]
"""

from __future__ import annotations

import csv
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import Report, race, read_options

from convnet_galaxies.data.panoptes.classifications import ExportOptions, read_classifications
from convnet_galaxies.data.panoptes.tables import count_votes

PICTURE = "![a.png](https://example.org/production/project_attached_image/f353f2f1-a47e-439d-b9ca-020199162a79.png) "
QUESTIONS = (
    ("T0", "Is the galaxy simply smooth and rounded, with no sign of a disk?", ("Smooth", "Features", "Artifact")),
    ("T2", "Could this be a disk viewed edge-on?", ("Yes", "No")),
    ("T4", "Is there a bar feature through the centre of the galaxy?", ("Bar", "No bar")),
    ("T5", "Is there any sign of a spiral arm pattern?", ("Yes", "No")),
    ("T8", "How prominent is the central bulge, compared with the rest of the galaxy?", ("No bulge", "Dominant")),
    ("T11", "Is the galaxy currently merging, or is there any sign of tidal debris?", ("Neither", "Merging")),
)
COLUMNS = (
    *("classification_id", "user_name", "user_id", "user_ip", "workflow_id", "workflow_name", "workflow_version"),
    *("created_at", "gold_standard", "expert", "metadata", "annotations", "subject_data", "subject_ids"),
)


def write_export(path: Path, number: int, *, marks: bool = True) -> Path:
    """Write so many rows, about forty per subject; marks: with a drawing task, so that hardly any two cells agree."""
    rng = np.random.default_rng(0)
    size = {"clientWidth": 424, "clientHeight": 424, "naturalWidth": 424, "naturalHeight": 424}
    about = {"live_project": True, "session": "e69d40c9" * 8, "utc_offset": "0", "subject_dimensions": [size]}
    about |= {"started_at": "2018-02-20T10:41:13.381Z", "finished_at": "2018-02-20T10:44:42.480Z"}
    about |= {"user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.12; rv:58.0) Gecko/20100101 Firefox/58.0"}
    subjects = []
    for k in range(max(number // 40, 1)):
        facts = {"retired": None, "#id": f"J{k:07d}", "ra": 319.115 + k * 1e-7, "dec": -0.8265}
        facts |= {f"mag.{band}": 13.674222230911255 for band in "ugriz"} | {"petroth50": 13.936717987060547}
        subjects.append(json.dumps({str(15_000_000 + k): facts}))
    cells = []
    for chosen in itertools.product(*(range(len(answers)) for *_, answers in QUESTIONS)):
        given = [
            {"task": task, "task_label": label, "value": PICTURE * (k % 2) + answers[one]}
            for k, ((task, label, answers), one) in enumerate(zip(QUESTIONS, chosen, strict=True))
        ]
        given.append({"task": "T10", "task_label": "Do you see any of these rare features?", "value": []})
        cells.append(json.dumps(given)[:-1])
    user, subject = rng.integers(0, 20_000, number).tolist(), rng.integers(0, len(subjects), number).tolist()
    cell, place = rng.integers(0, len(cells), number).tolist(), rng.uniform(0, 424, (number, 2)).round(3).tolist()
    metadata = json.dumps(about)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for k in range(number):
            x, y = place[k]
            mark = f', {{"task": "T12", "value": [{{"x": {x}, "y": {y}, "tool": 0, "frame": 0}}]}}' if marks else ""
            writer.writerow(
                (
                    *(91_000_000 + k, f"user {user[k]}", 200_000 + user[k], "2c61707e96c97a759840"),
                    *("6122", "Galaxies", "28.30", "2018-02-20 10:44:42 UTC", "", ""),
                    *(metadata, cells[cell[k]] + mark + "]", subjects[subject[k]], 15_000_000 + subject[k]),
                )
            )
    return path


def read_ours(path: Path) -> pd.DataFrame:
    """The table of votes."""
    return count_votes(read_classifications(path, ExportOptions(id_name="id")))


def read_usual(path: Path) -> Counter[tuple[str, str, str]]:
    """Votes by subject, task and answer, as scripts of projects count them."""
    votes: Counter[tuple[str, str, str]] = Counter()
    seen = set()
    for chunk in pd.read_csv(path, chunksize=50_000, dtype={"workflow_version": str}):
        for row in chunk.itertuples():
            about, annotations = json.loads(row.metadata), json.loads(row.annotations)
            ((_, facts),) = json.loads(row.subject_data).items()
            if not about["live_project"] or (row.user_name, row.subject_ids) in seen:
                continue
            seen.add((row.user_name, row.subject_ids))
            for one in annotations:
                if isinstance(one["value"], str):
                    votes[facts["#id"], one["task"], one["value"].split(") ")[-1]] += 1
    return votes


def measure_once(path: Path) -> tuple[float, float, float]:
    """Seconds of processor time, seconds by the clock and peak resident memory (MB) of a process that reads."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--read", str(path)]
    processor, peak_mb = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    return processor, time.perf_counter() - started, peak_mb


def take_processor_time(work: Callable[[], object]) -> Callable[[], float]:
    """Return the same work, which gives the seconds of processor time it took."""

    def timed() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return timed


def main() -> None:
    """Measure and report."""
    if sys.argv[1:2] == ["--read"]:
        read_ours(Path(sys.argv[2]))
        print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    options = read_options(__doc__, "panoptes", rounds=3)
    report = Report("panoptes", options)
    number, many = (2_000, 4_000) if options.quick else (100_000, 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        drawn = write_export(Path(folder) / "marks.csv", number)
        plain = write_export(Path(folder) / "plain.csv", number, marks=False)
        times = race(
            {
                "usual": take_processor_time(lambda: read_usual(drawn)),
                "ours": take_processor_time(lambda: read_ours(drawn)),
                "ours, questions alone": take_processor_time(lambda: read_ours(plain)),
            },
            options.rounds,
            warm_up=False,
        )
        speeds = {name: number / seconds for name, seconds in times.items()}
        report.add("pandas and json, row by row", speeds["usual"], "rows/s")
        for name in ("ours", "ours, questions alone"):
            report.add(name, speeds[name], "rows/s", against="the usual way", reference=speeds["usual"])
        seconds, by_clock, peak_mb = measure_once(write_export(Path(folder) / "many.csv", many))
        goal, remark = "" if options.quick else "<= 60", f"processor time; {by_clock:.0f} s by the clock"
        report.add(f"ours, {many:,} rows", seconds, "s", goal=goal, remark=remark)
        report.add(f"ours, {many:,} rows", peak_mb, "MB", goal="<= 1000", remark="peak RSS")
    report.finish()


if __name__ == "__main__":
    main()
