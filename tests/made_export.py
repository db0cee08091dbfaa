"""Classification exports of Zooniverse, made by hand a row at a time."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any

HEADER = (
    *("classification_id", "user_name", "user_id", "user_ip", "workflow_id", "workflow_name", "workflow_version"),
    *("created_at", "gold_standard", "expert", "metadata", "annotations", "subject_data", "subject_ids"),
)
SIZE = {"clientWidth": 880, "clientHeight": 880, "naturalWidth": 440, "naturalHeight": 440}


def answer(value: Any, task: str = "T0") -> dict[str, Any]:
    """One annotation of a question."""
    return {"task": task, "task_label": "Is there a lens?", "value": value}


def marks(*places: tuple[float, float], task: str = "T1", frame: int = 0) -> dict[str, Any]:
    """One annotation of a drawing task with points."""
    points = [{"tool": 0, "frame": frame, "details": [], "x": x, "y": y} for x, y in places]
    return {"task": task, "task_label": "Mark it", "value": points}


def classify(
    user: str | None = "ann",
    subject: str = "1",
    annotations: Any = None,
    *,
    minute: int = 0,
    live: bool = True,
    about: dict[str, Any] | None = None,
    sizes: list[dict[str, int]] | None = None,
    **cells: str,
) -> dict[str, str]:
    """One row; cells replace whole cells. A user who begins with not-logged-in, or None, has no account."""
    anonymous = not user or user.startswith("not-logged-in")
    row = {
        "user_name": user or "",
        "user_id": "" if anonymous else str(zlib.crc32((user or "").encode())),
        "user_ip": "2c61707e96c97a759840",
        "workflow_id": "6122",
        "workflow_name": "Lenses",
        "workflow_version": "12.34",
        "created_at": f"2024-02-20 10:{minute:02d}:42 UTC",
        "gold_standard": "",
        "metadata": json.dumps({"live_project": live, "subject_dimensions": [SIZE] if sizes is None else sizes}),
        "annotations": json.dumps([answer("Yes")] if annotations is None else annotations),
        "subject_data": json.dumps({subject: {"retired": None, "#id": f"J{subject}"} if about is None else about}),
        "subject_ids": subject,
    }
    return row | cells


def write_export(path: Path, *rows: dict[str, str], header: tuple[str, ...] = HEADER) -> Path:
    """Write rows as an export, compressed by the ending of path."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"classification_id": str(7000 + number), **row} for number, row in enumerate(rows))
    data = text.getvalue().encode()
    packed = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, lambda plain: plain)
    path.write_bytes(packed(data))
    return path
