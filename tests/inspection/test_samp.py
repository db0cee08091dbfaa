"""SAMP against astropy's own hub on 127.0.0.1, with a second client in the place of TOPCAT."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord

from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.inspection.samp import LOAD, POINT, ROW, TABLE_ID, SampLink, find_nearest, load_samp

PATIENCE_S = 60
SAMP = load_samp()


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["9007199254740993", "b", "c"],
            "ra_deg": [150.0, 359.9999, np.nan],
            "dec_deg": [2.0, -10.0, np.nan],
            "lens_probability": [0.9, 0.5, 0.1],
            "group": ["x", "y", "z"],
        }
    )


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    lock = tmp_path / "samp.lock"
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{lock.as_uri()}")
    with SAMP.conf.set_temp("use_internet", False):
        server = SAMP.SAMPHubServer(lockfile=str(lock), addr="127.0.0.1", web_profile=False, mode="single")
        server.start()
        yield server
        server.stop()


@pytest.fixture
def topcat(hub) -> Iterator[tuple[Any, queue.Queue]]:
    """Another program, and what it received: (mtype, params)."""
    with SAMP.conf.set_temp("use_internet", False):
        client = SAMP.SAMPIntegratedClient(name="topcat", metadata={"samp.name": "topcat"}, addr="127.0.0.1")
        client.connect()
    received: queue.Queue = queue.Queue()
    for mtype in (LOAD, ROW, POINT):
        client.bind_receive_notification(
            mtype, lambda key, sender, mtype, params, extra: received.put((mtype, dict(params)))
        )
    yield client, received
    client.disconnect()


def test_candidates_and_positions_arrive_and_the_row_picked_there_comes_back(table, topcat) -> None:
    client, received = topcat
    picked: queue.Queue = queue.Queue()
    with SampLink(table, picked.put) as link:
        assert link.send_table() == ["topcat"]
        mtype, params = received.get(timeout=PATIENCE_S)
        assert (mtype, params["table-id"]) == (LOAD, TABLE_ID)
        sent = read_table(Path(params["url"].removeprefix("file://")))
        assert sent["id"].tolist() == table["id"].tolist()
        assert "group" not in sent
        link.point_at(0)
        got = dict(received.get(timeout=PATIENCE_S) for _ in range(2))
        assert float(got[POINT]["ra"]) == pytest.approx(150.0)
        assert got[ROW]["row"] == "0"
        client.notify_all({"samp.mtype": ROW, "samp.params": {"table-id": TABLE_ID, "row": "2"}})
        assert picked.get(timeout=PATIENCE_S) == 2
        client.notify_all({"samp.mtype": POINT, "samp.params": {"ra": "0.0001", "dec": "-10.0"}})
        assert picked.get(timeout=PATIENCE_S) == 1
    assert not Path(params["url"].removeprefix("file://")).exists()


def test_rows_of_other_tables_far_places_and_nonsense_are_passed_over(table, topcat) -> None:
    client, _ = topcat
    picked: queue.Queue = queue.Queue()
    with SampLink(table, picked.put):
        for mtype, params in (
            (ROW, {"table-id": "another", "row": "1"}),
            (ROW, {"table-id": TABLE_ID, "row": "99"}),
            (ROW, {"table-id": TABLE_ID, "row": "-1"}),
            (POINT, {"ra": "10", "dec": "10"}),
            (POINT, {"ra": "east", "dec": "10"}),
            (POINT, {}),
        ):
            client.notify_all({"samp.mtype": mtype, "samp.params": params})
        answer = client.call_and_wait(
            next(one for one in client.get_subscribed_clients(POINT) if one != client.get_public_id()),
            {"samp.mtype": ROW, "samp.params": {"table-id": TABLE_ID, "row": "1"}},
            str(PATIENCE_S),
        )
        assert answer["samp.status"] == "samp.ok"
        assert picked.get(timeout=PATIENCE_S) == 1
        assert picked.empty()


def test_without_a_hub_the_message_tells_what_to_start(table, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'none').as_uri()}")
    with pytest.raises(InputError, match="SAMP: found no hub") as caught:
        SampLink(table).connect()
    assert "start TOPCAT, Aladin or DS9" in caught.value.fix


def test_candidates_without_positions_are_refused(table) -> None:
    with pytest.raises(InputError, match="found no candidate with a position"):
        SampLink(table.drop(columns="ra_deg"))
    with pytest.raises(InputError, match="found no candidate with a position"):
        SampLink(table.assign(ra_deg=np.nan))


def test_a_hub_that_ends_first_leaves_nothing_behind(table, hub) -> None:
    before = threading.active_count()
    link = SampLink(table)
    link.connect()
    hub.stop()
    link.close()
    assert threading.active_count() <= before + 1


def test_the_nearest_candidate_is_that_of_astropy() -> None:
    rng = np.random.default_rng(0)
    position = np.stack([rng.uniform(0, 360, 200), rng.uniform(-89, 89, 200)], axis=1)
    position[7] = np.nan
    sky = SkyCoord(*np.nan_to_num(position).T, unit="deg")
    for ra, dec in ((0.01, 0.0), (359.99, 88.9), (180.0, -89.9)):
        row, distance = find_nearest(position, ra, dec)
        expected = sky.separation(SkyCoord(ra, dec, unit="deg")).arcsec
        expected[7] = np.inf
        assert row == expected.argmin()
        assert distance == pytest.approx(expected[row], rel=1e-9)
