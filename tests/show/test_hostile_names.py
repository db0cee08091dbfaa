"""Names that a stranger chose (of images, fields, kinds, folders) stay text on every page: they make no element, load
nothing, and run nothing in a browser."""

from __future__ import annotations

import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from headless import needs_browser, start_browser
from made_up_results import few_resamples, make_cutouts, make_lens_pack, make_study, make_zoo_pack

from convnet_galaxies.data.output import write_json
from convnet_galaxies.data.pack import read_pack, write_set
from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.settings import NetSettings, Settings, SplitSettings, TrainSettings
from convnet_galaxies.show.demo_page import LENS_RUNS
from convnet_galaxies.show.feature_map import THUMBNAIL_PX, FeatureMap, write_map
from convnet_galaxies.show.first_look_page import first_look_page
from convnet_galaxies.show.report import write_page, write_report
from convnet_galaxies.study.demo import DEMO_NAME, FIRST_LOOK_NAME, DemoSize
from convnet_galaxies.study.first_look import read_first_look
from convnet_galaxies.study.unknown_run import study_unknown
from convnet_galaxies.training.fit import fit

HOSTILE = (
    "<script>window.hit=1</script>",
    "\"><img src=x onerror='window.hit=1'>",
    "' onmouseover='window.hit=1' x='",
    "</script><script>window.hit=1</script>",
    "<!--",
    "]]></svg><svg onload=window.hit=1>",
    "javascript:window.hit=1",
    "../../../up",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "$\\frac{x_{",
    "{{ 7*7 }} {% raw %}",
    "\u202egnp.exe\u202c",
    "a\x07\x1b]0;title\x07b",
    "%s %n \\x00",
)
SETTINGS = Settings(
    net=NetSettings(widths=(8, 16), depths=(1, 1), input_px=24),
    train=TrainSettings(epochs=1, batch=16, precision="fp32"),
    split=SplitSettings(train=0.4, validation=0.3, test=0.3),
)
FOLDER = "\"'<script>window.hit=1<" + "$_{"


