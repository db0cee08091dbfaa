"""The map of features in a real browser (headless Chromium): drawn, searched and walked by keyboard, offline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from headless import needs_browser, start_browser

from convnet_galaxies.show.feature_map import THUMBNAIL_PX, FeatureMap, write_map

selenium = pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

PATIENCE_S = 60.0

pytestmark = needs_browser


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Any]:
    n = 30
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "id": [f"<i>{k}</i>" for k in range(n)],
            "lens_probability": np.linspace(0, 1, n)[rng.permutation(n)],
            "label: flavor_label": np.where(np.arange(n) % 2, "dud", "lensed galaxy"),
        }
    )
    thumbnails = np.full((n, THUMBNAIL_PX, THUMBNAIL_PX, 3), 200, np.uint8)
    write_map(FeatureMap(table, rng.normal(size=(n, 2)), thumbnails, "run", n), tmp_path / "map.html")
    browser = start_browser()
    browser.get((tmp_path / "map.html").as_uri())
    yield browser, table
    browser.quit()


def wait(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def count_drawn(browser: Any) -> int:
    """Number of pixels of the map that are neither empty nor nearly clear."""
    script = (
        "const c = document.getElementById('map'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height)"
        ".data; let n = 0; for (let k = 3; k < d.length; k += 4) n += d[k] > 60; return n"
    )
    return int(browser.execute_script(script))


def test_the_map_is_drawn_walked_by_keyboard_searched_and_coloured(driver) -> None:
    browser, table = driver
    wait(lambda: browser.find_element(By.TAG_NAME, "body").get_attribute("data-ready"))
    everything = wait(lambda: count_drawn(browser))
    canvas = browser.find_element(By.ID, "map")
    canvas.send_keys("n")
    best = table["id"][int(table["lens_probability"].argmax())]
    wait(lambda: browser.find_element(By.CSS_SELECTOR, "#one b").text == best)  # as text, not as markup
    canvas.send_keys("n")
    second = table["id"][int(table["lens_probability"].argsort().iloc[-2])]
    wait(lambda: browser.find_element(By.CSS_SELECTOR, "#one b").text == second)
    canvas.send_keys(*"+++", Keys.ARROW_LEFT)
    browser.find_element(By.ID, "fit").click()
    browser.find_element(By.ID, "find").send_keys(">7<")
    wait(lambda: count_drawn(browser) < everything / 2)
    choices = browser.find_elements(By.CSS_SELECTOR, "#column option")
    assert [one.text for one in choices] == ["lens_probability", "label: flavor_label"]
    choices[1].click()
    wait(lambda: {one.text for one in browser.find_elements(By.CSS_SELECTOR, ".kind")} == {"dud", "lensed galaxy"})
    assert not [one for one in browser.get_log("browser") if one["level"] == "SEVERE"]
