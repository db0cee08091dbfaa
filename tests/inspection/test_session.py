"""The server's lists, grades and pictures, as the page asks for them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from made_sessions import (
    WRITE,
    list_all,
    make_client,
    make_session,
    open_candidates,
    send_grade,
)
from PIL import Image
from small_sets import make_lens_set, write_pngs

from convnet_galaxies.data.grade_book import Grade, GradeBook, read_grades
from convnet_galaxies.errors import InputError
from convnet_galaxies.inspection.neighbours import Neighbours
from convnet_galaxies.inspection.open_source import open_source
from convnet_galaxies.inspection.session import Session, SessionOptions
from convnet_galaxies.inspection.thumbnails import BoundedCache


def test_candidates_are_sorted_and_filtered_on_the_server(tmp_path: Path) -> None:
    session = make_session(tmp_path, blind=False)
    client, ids = make_client(session), session.source.table["id"].tolist()
    by_score = list_all(client, sort="probability")
    assert [one["id"] for one in by_score] == ids[::-1]
    assert [one["id"] for one in list_all(client, sort="probability", descending=False)] == ids
    assert [one["id"] for one in list_all(client, sort="rank")] == ids[::-1], "the first rank is the best"
    assert sorted(one["id"] for one in list_all(client, sort="random")) == sorted(ids)
    assert [one["id"] for one in list_all(client, sort="random")] != ids
    some = list_all(client, sort="probability", lowest=0.3, highest=0.5)
    assert some
    assert all(0.3 <= one["probability"] <= 0.5 for one in some)
    assert len(some) == sum(0.3 <= (k + 1) / 31 <= 0.5 for k in range(30))
    assert [one["id"] for one in list_all(client, text=ids[7])] == [ids[7]]


def test_lists_are_filtered_by_what_the_grader_did(tmp_path: Path) -> None:
    client = make_client(make_session(tmp_path, n=6))
    keys = [one["key"] for one in list_all(client)]
    send_grade(client, keys[0], 3)
    send_grade(client, keys[1], 0, kind="spiral")
    send_grade(client, keys[2], 0, grader="Ben")
    client.post("/api/marks", json={"grader": "Ann", "mark": "picked", "keys": keys[3:5]}, headers=WRITE)
    client.post("/api/marks", json={"grader": "Ann", "mark": "unpicked", "keys": keys[4:5]}, headers=WRITE)

    def found(**filters: object) -> set[str]:
        return {one["key"] for one in list_all(client, **filters)}

    assert found(graded=True) == set(keys[:2])
    assert found(graded=False) == set(keys[2:])
    assert found(kind="spiral") == {keys[1]}
    assert found(grade=3) == {keys[0]}
    assert found(picked=True) == {keys[3]}
    assert found(seen=True) == set()


def test_disagreement_sorts_by_the_distance_of_the_net_from_the_grades(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=10, blind=False)
    client = make_client(session)
    items = {one["id"]: one for one in list_all(client)}
    ids = session.source.table["id"].tolist()  # probabilities 1/11 to 10/11
    for name, grade in ((ids[0], 3), (ids[9], 3), (ids[5], 0)):
        send_grade(client, items[name]["key"], grade)
    assert [one["id"] for one in list_all(client, sort="disagreement")][:3] == [ids[0], ids[5], ids[9]]


def test_a_grade_is_in_the_file_when_the_answer_comes(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=4)
    client = make_client(session)
    key = list_all(client)[0]["key"]
    answer = send_grade(client, key, 0, kind="ring", note="a face-on ring", seconds=2.25, shown={"stretch": "log"})
    assert answer.json()["item"]["grade"] == 0
    assert answer.json()["progress"]["graded"] == 1
    (tmp_path / "copy.sqlite").write_bytes((tmp_path / "grades.sqlite").read_bytes())
    row = read_grades(tmp_path / "copy.sqlite").iloc[0]
    assert (row["grader"], row["grade"], row["kind"], row["note"], row["seconds"]) == (
        "Ann",
        0,
        "ring",
        "a face-on ring",
        2.25,
    )
    assert '"stretch": "log"' in row["shown"]


def test_grades_outside_the_scheme_are_refused(tmp_path: Path) -> None:
    client = make_client(make_session(tmp_path, n=4))
    key = list_all(client)[0]["key"]
    assert send_grade(client, key, 2.5).status_code == 400
    assert send_grade(client, key, 0, kind="planet").status_code == 400
    assert send_grade(client, "no-such-key", 3).status_code == 404
    assert send_grade(client, key, 3, grader="\x07").status_code == 400


def test_undo_goes_back_grade_by_grade_for_its_grader_alone(tmp_path: Path) -> None:
    client = make_client(make_session(tmp_path, n=4))
    keys = [one["key"] for one in list_all(client)]
    send_grade(client, keys[0], 3)
    send_grade(client, keys[1], 1)
    send_grade(client, keys[2], 2, grader="Ben")

    def undo(number: int) -> dict[str, object] | None:
        body = {"grader": "Ann", "request": f"undo-number-{number}"}
        item: dict[str, object] | None = client.post("/api/undo", json=body, headers=WRITE).json()["item"]
        return item

    first = undo(1)
    assert first is not None
    assert (first["key"], first["grade"]) == (keys[1], None)
    assert undo(1) == first, "a request that is sent twice undoes one grade"
    second = undo(2)
    assert second is not None
    assert second["key"] == keys[0]
    assert undo(3) is None
    assert {one["key"]: one["grade"] for one in list_all(client, "Ben")}[keys[2]] == 2


def test_another_server_on_the_same_table_sees_the_grades(tmp_path: Path) -> None:
    first = make_session(tmp_path, n=4)
    second = Session(first.source, GradeBook(tmp_path / "grades.sqlite"), SessionOptions())
    clients = make_client(first), make_client(second)
    key = list_all(clients[0])[0]["key"]
    send_grade(clients[0], key, 3)
    assert {one["key"]: one["grade"] for one in list_all(clients[1])}[key] == 3


def test_a_session_goes_on_where_it_was_after_a_new_start(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=8)
    client = make_client(session)
    view = client.get("/api/view", params={"grader": "Ann"}).json()
    keys = [one["key"] for one in list_all(client)]
    for key in keys[:3]:
        send_grade(client, key, 1)
    again = make_client(Session(session.source, GradeBook(tmp_path / "grades.sqlite"), SessionOptions()))
    assert [one["key"] for one in list_all(again)] == keys
    assert again.get("/api/view", params={"grader": "Ann"}).json()["first"] == 3
    gone = again.get("/api/items", params={"view": view["view"], "grader": "Ann"})
    assert gone.status_code == 410


def test_a_table_of_grades_of_other_candidates_is_refused(tmp_path: Path) -> None:
    book = GradeBook(tmp_path / "grades.sqlite")
    book.append_grade(Grade("a-request", "other", "another galaxy", "Ann", 3.0))
    with pytest.raises(InputError, match="found 1 grades, none of them of these candidates"):
        Session(open_candidates(tmp_path), book)


def test_a_mosaic_shows_the_tiles_in_the_order_of_the_list(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=7, blind=False)
    client = make_client(session)
    view = client.get("/api/view", params={"grader": "Ann", "sort": "probability", "descending": False}).json()["view"]
    query = {"start": 1, "count": 5, "columns": 3, "side": 64}
    answer = client.get(f"/mosaic/{view}", params=query)
    sheet = simplejpeg.decode_jpeg(answer.content).astype(int)
    assert sheet.shape == (128, 192, 3)
    for place in range(5):
        y, x = 64 * (place // 3), 64 * (place % 3)
        expected = session.source.pixels([place + 1], 64)[0]
        assert np.abs(sheet[y : y + 64, x : x + 64] - expected).mean() < 6
    assert sheet[64:, 128:].max() < 8, "no tile, no light"
    same = client.get(f"/mosaic/{view}", params=query, headers={"if-none-match": answer.headers["etag"]})
    assert same.status_code == 304


def test_one_image_comes_in_its_own_pixels_without_loss(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=3, blind=False)
    client = make_client(session)
    item = list_all(client, sort="rank")[0]
    answer = client.get(f"/image/{item['key']}")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), session.source.pixels([2], 32)[0])
    red = client.get(f"/image/{item['key']}", params={"band": 0})
    pixels = np.asarray(Image.open(io.BytesIO(red.content)))
    np.testing.assert_array_equal(pixels, np.repeat(session.source.pixels([2], 32)[0][..., :1], 3, axis=2))


def test_the_cache_holds_no_more_than_it_may() -> None:
    cache, made = BoundedCache(1000), []

    def make(key: int) -> np.ndarray:
        made.append(key)
        return np.zeros(300, np.uint8)

    for key in (0, 1, 2, 0, 3, 0, 1):
        cache.get(key, lambda key=key: make(key))  # type: ignore[misc]
    assert cache.size_bytes <= 1000
    assert made == [0, 1, 2, 3, 1], "what was used last stays"


def test_neighbours_are_those_of_the_smallest_angle(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=12, blind=False)
    angles = np.linspace(0, np.pi / 2, 12)
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1) ** 2  # their roots are compared
    features[11] = np.nan
    session.neighbours = Neighbours(features)
    client, ids = make_client(session), session.source.table["id"].tolist()
    items = {one["id"]: one for one in list_all(client)}
    detail = client.get(f"/api/item/{items[ids[0]]['key']}", params={"grader": "Ann"}).json()
    assert [one["id"] for one in detail["neighbours"]][:2] == [ids[1], ids[2]]
    assert ids[11] not in [one["id"] for one in detail["neighbours"]]
    alike = list_all(client, sort="similarity", like=items[ids[0]]["key"])
    assert [one["id"] for one in alike][:3] == [ids[0], ids[1], ids[2]]
    assert alike[-1]["id"] == ids[11]


def test_an_open_session_shows_positions_links_and_columns(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=3, blind=False)
    client = make_client(session)
    item = list_all(client, sort="rank")[0]
    detail = client.get(f"/api/item/{item['key']}", params={"grader": "Ann"}).json()
    assert detail["position"]["dec_deg"] == pytest.approx(2.002)
    addresses = {link["name"]: link["address"] for link in detail["position"]["links"]}
    assert list(addresses) == ["Legacy Surveys", "Aladin Lite", "NED"]
    assert "ra=150.000000&dec=2.002000" in addresses["Legacy Surveys"]
    assert detail["values"]["lens_probability"] == "0.75"


def test_a_full_disk_refuses_the_grade_and_keeps_those_before(tmp_path: Path) -> None:
    session = make_session(tmp_path, n=4)
    client = make_client(session)
    keys = [one["key"] for one in list_all(client)]
    assert send_grade(client, keys[0], 3).status_code == 200
    pages = session.book._connection.execute("PRAGMA page_count").fetchone()[0]
    session.book._connection.execute(f"PRAGMA max_page_count = {pages}")
    answers = [send_grade(client, keys[1], 2, note="x" * 2000, request=f"request-full-{k}") for k in range(8)]
    assert answers[-1].status_code == 507, "the page keeps what got 5xx and sends it again"
    assert "could not be written" in answers[-1].json()["message"]
    session.book._connection.execute("PRAGMA max_page_count = 100000")
    assert send_grade(client, keys[2], 1).status_code == 200
    assert read_grades(tmp_path / "grades.sqlite").set_index("showing")["grade"][[keys[0], keys[2]]].tolist() == [3, 1]


def test_a_candidate_without_an_image_is_a_cross_among_the_others(tmp_path: Path) -> None:
    images = write_pngs(make_lens_set(3), tmp_path / "images")
    names = sorted(path.stem for path in images.iterdir())
    (tmp_path / "p.csv").write_text("id,rank\n" + "".join(f"{name},{k}\n" for k, name in enumerate([*names, "lost"])))
    (images / f"{names[1]}.png").write_bytes(b"broken")
    source = open_source(tmp_path / "p.csv", images=images)
    session = Session(source, GradeBook(tmp_path / "g.sqlite"), SessionOptions(blind=False))
    client = make_client(session)
    view = client.get("/api/view", params={"grader": "Ann", "sort": "rank"}).json()["view"]
    answer = client.get(f"/mosaic/{view}", params={"start": 0, "count": 4, "columns": 4, "side": 64})
    tiles = simplejpeg.decode_jpeg(answer.content).reshape(64, 4, 64, 3).swapaxes(0, 1).astype(int)
    assert np.abs(tiles[1] - tiles[3]).max() < 8, "the same cross"
    assert np.abs(tiles[0] - tiles[2]).max() > 50
    items = list_all(client, sort="rank")
    for k in (1, 3):
        assert client.get(f"/image/{items[k]['key']}").status_code == 404
        assert send_grade(client, items[k]["key"], 0, kind="artefact").status_code == 200
    assert "has no image" in client.get(f"/api/item/{items[3]['key']}", params={"grader": "Ann"}).json()["fault"]
    assert client.get("/api/session").json()["flags"] == ["no image"]