class Elements(HTMLParser):
    """What a page runs or loads."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.handlers, self.sources = 0, [], []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.sources += [
            value or "" for name, value in attrs if name in ("src", "href", "action", "data", "xlink:href")
        ]


def spoil(values: pd.Series, more: int = 0) -> list[str]:
    """Each value with a hostile name after it."""
    return [f"{value}{HOSTILE[(k + more) % len(HOSTILE)]}" for k, value in enumerate(values)]


def make_demo(folder: Path, lenses: Path, run: Path, unknown: Path) -> Path:
    """A demo's folder as a stranger could send it: hostile names in its packs, tables and facts."""
    demo = folder / "demo"
    zoo = read_pack(make_zoo_pack(folder / "data" / "zoo", size_px=24))
    write_set(replace(zoo, table=zoo.table.assign(id=spoil(zoo.table["id"]))), demo / "zoo.pack")
    fit(read_pack(demo / "zoo.pack"), SETTINGS, demo / "runs" / "zoo", tasks=("votes",), device="cpu")
    for name in LENS_RUNS:
        shutil.copytree(run, demo / "runs" / name)
    write_json(demo / "runs" / "stage1-scratch" / "environment.json", dict(pairwise(HOSTILE)), force=True)
    shutil.copytree(lenses, demo / "lenses.pack")
    shutil.copytree(unknown, demo / "unknown")
    write_json(demo / DEMO_NAME, {"size": DemoSize(HOSTILE[0]), "machine": "".join(HOSTILE)}, force=True)
    table = read_pack(lenses).table
    sealed = demo / "space-warps" / "sealed"
    sealed.mkdir(parents=True)
    truth = pd.DataFrame({"cutoutname": table["id"] + ".png", "shows_lens": np.arange(len(table)) % 2})
    truth.to_csv(sealed / "test_truth.csv", index=False)
    radius = pd.DataFrame({"ZooID": table["ZooID"].unique()}).assign(einstein_radius_arcsec=1.0)
    radius.to_csv(demo / "space-warps" / "truth.csv", index=False)
    look = demo / FIRST_LOOK_NAME
    for pack, name in ((lenses, "lens"), (demo / "zoo.pack", "votes")):
        shutil.copytree(pack, look / f"{name}.pack")
        ids = read_pack(pack).table["id"]
        answers = np.random.default_rng(0).random((len(ids), len(VOTE_COLUMNS) if name == "votes" else 1))
        columns = list(VOTE_COLUMNS) if name == "votes" else ["lens"]
        pd.DataFrame(answers, columns=columns).assign(id=ids).to_csv(look / f"{name}.csv", index=False)
    return demo


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind, in a folder with a hostile name."""
    folder = tmp_path_factory.mktemp("hostile") / FOLDER
    images = read_pack(make_lens_pack(folder / "data", size_px=24))
    table = images.table.copy()
    kinds = {
        kind: f"{kind}{HOSTILE[k % 2 * 10]}" for k, kind in enumerate(sorted(table["flavor_label"].dropna().unique()))
    }
    table["id"], table["flavor_label"] = spoil(table["id"]), table["flavor_label"].map(kinds)
    if "flavor" in table:
        table["flavor"] = table["flavor"].map(lambda kind: kinds.get(kind, kind))
    table["ZooID"] = table["ZooID"].map(
        dict(zip(names := table["ZooID"].unique(), spoil(pd.Series(names), 3), strict=True))
    )
    table["group"] = "ZooID=" + table["ZooID"]
    pack = folder / "pack"
    write_set(replace(images, table=table), pack)
    fit(read_pack(pack), SETTINGS, folder / "run", tasks=("lens", "flavor"), device="cpu")
    grades = folder / "grades.csv"
    unknown = sorted(table.loc[table["lens"].isna(), "ZooID"].unique())
    pd.DataFrame({"zooid": unknown, "expert_grade": [3.0 * (k % 2) for k in range(len(unknown))]}).to_csv(
        grades, index=False
    )
    with few_resamples():
        study_unknown(
            Predictor(folder / "run", device="cpu", precision="fp32"), pack, folder / "unknown", grades=[grades]
        )
    cutouts = make_cutouts(30, np.random.default_rng(0))
    make_study(folder / "study", cutouts.assign(id=spoil(cutouts["id"])), repetitions=1, fractions=(1.0,))
    make_demo(folder, pack, folder / "run", folder / "unknown")
    made = {name: folder / f"{name}.html" for name in ("run", "unknown", "study", "map", "demo", "first-look")}
    for name in ("run", "unknown", "study"):
        write_report(folder / name, made[name], pack=pack if name != "study" else None, device="cpu", views=1)
    write_report(folder / "demo", made["demo"], device="cpu", views=1)
    write_page(first_look_page(read_first_look(folder / "demo" / FIRST_LOOK_NAME, seed=0)), made["first-look"])
    n = len(table)
    points = pd.DataFrame(
        {"id": table["id"], "lens_probability": np.linspace(0, 1, n), f"label: {HOSTILE[0]}": table["flavor_label"]}
    )
    thumbnails = np.full((n, THUMBNAIL_PX, THUMBNAIL_PX, 3), 200, np.uint8)
    write_map(FeatureMap(points, np.random.default_rng(0).normal(size=(n, 2)), thumbnails, FOLDER, n), made["map"])
    return made


@pytest.mark.parametrize(
    ("name", "scripts"), [("run", 0), ("unknown", 0), ("study", 0), ("map", 2), ("demo", 0), ("first-look", 0)]
)
def test_names_make_no_element_and_load_nothing(pages: dict[str, Path], name: str, scripts: int) -> None:
    text = pages[name].read_text("utf-8")
    assert "window.hit" in text  # the names are on it
    found = Elements()
    found.feed(text)
    assert found.scripts == scripts
    assert found.handlers == []
    assert all(source.startswith(("#", "data:")) for source in found.sources)


def test_nothing_is_written_beside_the_outputs(pages: dict[str, Path]) -> None:
    folder = pages["run"].parent
    assert sorted(path.name for path in folder.parent.iterdir()) == [FOLDER]
    places = {"data", "pack", "run", "unknown", "study", "demo", "grades.csv", *(path.name for path in pages.values())}
    assert {path.name for path in folder.iterdir()} == places


@needs_browser
def test_names_run_nothing_in_a_browser(pages: dict[str, Path]) -> None:
    browser = start_browser()
    try:
        for name, page in pages.items():
            browser.get(page.as_uri())
            assert browser.title, name
            assert browser.execute_script("return typeof window.hit") == "undefined", name
            assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"], name
    finally:
        browser.quit()
