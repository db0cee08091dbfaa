from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convnet_galaxies.decision_tree import VOTE_COLUMNS, dump_tree, read_tree
from convnet_galaxies.errors import OutputExistsError
from convnet_galaxies.model.tasks import find_task
from convnet_galaxies.show.feature_map import THUMBNAIL_PX, FeatureMap, choose_columns, render_map, write_map


@pytest.fixture
def found() -> FeatureMap:
    n = 7
    thumbnails = np.zeros((n, THUMBNAIL_PX, THUMBNAIL_PX, 3), np.uint8)
    thumbnails += np.arange(0, 210, 30, dtype=np.uint8)[:, None, None, None]
    table = pd.DataFrame(
        {
            "id": ["</script><b>", *(f"2{k:018}" for k in range(1, n))],
            "lens_probability": np.linspace(0, 1, n, dtype=np.float32),
            "label: flavor_label": ["dud", None, "lensed galaxy", "dud", "dud", "dud", "dud"],
        }
    )
    return FeatureMap(table, np.random.default_rng(0).normal(size=(n, 2)), thumbnails, "builtin:lens", 20)


def data_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def test_the_page_holds_ids_as_text_places_and_columns(found) -> None:
    data = data_of(render_map(found))
    assert data["ids"] == found.table["id"].tolist()
    assert max(*data["x"], *data["y"]) == 1
    assert [one["name"] for one in data["columns"]] == ["lens_probability", "label: flavor_label"]
    assert data["columns"][1] == {
        "name": "label: flavor_label",
        "names": ["dud", "lensed galaxy"],
        "values": [0, -1, 1, 0, 0, 0, 0],
    }


def test_each_thumbnail_lies_where_the_page_takes_it_from(found) -> None:
    page = render_map(found)
    sheet = Image.open(io.BytesIO(base64.b64decode(re.search(r'src="data:image/jpeg;base64,([^"]+)"', page)[1])))
    pixels = np.asarray(sheet)
    across = data_of(page)["across"]
    for row in range(len(found.table)):
        x, y = (row % across) * THUMBNAIL_PX, (row // across) * THUMBNAIL_PX
        middle = pixels[y + 24, x + 24]
        assert np.abs(middle.astype(int) - 30 * row).max() <= 2


def test_the_page_loads_nothing_from_elsewhere_and_ids_are_no_markup(found) -> None:
    page = render_map(found)
    assert "http" not in page
    assert "</script><b>" not in page
    assert "Map of 7 images of 20, drawn at random" in page


def test_few_votes_are_offered_as_colours_of_whatever_tree() -> None:
    kaggle = pd.DataFrame([[0.0] * 39], columns=["id", *VOTE_COLUMNS, "familiarity"])
    answers = ["question 1: smooth", "question 2: edge-on", "question 3: bar", "question 4: spiral"]
    shown = ["id", *answers, "familiarity"]
    assert list(choose_columns(kaggle, {"votes": ()})) == shown
    tree = read_tree("euclid")
    names = find_task("counts").columns(dump_tree(tree))
    other = pd.DataFrame([[0.0] * (len(names) + 2)], columns=["id", *names, "lens_probability"])
    found = choose_columns(other, {"counts": dump_tree(tree), "lens": ()})
    shown = ["smooth-or-featured: smooth", "disk-edge-on: yes", "has-spiral-arms: yes", "bar: strong"]
    assert list(found) == ["id", *shown, "lens_probability"]


def test_a_map_is_not_overwritten_unasked(found, tmp_path) -> None:
    size = write_map(found, tmp_path / "map.html")
    assert (tmp_path / "map.html").stat().st_size == size
    with pytest.raises(OutputExistsError, match="already exists"):
        write_map(found, tmp_path / "map.html")
