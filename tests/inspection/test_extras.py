from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_sessions import HOST, TOKEN, WRITE, Client, list_all, make_session
from PIL import Image
from small_sets import make_lens_set, tiny, write_pngs

from convnet_galaxies.errors import BadImageError, InputError
from convnet_galaxies.inspection.extras import Extras, Picks, open_extras
from convnet_galaxies.inspection.open_source import open_source
from convnet_galaxies.inspection.overlays import Overlays
from convnet_galaxies.inspection.server import make_app
from convnet_galaxies.inspection.tint import tint_map
from convnet_galaxies.predict.explain import open_explainer
from convnet_galaxies.training.fit import fit


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extras") / "run"
    fit(make_lens_set(48), tiny("train.epochs=1"), folder, tasks=("lens",))
    return folder


class Link:
    """In the place of other programs."""

    def __init__(self) -> None:
        self.pointed: list[int] = []

    def point_at(self, row: int) -> None:
        self.pointed.append(row)


def open_client(session: Any, extras: Extras) -> Client:
    client = Client(make_app(session, token=TOKEN, cookie="inspect", extras=extras))
    client.cookies.set("inspect", TOKEN)
    return client


def test_the_map_of_a_packed_candidate_is_a_layer_of_the_size_of_its_picture(tmp_path, run) -> None:
    session = make_session(tmp_path, n=12, blind=False, mixed=True, mix_share=0.2)
    client = open_client(session, Extras(Overlays(session.source, run)))
    assert client.get("/api/session").json()["has_map"]
    items = list_all(client)
    item = next(one for one in items if "id" in one)
    answer = client.get(f"/map/{item['key']}")
    layer = np.asarray(Image.open(io.BytesIO(answer.content)))
    row = session.source.table["id"].tolist().index(item["id"])
    pixels = np.stack([plane.values for plane in session.source.image(row).planes], axis=-1)
    np.testing.assert_array_equal(layer, tint_map(open_explainer(run).explain(pixels).map))
    mixed = next(one for one in items if "id" not in one)
    assert client.get(f"/map/{mixed['key']}").status_code == 404


def test_the_map_of_an_image_file_lies_on_the_square_that_the_network_sees(tmp_path, run) -> None:
    images = make_lens_set(6)
    wide = replace(images, images=np.pad(images.images, ((0, 0), (5, 5), (9, 9), (0, 0))))
    source = open_source(write_pngs(wide, tmp_path / "images"))
    overlays = Overlays(source, run)
    crop = overlays.explainer.card.preprocess.model_copy(update={"crop_px": 32})
    overlays.explainer = replace(overlays.explainer, card=replace(overlays.explainer.card, preprocess=crop))
    layer = np.asarray(Image.open(io.BytesIO(overlays.draw(2))))
    assert layer.shape == (42, 50, 4)
    name = source.table["id"][2]
    original = images.images[images.table["id"].tolist().index(name)]
    np.testing.assert_array_equal(layer[5:-5, 9:-9], tint_map(overlays.explainer.explain(original).map))
    assert not layer[:5].any()


def test_a_pack_of_another_size_than_the_run_takes_is_an_error_for_users(tmp_path, run) -> None:
    session = make_session(tmp_path, n=6, blind=False)
    overlays = Overlays(session.source, run)
    other = overlays.explainer.card.preprocess.model_copy(update={"size_px": 48})
    overlays.explainer = replace(overlays.explainer, card=replace(overlays.explainer.card, preprocess=other))
    with pytest.raises(BadImageError, match="found 32 x 32 px in 3 bands, expected 48 x 48 px"):
        overlays.draw(0)


def test_what_is_shown_is_pointed_at_and_what_is_picked_elsewhere_is_found_in_the_list(tmp_path) -> None:
    session = make_session(tmp_path, n=12, blind=False, mixed=True, mix_share=0.2)
    link, picks = Link(), Picks()
    client = open_client(session, Extras(None, link, picks))  # type: ignore[arg-type]
    items = list_all(client)
    item = next(one for one in items if "id" in one)
    row = session.source.table["id"].tolist().index(item["id"])
    assert client.post("/api/point", json={"key": item["key"]}, headers=WRITE).json() == {"sent": True}
    assert link.pointed == [row]
    assert client.get("/api/pick", params={"after": 0}).json() == {"number": 0, "key": None}
    picks.take(row)
    assert client.get("/api/pick", params={"after": 0}).json() == {"number": 1, "key": item["key"]}
    assert client.get("/api/pick", params={"after": 1}).json() == {"number": 1, "key": None}
    view = client.get("/api/view", params={"grader": "Ann"}).json()["view"]
    place = client.get("/api/place", params={"view": view, "key": item["key"]}).json()["place"]
    assert items[place]["key"] == item["key"]
    assert client.get("/api/place", params={"view": view, "key": "none"}).json() == {"place": None}


def test_pointing_needs_the_page_itself(tmp_path) -> None:
    session = make_session(tmp_path, n=6, blind=False)
    link = Link()
    client = open_client(session, Extras(None, link, Picks()))  # type: ignore[arg-type]
    key = list_all(client)[0]["key"]
    foreign = {"origin": "http://elsewhere.example", "host": HOST}
    assert client.post("/api/point", json={"key": key}, headers=foreign).status_code == 403
    assert not link.pointed


def test_a_blind_session_has_neither_maps_nor_links(tmp_path, run) -> None:
    session = make_session(tmp_path, n=6)
    client = open_client(session, Extras(Overlays(session.source, run), Link(), Picks()))  # type: ignore[arg-type]
    told = client.get("/api/session").json()
    assert not told["has_map"]
    assert not told["has_samp"]
    key = list_all(client)[0]["key"]
    assert client.get(f"/map/{key}").status_code == 404
    assert client.post("/api/point", json={"key": key}, headers=WRITE).status_code in (404, 405)


def test_without_a_hub_the_command_stops_with_what_to_start(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'none').as_uri()}")
    session = make_session(tmp_path, n=6, blind=False)
    with pytest.raises(InputError, match="found no hub"):
        open_extras(session, run=None, samp=True, announce=lambda text: None)
    session.source.table = pd.DataFrame(session.source.table.drop(columns=["ra_deg", "dec_deg"]))
    with pytest.raises(InputError, match="no candidate with a position"):
        open_extras(session, run=None, samp=True, announce=lambda text: None)
