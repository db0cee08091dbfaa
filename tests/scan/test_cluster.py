"""Work on Dask: addresses at which there is none, and shards that fail or end their worker."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from test_engine import Given, cut_up

from convnet_galaxies.errors import BadImageError, InputError, UsageError
from convnet_galaxies.scan import cluster
from convnet_galaxies.scan.cluster import on_cluster

distributed = pytest.importorskip("distributed")


def connect(where: str) -> None:
    with on_cluster(where, Given(), {}):
        raise AssertionError("found a cluster")


@pytest.mark.parametrize("number", ["0", "1025"])
def test_numbers_of_processes_that_no_machine_has_are_refused(number: str) -> None:
    with pytest.raises(UsageError, match=f"--cluster: found {number}, expected processes from 1 on"):
        connect(number)


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:8786", "scheduler.json"])
def test_an_address_without_a_scheduler_is_one_message(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def fail(*addresses: str, scheduler_file: str = "", **_: object) -> None:
        raise OSError(f"timed out at {scheduler_file or addresses[0]}")

    monkeypatch.setattr(distributed, "Client", fail)
    with pytest.raises(InputError, match=f"no Dask scheduler at {where} .timed out at {where}") as caught:
        connect(where)
    assert "dask scheduler" in caught.value.fix


def test_the_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="--cluster: found no Dask") as caught:
        connect("2")
    assert "convnet-galaxies[cluster]" in caught.value.fix


def test_a_scheduler_elsewhere_gets_every_shard_and_its_faults_are_those_of_the_shard(
    world, predictor, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler in this process stands for one elsewhere, to which the file of its address leads."""
    monkeypatch.setattr(cluster, "TASK_IMAGES", 1)  # each shard a task
    error = BadImageError("tile 1: is cut short", "fetch it again")
    options = {"run": str(world / "lens"), "device": "cpu", "batch": 16, "precision": "fp32"}
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50
    ) as local:
        path = tmp_path / "scheduler.json"
        path.write_text(json.dumps(local.scheduler.identity()))
        with on_cluster(str(path), Given(failing=(1,), error=error), options) as run:
            results = {one.number: one for one in run(iter(cut_up(20, 40, 60)))}
    assert {number: one.error for number, one in results.items()} == {0: "", 1: error.message, 2: ""}
    assert results[2].table["row"].tolist() == list(range(40, 60))


def test_a_task_that_ends_its_worker_fails_its_shards_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask gives the error of a task that several workers died of; the next tasks go on."""

    class Future:
        def __init__(self, some) -> None:
            self.some = some

        def exception(self) -> Exception | None:
            return RuntimeError("killed worker") if self.some[0].number == 1 else None

        def result(self) -> list[str]:
            return [f"done {shard.number}" for shard in self.some]

    class Queue(list):
        add = list.append

        def __iter__(self):
            while self:
                yield self.pop(0)

    client = SimpleNamespace(
        scheduler_info=lambda **_: {"workers": {"a": 1}}, submit=lambda function, setting, some, **_: Future(some)
    )
    monkeypatch.setattr(cluster, "TASK_IMAGES", 1)
    monkeypatch.setattr(distributed, "as_completed", Queue)
    results = list(cluster._run(client, None, iter(cut_up(10, 20, 30, 40))))
    assert [one for one in results if isinstance(one, str)] == ["done 0", "done 2", "done 3"]
    (failed,) = (one for one in results if not isinstance(one, str))
    assert (failed.number, failed.name, failed.table) == (1, "tile 1", None)
    assert failed.error == "RuntimeError: killed worker"
