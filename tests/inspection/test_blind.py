"""What a blind grader may not know: which images are mixed in, which repeat, and how anything was scored."""

from __future__ import annotations

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_sessions import list_all, make_client, make_session, open_candidates, send_grade, write_known
from PIL import Image

from convnet_galaxies.data.grade_book import GradeBook, read_grades
from convnet_galaxies.errors import UsageError
from convnet_galaxies.inspection.mixing import make_showings, shuffle
from convnet_galaxies.inspection.open_source import open_source
from convnet_galaxies.inspection.planes import compare_sources
from convnet_galaxies.inspection.results import expand_shown
from convnet_galaxies.inspection.session import Session, SessionOptions


def test_shares_of_what_is_shown_are_those_that_were_wanted(tmp_path: Path) -> None:
    session = make_session(tmp_path, mixed=True, mix_share=0.2, repeat_share=0.1)
    counts = Counter(session.showings.role.tolist())
    assert counts == {"candidate": 30, "mixed in": 9, "repeat": 4}
    assert counts["mixed in"] / 43 == pytest.approx(0.2, abs=0.02)
    ids = session.source.table["id"].tolist()
    assert session.showings.ids[:30].tolist() == ids
    repeats = session.showings.ids[session.showings.role == "repeat"].tolist()
    assert len(set(repeats)) == 4
    assert set(repeats) <= set(ids)


def test_an_item_of_a_blind_session_tells_the_own_grade_alone(tmp_path: Path) -> None:
    session = make_session(tmp_path, mixed=True, mix_share=0.3, repeat_share=0.2)
    client = make_client(session)
    items = list_all(client)
    assert len(items) == len(session.showings)
    details = [client.get(f"/api/item/{one['key']}", params={"grader": "Ann"}) for one in items]
    fields = {"key", "grade", "kind", "note", "picked", "seen"}
    for item, detail in zip(items, details, strict=True):
        assert set(item) == set(detail.json()) == fields
        assert re.fullmatch(r"[\w-]{16}", item["key"])
    assert {frozenset(answer.headers) for answer in details} == {frozenset(details[0].headers)}
    assert {len(answer.content) for answer in details} == {len(details[0].content)}
    described = client.get("/api/session").text
    assert not re.search("cutout|sim_|candidates|probability|flavor_", described)


def test_images_of_a_blind_session_differ_in_pixels_alone(tmp_path: Path) -> None:
    session = make_session(tmp_path, mixed=True, mix_share=0.3, repeat_share=0.2, n=12)
    client = make_client(session)
    answers = [client.get(f"/image/{one['key']}") for one in list_all(client)]
    opened = [Image.open(io.BytesIO(answer.content)) for answer in answers]
    assert {(one.size, one.mode, one.format) for one in opened} == {((32, 32), "RGB", "PNG")}
    assert not any(one.info for one in opened)
    assert {frozenset(answer.headers) for answer in answers} == {frozenset(answers[0].headers)}
    assert len({answer.headers["etag"] for answer in answers}) == len(answers), "not even a repeat has equal bytes"


