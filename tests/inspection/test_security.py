"""Who may read and write: the holder of the token, by this machine's name, and for writing from the page itself."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from made_sessions import HOST, TOKEN, WRITE, Client, list_all, make_client, make_session, send_grade

from convnet_galaxies.data.grade_book import read_grades
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.inspection.guard import MOST_BODY_BYTES
from convnet_galaxies.inspection.serve import _listen, check_place
from convnet_galaxies.inspection.server import make_app


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/session", "/api/view?grader=Ann", "/image/x"])
def test_nothing_is_read_without_the_token(tmp_path: Path, path: str) -> None:
    client = make_client(make_session(tmp_path, n=4), signed_in=False)
    assert client.get(path).status_code == 401
    client.cookies.set("inspect", TOKEN[:-1] + "0")
    assert client.get(path).status_code == 401


def test_the_token_in_the_address_becomes_a_cookie_that_no_script_reads(tmp_path: Path) -> None:
    client = make_client(make_session(tmp_path, n=4), signed_in=False)
    answer = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert answer.status_code == 303
    assert TOKEN not in answer.headers["location"]
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "127.0.0.2:8765"])
def test_another_sites_name_for_this_machine_reads_nothing(tmp_path: Path, host: str) -> None:
    client = make_client(make_session(tmp_path, n=4))
    assert client.get("/api/session", headers={"host": host}).status_code == 403
    assert client.get("/api/session", headers={"host": "localhost:1234"}).status_code == 200


def test_a_server_for_other_machines_is_called_by_its_addresses_but_by_no_foreign_name(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=4)
    for by_address, status in ((True, 200), (False, 403)):
        client = Client(make_app(session, token=TOKEN, by_address=by_address))
        client.cookies.set("inspect", TOKEN)
        for host in ("192.168.1.7:8765", "[2001:db8::7]:8765"):
            assert client.get("/api/session", headers={"host": host}).status_code == status
        assert client.get("/api/session", headers={"host": "7.evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", f"http://{HOST}.evil.example", "http://127.0.0.1:1", f"ftp://{HOST}"],
)
@pytest.mark.parametrize("path", ["/api/grade", "/api/undo", "/api/marks"])
def test_no_other_site_writes(tmp_path: Path, origin: str | None, path: str) -> None:
    session = make_session(tmp_path, n=4)
    client = make_client(session)
    key = list_all(client)[0]["key"]
    bodies = {
        "/api/grade": {"key": key, "grader": "Ann", "grade": 3, "request": "request-1"},
        "/api/undo": {"grader": "Ann", "request": "request-2"},
        "/api/marks": {"grader": "Ann", "mark": "seen", "keys": [key]},
    }
    headers = {"host": HOST} if origin is None else {"host": HOST, "origin": origin}
    assert client.post(path, json=bodies[path], headers=headers).status_code == 403
    assert client.post(path, json=bodies[path], headers=WRITE).status_code == 200


def test_a_write_by_reading_is_not_possible(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=4)
    client = make_client(session)
    for path in ("/api/grade", "/api/undo", "/api/marks"):
        assert client.get(path).status_code == 405
        assert client.post(path, data={"grader": "Ann"}, headers=WRITE).status_code == 422
    assert not len(read_grades(session.book.path, everything=True))


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e/%2e%2e/errors.py",
        "/static//etc/passwd",
        "/image/..%2f..%2fgrades.sqlite",
        "/image/%2fetc%2fpasswd",
        "/grades.sqlite",
        "/openapi.json",
        "/docs",
    ],
)
def test_no_file_beside_the_page_is_served(tmp_path: Path, path: str) -> None:
    assert make_client(make_session(tmp_path, n=4)).get(path).status_code in (404, 405)


def test_every_answer_forbids_the_page_to_load_from_elsewhere(tmp_path: Path) -> None:
    client = make_client(make_session(tmp_path, n=4))
    for path in ("/", "/static/main.js", "/api/session", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_page_names_no_other_server_and_makes_no_markup_of_texts() -> None:
    folder = Path(__file__).parents[2] / "src" / "convnet_galaxies" / "inspection" / "static"
    files = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert len(files) > 8
    for name, text in files.items():
        assert "http://" not in text, name
        assert "https://" not in text, name
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style="):
            assert way not in text, name


def test_names_and_notes_come_back_as_text(tmp_path: Path) -> None:
    client = make_client(make_session(tmp_path, n=4))
    key, name = list_all(client)[0]["key"], "<img src=x onerror=alert(1)>"
    answer = send_grade(client, key, 3, grader=name, note="</script><b>'\"; DROP TABLE grades")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["item"]["note"] == "</script><b>'\"; DROP TABLE grades"
    assert client.get("/api/session").json()["graders"] == [name]


def test_large_requests_are_refused(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=4)
    client = make_client(session)
    key = list_all(client)[0]["key"]
    assert send_grade(client, key, 3, note="x" * 3000).status_code == 422
    assert send_grade(client, key, 3, note="x" * (MOST_BODY_BYTES + 1)).status_code == 413
    assert send_grade(client, key, 3, shown={f"k{k}": 1 for k in range(11)}).status_code == 422
    assert client.get("/mosaic/x", params={"start": 0, "count": 10**6, "columns": 1}).status_code == 422
    assert client.get(f"/image/{key}", params={"most_px": 10**6}).status_code == 422

    async def send_pieces():  # type: ignore[no-untyped-def]
        for _ in range(20):
            yield b" " * 65_536

    headers = {**WRITE, "content-type": "application/json"}  # no length beforehand
    assert client.post("/api/grade", content=send_pieces(), headers=headers).status_code == 400
    assert not len(read_grades(session.book.path, everything=True))


def test_ids_are_texts_in_every_answer(tmp_path: Path) -> None:
    client = make_client(make_session(tmp_path, n=4, blind=False))
    item = list_all(client)[0]
    detail = client.get(f"/api/item/{item['key']}", params={"grader": "Ann"}).text
    assert isinstance(json.loads(detail)["id"], str)
    assert all(isinstance(value, str) for value in json.loads(detail)["values"].values())


def test_other_machines_need_a_token_of_the_user() -> None:
    check_place("127.0.0.1", 8765, None)
    check_place("0.0.0.0", 8765, "0123456789abcdef")
    for host, port, token, fault in (
        ("0.0.0.0", 8765, None, "needs a token"),
        ("127.0.0.1", 8765, "short", "expected at least 16"),
        ("127.0.0.1", 8765, "0123456789abcdef; path", "letters and digits"),
        ("127.0.0.1", 70_000, None, "expected 0 to 65535"),
    ):
        with pytest.raises(UsageError, match=fault):
            check_place(host, port, token)


def test_a_port_in_use_is_named_and_answers_are_not_delayed() -> None:
    with _listen("127.0.0.1", 0) as first:
        assert first.proto == socket.IPPROTO_TCP, "asyncio would leave Nagle's delay on"
        with pytest.raises(InputError, match="cannot be listened on"):
            _listen("127.0.0.1", first.getsockname()[1])
