"""Learning from grades and the map of the network, in a real browser: buttons, the line of figures, the layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_sessions import write_candidates
from small_sets import make_lens_set, tiny

from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.predict.embeddings import Embeddings, fingerprint_weights, write_embeddings
from convnet_galaxies.training.fit import fit

pytest.importorskip("selenium")
import test_in_browser as browser

pytestmark = browser.pytestmark
N = 40


@pytest.fixture
def page(tmp_path: Path):
    pack = write_candidates(tmp_path, N)
    fit(make_lens_set(48), tiny("train.epochs=1"), tmp_path / "run", tasks=("lens",))
    features = np.random.default_rng(0).gamma(4, size=(N, 12)).astype(np.float32)
    features[::4, :4] *= 3
    ids = tuple(read_pack(pack).table["id"].astype(str))
    embeddings = Embeddings(ids, features, str(tmp_path / "run"), fingerprint_weights(tmp_path / "run"), 1)
    write_embeddings(tmp_path / "f.parquet", embeddings)
    options = ("--embeddings", str(tmp_path / "f.parquet"), "--run", str(tmp_path / "run"))
    server = browser.Server(tmp_path, pack, *options)
    opened = browser.Page(server)
    opened.sign_in("Ann")
    yield opened
    opened.driver.quit()
    server.kill()


def test_what_was_learned_is_told_and_the_map_lies_over_the_image(page) -> None:
    page.find("#learned-button").click()
    page.wait(lambda: "expected at least one" in page.text("#trouble"))  # nothing was graded yet
    page.find("#next-button").click()
    page.wait(lambda: "candidates that differ come first" in page.text("#learned"))
    page.press(browser.Keys.ENTER)
    for number in range(4):
        page.wait(lambda: not page.find("#picture").get_attribute("class").count("waiting"))
        page.press("1" if number < 2 else "4")
        page.wait(lambda number=number: page.text("#count").startswith(f"{number + 1} of"))
    page.press("m")
    page.wait(lambda: page.find("#overlay").is_displayed())
    page.wait(
        lambda: page.driver.execute_script(
            "const o = document.getElementById('overlay'), p = document.getElementById('picture');"
            "const a = o.getBoundingClientRect(), b = p.getBoundingClientRect();"
            "return o.complete && o.naturalWidth === p.naturalWidth && a.left === b.left && a.width === b.width"
        )
    )
    page.press("m")
    page.wait(lambda: not page.find("#overlay").is_displayed())
    page.press(browser.Keys.ENTER)
    page.find("#learned-button").click()
    page.wait(lambda: page.text("#learned").startswith("Learned from 4 candidates, 2 of grade 2 or more."))
    assert "Too few grades to tell how well the ranking holds" in page.text("#learned")
