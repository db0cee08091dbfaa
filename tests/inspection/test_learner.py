from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_sessions import WRITE, list_all, make_client, make_session, send_grade

from convnet_galaxies.inspection.learner import Learner, gather
from convnet_galaxies.inspection.session import Session

N = 60


@pytest.fixture
def wanted() -> np.ndarray:
    return np.arange(N) % 4 == 0


@pytest.fixture
def session(tmp_path: Path, wanted: np.ndarray) -> Session:
    """An open session whose candidates have features: every fourth is of another kind."""
    made = make_session(tmp_path, n=N, blind=False, mixed=True, mix_share=0.1)
    rng = np.random.default_rng(0)
    features = rng.gamma(4, size=(N, 20))
    features[wanted, :5] *= 3
    made.learner = Learner(features, made.source.table["group"])
    return made


def grade_some(client, session: Session, wanted: np.ndarray, count: int, *, grader: str = "Ann") -> None:
    rows = {name: row for row, name in enumerate(session.source.table["id"])}
    for item in [one for one in list_all(client) if "id" in one][:count]:
        send_grade(client, item["key"], 3.0 if wanted[rows[item["id"]]] else 0.0, grader=grader)


def view(client, **options):
    return client.get("/api/view", params={"grader": "Ann", **options})


def test_candidates_are_ranked_anew_by_the_grades_so_far_and_the_page_tells_how_well(session, wanted) -> None:
    client = make_client(session)
    assert "next" in client.get("/api/session").json()["sorts"]
    grade_some(client, session, wanted, 40)
    answer = view(client, sort="learned").json()
    assert answer["remark"].startswith(
        f"Learned from 40 candidates, {sum_of(session)} of grade 2 or more. On grades left"
    )
    rows = {name: row for row, name in enumerate(session.source.table["id"])}
    items = list_all(client, sort="learned")
    ranked = [wanted[rows[one["id"]]] for one in items if "id" in one]
    assert np.mean(ranked[:15]) > 0.9
    assert all("id" not in one for one in items[N:])  # what is mixed in comes last


def sum_of(session: Session) -> int:
    return int((gather(session.showings, session.tally, "Ann").grades >= 2).sum())


def test_what_to_grade_next_begins_with_ungraded_candidates(session, wanted) -> None:
    client = make_client(session)
    assert "candidates that differ come first" in view(client, sort="next").json()["remark"]
    grade_some(client, session, wanted, 30)
    graded = {one["id"] for one in list_all(client) if one.get("id") and one["grade"] is not None}
    items = [one["id"] for one in list_all(client, sort="next") if "id" in one]
    assert not set(items[: N - 30]) & graded
    assert set(items[N - 30 :]) == graded


def test_without_anything_wanted_the_answer_is_what_to_do(session, wanted) -> None:
    answer = view(make_client(session), sort="learned")
    assert answer.status_code == 400
    assert "expected at least one" in answer.json()["message"]
    assert "grade or pick" in answer.json()["fix"]


def test_picks_count_as_wanted_and_what_was_passed_over_as_not(session, wanted) -> None:
    client = make_client(session)
    items = [one for one in list_all(client) if "id" in one][:20]
    rows = {name: row for row, name in enumerate(session.source.table["id"])}
    picked = [one["key"] for one in items if wanted[rows[one["id"]]]]
    for mark, keys in (("picked", picked), ("seen", [one["key"] for one in items])):
        client.post("/api/marks", json={"grader": "Ann", "mark": mark, "keys": keys}, headers=WRITE)
    judged = gather(session.showings, session.tally, "Ann")
    assert (len(judged.rows), judged.picks) == (20, len(picked))
    np.testing.assert_array_equal(judged.grades == 3, wanted[judged.rows])
    assert f"({len(picked)} of them picks)" in view(client, sort="learned").json()["remark"]
    assert not len(gather(session.showings, session.tally, "Bob").rows)


def test_grades_of_all_graders_are_averaged_and_what_is_mixed_in_does_not_count(session) -> None:
    client = make_client(session)
    items = list_all(client)
    key = next(one["key"] for one in items if "id" in one)
    mixed = next(one["key"] for one in items if "id" not in one)
    send_grade(client, key, 3.0)
    send_grade(client, key, 0.0, grader="Bob")
    send_grade(client, mixed, 3.0)
    judged = gather(session.showings, session.tally, "Ann")
    assert judged.grades.tolist() == [1.5]


def test_a_blind_session_is_not_ordered_by_what_was_learned(tmp_path) -> None:
    blind = make_session(tmp_path, n=12)
    blind.learner = Learner(np.random.default_rng(0).gamma(4, size=(12, 5)))
    answer = view(make_client(blind), sort="learned")
    assert answer.status_code == 400
    assert "this session is blind" in answer.json()["message"]


def test_without_features_the_sorts_are_not_offered(tmp_path) -> None:
    plain = make_session(tmp_path, n=12, blind=False)
    client = make_client(plain)
    assert "learned" not in client.get("/api/session").json()["sorts"]
    assert "start `inspect` with --embeddings" in view(client, sort="next").json()["fix"]