def test_candidates_of_several_sizes_are_shown_in_one(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number, (h, w) in enumerate(((32, 32), (20, 20), (48, 40))):
        Image.fromarray(np.full((h, w, 3), 90, np.uint8)).save(tmp_path / "images" / f"{number}.png")
    session = Session(open_source(tmp_path / "images"), GradeBook(tmp_path / "g.sqlite"))
    client = make_client(session)
    sizes = [Image.open(io.BytesIO(client.get(f"/image/{one['key']}").content)).size for one in list_all(client)]
    assert sizes == [(32, 32)] * len(session.showings)


def test_larger_images_that_are_mixed_in_are_cut_to_the_size_of_the_candidates(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    big = np.zeros((64, 80, 3), np.uint8)
    big[16:48, 24:56] = 200
    for name in "abc":
        Image.fromarray(big).save(tmp_path / "known" / f"{name}.png")
    session = Session(
        open_candidates(tmp_path), GradeBook(tmp_path / "g.sqlite"), mixed=[open_source(tmp_path / "known")]
    )
    mixed = np.flatnonzero(session.showings.role == "mixed in")
    assert len(mixed) == 3
    image = session.pictures.image(int(mixed[0]))
    assert image is not None
    assert image.shape == (32, 32)
    assert image.planes[0].values.min() == 200


def test_an_answer_about_an_image_takes_whole_steps_of_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from convnet_galaxies.inspection import server

    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(server, "sleep", note)
    clock = iter([100.0, 100.03, 200.0, 200.25])
    monkeypatch.setattr(server, "monotonic", lambda: next(clock))
    client = make_client(make_session(tmp_path, n=3))
    for item in list_all(client)[:2]:
        client.get(f"/image/{item['key']}")
    assert waits == pytest.approx([0.07, 0.05])


@pytest.mark.parametrize(
    "asked",
    [
        {"sort": "probability"},
        {"sort": "familiarity"},
        {"lowest": 0.5},
        {"known": True},
        {"flag": "edge"},
        {"by": "Ben"},
        {"text": "sim"},
    ],
)
def test_a_blind_list_is_neither_sorted_nor_filtered_by_what_is_hidden(
    tmp_path: Path, asked: dict[str, object]
) -> None:
    client = make_client(make_session(tmp_path, n=4))
    answer = client.get("/api/view", params={"grader": "Ann", **asked})
    assert answer.status_code == 400
    assert "blind" in answer.json()["message"]


def test_a_blind_session_gives_neither_larger_fields_nor_results(tmp_path: Path) -> None:
    client = make_client(make_session(tmp_path, n=4))
    key = list_all(client)[0]["key"]
    send_grade(client, key, 3)
    assert client.get("/api/results").status_code == 403
    assert client.get(f"/image/{key}", params={"wider": 2}).status_code == 403


def test_the_order_is_that_of_the_seed_and_another_for_each_grader() -> None:
    np.testing.assert_array_equal(shuffle(50, 3, "Ann"), shuffle(50, 3, "Ann"))
    assert sorted(shuffle(50, 3, "Ben")) == list(range(50))
    assert (shuffle(50, 3, "Ann") != shuffle(50, 3, "Ben")).any()
    assert (shuffle(50, 3, "Ann") != shuffle(50, 4, "Ann")).any()


def test_keys_tell_nothing_without_the_secret_of_the_table(tmp_path: Path) -> None:
    source = open_candidates(tmp_path)
    plans = [
        make_showings(source, np.arange(30), blind=True, seed=0, secret=secret) for secret in (b"1" * 16, b"2" * 16)
    ]
    assert plans[0].ids.tolist() == plans[1].ids.tolist()
    assert not set(plans[0].keys) & set(plans[1].keys)
    assert len(set(plans[0].keys)) == len(plans[0])


def test_the_table_of_grades_keeps_what_was_mixed_in(tmp_path: Path) -> None:
    session = make_session(tmp_path, mixed=True, mix_share=0.3, repeat_share=0.2)
    client = make_client(session)
    for item in list_all(client):
        send_grade(client, item["key"], 1)
    table = expand_shown(read_grades(tmp_path / "grades.sqlite"))
    assert Counter(table["role"]) == Counter(session.showings.role.tolist())
    mixed = table[table["role"] == "mixed in"]
    assert mixed["lens"].notna().all()
    assert mixed.loc[mixed["lens"] == 1, "einstein_radius_arcsec"].eq(1.2).all()
    assert table.loc[table["role"] != "mixed in", "lens"].isna().all()


def test_shares_that_leave_no_room_are_refused(tmp_path: Path) -> None:
    source, known = open_candidates(tmp_path), open_source(write_known(tmp_path))
    with pytest.raises(UsageError, match="expected fractions that leave room"):
        make_showings(
            source, np.arange(30), mixed=[known], mix_share=0.6, repeat_share=0.5, blind=True, seed=0, secret=b"1"
        )


def test_the_best_candidates_are_chosen_before_they_are_shuffled(tmp_path: Path) -> None:
    source = open_candidates(tmp_path)
    session = Session(source, GradeBook(tmp_path / "g.sqlite"), SessionOptions(top=5, repeat_share=0))
    assert sorted(session.showings.row.tolist()) == [25, 26, 27, 28, 29]
    session = Session(source, GradeBook(tmp_path / "g.sqlite"), SessionOptions(lowest=0.9, repeat_share=0))
    assert sorted(session.showings.row.tolist()) == [27, 28, 29]


def test_what_a_grader_could_tell_apart_by_eye_is_told_at_the_start(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, side in (("small", 20), ("same", 32)):
        (tmp_path / name).mkdir()
        Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(tmp_path / name / "a.png")
    candidates = open_candidates(tmp_path)
    remarks = [compare_sources([candidates, open_source(tmp_path / name)]).remarks for name in ("small", "same")]
    assert remarks[1] == ()
    assert "since they have 20 px instead of 32 px" in remarks[0][0]
