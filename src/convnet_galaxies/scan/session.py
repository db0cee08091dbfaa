"""One session of a scan: claim its folder, do what is left, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from convnet_galaxies.data.input_notes import InputNotes
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.cluster import on_cluster
from convnet_galaxies.scan.engine import in_this_process
from convnet_galaxies.scan.ledger import Failure, Ledger, Progress
from convnet_galaxies.scan.plan import Plan, Prepared, claim_folder
from convnet_galaxies.scan.remarks import join_remarks
from convnet_galaxies.scan.run import Part, Place, Workers, do_shards

PLAN_WAIT_S = 600.0
"""Time that a part of a scan waits while another one makes the plan of all."""


@dataclass(frozen=True)
class SessionSummary:
    """What a session left.

    folder: of the scan. images: predicted so far in this part. shards: in this part; failures: of them, each with its
    reason. warnings, facts, left_out: sentences on the images; n_left_out: number of images left out.
    """

    folder: Path
    images: int
    shards: int
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]
    facts: tuple[str, ...]
    left_out: tuple[str, ...]
    n_left_out: int


def work_through(
    folder: Path,
    prepared: Prepared,
    predictor: Predictor,
    *,
    notes: InputNotes,
    part: Part,
    cluster: str | None = None,
    planning: Callable[[int, int], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> SessionSummary:
    """Do what is left of a plan, or of a part of it, in a folder.

    notes: on the source. cluster: see on_cluster; None works in this process. planning, progress: called while the
    plan is made, with (done, all) tiles, and with each shard.
    Raises InputError and UsageError as claim_folder and do_shards do.
    """
    wait_s = 0 if part.count == 1 else PLAN_WAIT_S
    changed = claim_folder(folder, prepared.facts, lambda: prepared.prepare(planning), wait_s=wait_s)
    plan = prepared.load()
    place = Place(folder, part)
    found = do_shards(place, plan, _workers(plan, predictor, cluster), changed=changed, progress=progress)
    return summarise(folder, [place], notes, found.failures)


def summarise(folder: Path, places: Sequence[Place], notes: InputNotes, failures: Sequence[Failure]) -> SessionSummary:
    """Return the summary of the ledgers of a scan. notes: on the source; remarks on the images are added."""
    images = shards = number = 0
    texts: list[str] = []
    for place in places:
        with Ledger(place.ledger, read_only=True) as ledger:
            progress = ledger.progress()
            notes, more, count = join_remarks(ledger.remarks(), notes)
        images, shards, number = images + progress.images, shards + progress.shards, number + count
        texts += more
    return SessionSummary(
        folder, images, shards, tuple(failures), tuple(notes.warnings()), tuple(notes.facts()), tuple(texts), number
    )


def _workers(plan: Plan, predictor: Predictor, cluster: str | None) -> Workers:
    if cluster is None:
        return in_this_process(plan.reader, predictor)
    is_local = cluster.isdecimal()
    options = {
        "run": str(predictor.run),
        # Workers elsewhere may have GPUs that this machine has not.
        "device": "cpu" if is_local and predictor.device.type == "cpu" else "auto",
        "views": predictor.views,
        "precision": plan.facts["run"]["precision"],
        "batch": predictor.batch,
        "grey": predictor.grey,
    }
    return on_cluster(cluster, plan.reader, options)
