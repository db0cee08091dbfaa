"""`inspect` as a program with a socket of its own: its address, what it serves, and its end by Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from made_sessions import write_candidates

from convnet_galaxies.cli import app
from convnet_galaxies.data.grade_book import GradeBook, read_grades
from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.errors import GalaxyError, InputError, UsageError
from convnet_galaxies.inspection import neighbours
from convnet_galaxies.predict.embeddings import Embeddings, write_embeddings

PATIENCE_S = 300.0


def write_features(path: Path, ids: list[str]) -> Path:
    """Features whose angle to the first image grows with the row."""
    angles = np.linspace(0.1, 1.4, len(ids))
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32) ** 2
    write_embeddings(path, Embeddings(tuple(ids), features, "builtin:lens", "0" * 16, 1))
    return path


@contextmanager
def served(
    *words: object, on_ctrl_c: signal.Handlers = signal.SIG_DFL
) -> Iterator[tuple[subprocess.Popen[str], list[str], str]]:
    """A program that serves, the lines that it printed up to its address, and the address.

    on_ctrl_c: what it inherits: a shell without job control has its background jobs ignore Ctrl-C, and their children.
    """

    def inherit() -> None:
        signal.signal(signal.SIGINT, on_ctrl_c)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, under which the tests may run, has it ignored

    command = [sys.executable, "-m", "convnet_galaxies", "inspect", *map(str, words), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=inherit
    ) as program:
        try:
            assert program.stdout is not None
            lines = []
            for line in program.stdout:
                lines.append(line)
                if found := re.match(r"Open (http://127\.0\.0\.1:\d+)/\?token=\w{32}$", line):
                    yield program, lines, found[1]
                    break
            else:
                assert program.stderr is not None
                raise AssertionError(program.stderr.read())
        finally:
            program.kill()


def test_a_session_ends_by_ctrl_c_with_its_grades_on_the_disk_and_its_port_free(tmp_path: Path) -> None:
    pack = write_candidates(tmp_path, 12)
    ids = read_pack(pack).table["id"].tolist()
    features = write_features(tmp_path / "f.parquet", ids[:10])
    database = tmp_path / "grades.sqlite"
    words = (pack, "--predictions", tmp_path / "p.csv", "--embeddings", features, "--no-blind", "--database", database)
    with served(*words) as (program, lines, address), httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        assert lines[0] == f"12 images; grades go to {database}\n"
        assert client.get("/api/session").status_code == 401  # without its token nobody gets in
        token = lines[-1].strip().partition("token=")[2]
        assert client.get("/", params={"token": token}, follow_redirects=True).status_code == 200
        facts = client.get("/api/session").json()
        assert (facts["total"], facts["has_neighbours"]) == (12, True)
        view = client.get("/api/view", params={"grader": "Ann", "sort": "probability"}).json()["view"]
        query: dict[str, Any] = {"view": view, "grader": "Ann", "count": 400}
        items = {one["id"]: one for one in client.get("/api/items", params=query).json()["items"]}
        detail = client.get(f"/api/item/{items[ids[0]]['key']}", params={"grader": "Ann"}).json()
        near = [one["id"] for one in detail["neighbours"]]
        assert near[:2] == ids[1:3]
        assert not {ids[10], ids[11]} & set(near)  # the file has no features of these
        body = {"key": items[ids[4]]["key"], "grader": "Ann", "grade": 2.0, "request": "request-1"}
        answer = client.post("/api/grade", json=body, headers={"origin": address})
        assert answer.status_code == 200, answer.text
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=PATIENCE_S)
        assert (program.returncode, err.endswith("Stopped.\n")) == (130, True), err
        assert "Traceback" not in err
    grades = read_grades(database)
    assert (grades["id"].tolist(), grades["grade"].tolist(), grades["grader"].tolist()) == ([ids[4]], [2.0], ["Ann"])
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        pass  # the port is free again


@pytest.mark.parametrize(
    ("number", "on_ctrl_c"),
    [(signal.SIGINT, signal.SIG_IGN), (signal.SIGTERM, signal.SIG_DFL), (signal.SIGHUP, signal.SIG_IGN)],
)
def test_a_stopped_server_has_one_exit_code_whatever_stopped_it(
    tmp_path: Path, number: signal.Signals, on_ctrl_c: signal.Handlers
) -> None:
    with served(write_candidates(tmp_path), on_ctrl_c=on_ctrl_c) as (program, _, address):
        assert httpx.get(f"{address}/api/session", timeout=PATIENCE_S).status_code == 401
        program.send_signal(number)
        _, err = program.communicate(timeout=PATIENCE_S)
        assert (program.returncode, err) == (130, "Stopped.\n")


def run(*words: object) -> None:
    app([*map(str, words)], standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--samp",), "--run and --samp: would show positions"),
        (("--host", "0.0.0.0"), "which needs a token of yours"),
        (("--token", "short"), "found 5 characters, expected at least 16"),
        (("--port", 65536), "--port: found 65536, expected 0 to 65535"),
    ],
)
def test_places_and_options_that_would_show_too_much_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], expected: str
) -> None:
    monkeypatch.delenv("CONVNET_GALAXIES_TOKEN", raising=False)
    pack = write_candidates(tmp_path)
    with pytest.raises(UsageError, match=re.escape(expected)):
        run("inspect", pack, *words)
    assert not list(tmp_path.glob("*.sqlite"))


def test_a_table_of_grades_is_no_source_of_candidates(tmp_path: Path) -> None:
    GradeBook(tmp_path / "g.sqlite").close()
    with pytest.raises(UsageError, match="is a table of grades, expected candidates"):
        run("inspect", tmp_path / "g.sqlite")


def test_a_port_that_is_taken_is_one_message(tmp_path: Path) -> None:
    pack = write_candidates(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1, port {port}: cannot be listened on") as caught:
            run("inspect", pack, "--port", port)
    assert "--port" in caught.value.fix


def test_features_of_other_images_and_other_files_are_refused(tmp_path: Path) -> None:
    ids = read_pack(write_candidates(tmp_path)).table["id"]
    path = write_features(tmp_path / "f.parquet", ["a", "b"])
    with pytest.raises(InputError, match=r"found features of none of the 30 candidates .* not a, b") as caught:
        neighbours.read_features(path, ids)
    assert "predict --embeddings" in caught.value.fix
    with pytest.raises(GalaxyError, match="is no file of embeddings"):
        neighbours.read_features(tmp_path / "p.csv", ids)
