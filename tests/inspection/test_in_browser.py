"""The page in a real browser (headless Chromium): what a grader does, two at once, and a server that is killed.

Steps: load and sign in; sort and filter; grade fifty by keyboard; undo; pick and leave a page forward; reload; a second
grader beside the first; names and notes as text; a second tab of the first; kill -9 of the server between two grades;
all grades found again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from headless import needs_browser, start_browser
from made_sessions import TOKEN, write_candidates

from convnet_galaxies.data.grade_book import read_grades, read_marks

selenium = pytest.importorskip("selenium")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

PATIENCE_S = 60.0
CANDIDATES = 130

pytestmark = needs_browser


class Server:
    """`inspect` as a program of its own."""

    def __init__(self, folder: Path, pack: Path, *options: str) -> None:
        self.folder, self.pack, self.options, self.port = folder, pack, options, 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "convnet_galaxies", "inspect", str(self.pack), "--port", str(self.port)]
        command += ["--predictions", str(self.folder / "p.csv"), "--database", str(self.folder / "grades.sqlite")]
        self.log = (self.folder / "server.log").open("ab")
        environment = {**os.environ, "CONVNET_GALAXIES_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}
        self.program = subprocess.Popen(
            [*command, "--no-blind", *self.options], stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment
        )
        assert self.program.stdout is not None
        lines = iter(self.program.stdout.readline, "")
        found = next((match for line in lines if (match := re.search(r"http://[\d.]+:(\d+)/", line))), None)
        assert found, (self.folder / "server.log").read_text()
        self.port = int(found[1])

    def kill(self) -> None:
        """End it as by kill -9."""
        self.program.kill()
        self.program.communicate()
        self.log.close()

    @property
    def database(self) -> Path:
        return self.folder / "grades.sqlite"


class Page:
    """A browser window, and what a grader does in it."""

    def __init__(self, server: Server) -> None:
        self.driver = start_browser("--no-first-run", "--window-size=1200,900")
        self.server = server

    def sign_in(self, name: str) -> None:
        self.driver.get(f"http://127.0.0.1:{self.server.port}/?token={TOKEN}")
        self.wait(lambda: self.find("#grader-dialog").get_attribute("open"))
        self.find("#grader-name").send_keys(name + Keys.ENTER)
        self.wait_for_start()

    def wait_for_start(self) -> None:
        self.wait(lambda: self.find("body").get_attribute("data-ready"))
        self.wait(lambda: self.tiles() or self.find("#picture").is_displayed())

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition holds; elements may be exchanged meanwhile."""
        end, found = time.monotonic() + PATIENCE_S, None
        while time.monotonic() < end:
            try:
                found = condition()
            except Exception:
                found = None
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"waited in vain; {self.text('#trouble')}; {self.driver.get_log('browser')}")

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return str(self.find(selector).text)

    def tiles(self) -> list[str]:
        """What a screen reader hears of each tile."""
        return list(
            self.driver.execute_script(
                "return [...document.querySelectorAll('#grid .tile')].map((tile) => tile.getAttribute('aria-label'))"
            )
        )

    def press(self, *keys: str) -> None:
        chain = ActionChains(self.driver, duration=0)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def grade(self, *keys: str) -> None:
        """Press keys one by one, each when its image is there."""
        for key in keys:
            self.wait(lambda: not self.driver.execute_script("return document.querySelector('#picture.waiting')"))
            self.press(key)

    def wait_for_count(self, number: int) -> None:
        """Wait until the page shows that so many grades are saved."""
        self.wait(lambda: self.text("#count").startswith(f"{number} of") and "saved" not in self.text("#count"))

    def open_first_page(self) -> None:
        self.driver.execute_script(
            "const field = document.querySelector('#page-number'); field.value = 1;"
            "field.dispatchEvent(new Event('change'))"
        )

    def choose(self, name: str, value: str) -> None:
        self.driver.execute_script(
            "const field = document.querySelector(`#filters [name=${arguments[0]}]`); field.value = arguments[1];"
            "field.dispatchEvent(new Event('change', { bubbles: true }))",
            name,
            value,
        )


def number_of(label: str) -> int:
    """The number in the id that a tile's label holds."""
    return int(re.search(r"cutout(\d+)_", label)[1])  # type: ignore[index]


def check_the_page_loads_sorts_and_filters(page: Page) -> None:
    page.sign_in("Ann <b>")
    assert page.text("#grader-button") == "Ann <b>"
    first = [number_of(label) for label in page.tiles()]
    assert first[:3] == [CANDIDATES - 1, CANDIDATES - 2, CANDIDATES - 3], "best ranks first"
    page.find("#filters-button").click()
    page.choose("descending", "false")
    page.wait(lambda: number_of(page.tiles()[0]) == 0)
    page.choose("lowest", "0.5")
    page.wait(lambda: number_of(page.tiles()[0]) == CANDIDATES // 2)
    page.choose("text", "cutout7")
    page.wait(lambda: {number_of(label) // 10 for label in page.tiles()} == {7})
    page.find("#filters button").click()
    page.wait(lambda: number_of(page.tiles()[0]) == CANDIDATES - 1)
    page.find("#filters-button").click()


def check_fifty_grades_by_keyboard_are_in_the_file(page: Page, server: Server) -> None:
    page.find("[data-mode=single]").click()
    page.wait(lambda: page.find("#picture").is_displayed())
    page.grade(*"1234qwerf" * 5, *"sdfgh")
    page.wait_for_count(50)
    table = read_grades(server.database)
    assert table["id"].map(number_of).tolist() == list(range(CANDIDATES - 1, CANDIDATES - 51, -1))
    assert table["grade"].tolist()[:9] == [3, 2, 1, 0, 3, 2, 1, 0, 0]
    assert table["kind"].tolist()[8] == "edge-on"
    assert table["kind"].tolist()[-5:] == ["spiral", "merger", "edge-on", "star", "artefact"]
    assert (table["seconds"] >= 0).all()


def check_undo_goes_back_to_the_image_and_deletes_nothing(page: Page, server: Server) -> None:
    page.press("u", "u")
    page.wait_for_count(48)
    page.wait(lambda: page.text("figcaption").startswith("49 of"))
    assert len(read_grades(server.database)) == 48
    assert len(read_grades(server.database, everything=True)) == 52
    page.grade("4", "4")
    page.wait_for_count(50)


def check_a_page_counts_as_seen_only_when_it_is_left_forward(page: Page, server: Server) -> None:
    page.press(Keys.ENTER)
    page.wait(lambda: page.find("#grid").is_displayed() and page.tiles())
    page.open_first_page()
    page.wait(lambda: page.tiles()[0].startswith("Image 1,"))
    assert not read_marks(server.database)["seen"].any()
    count = len(page.tiles())
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, " ")
    page.press("n")
    page.wait(lambda: page.tiles()[0].startswith(f"Image {count + 1},"))
    page.wait(lambda: read_marks(server.database)["seen"].sum() == count)
    marks = read_marks(server.database)
    assert marks.loc[marks["picked"], "id"].map(number_of).tolist() == [CANDIDATES - 3]
    page.press(Keys.PAGE_UP)
    page.wait(lambda: page.tiles()[0].startswith("Image 1,"))
    assert read_marks(server.database)["seen"].sum() == count


def check_a_reload_shows_the_same_grades(page: Page, server: Server) -> None:
    before = page.tiles()
    page.driver.refresh()
    page.wait_for_start()
    assert page.text("#count").startswith("50 of 130")
    assert page.text("#grader-button") == "Ann <b>"
    page.open_first_page()
    page.wait(lambda: page.tiles() == before)
    assert "graded A" in before[0]
    assert "graded X edge-on" in before[8]


def check_two_graders_at_once_have_their_own_grades_and_a_note_is_text(page: Page, server: Server) -> None:
    other = Page(server)
    try:
        other.sign_in("Ben")
        assert other.text("#count").startswith("0 of 130")
        for one in (page, other):
            one.find("[data-mode=single]").click()
            one.wait(lambda one=one: one.find("#picture").is_displayed())
        other.press("t")
        other.find("#note").send_keys("<img src=x onerror=alert(1)> & co" + Keys.ESCAPE)
        page.grade("3")
        other.grade("2")
        page.grade("4")
        other.grade("1")
        other.wait_for_count(2)
        other.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
        other.wait(lambda: other.find("#note").get_attribute("value") == "<img src=x onerror=alert(1)> & co")
    finally:
        other.driver.quit()
    page.wait(lambda: "saved" not in page.text("#count"))
    table = read_grades(server.database)
    ben = table[table["grader"] == "Ben"]
    assert ben["grade"].tolist() == [2, 3]
    assert ben["note"].tolist() == ["<img src=x onerror=alert(1)> & co", ""]
    assert table.loc[table["grader"] == "Ann <b>", "grade"].tolist()[-2:] == [1, 0]


def check_two_tabs_of_one_grader_show_the_same(page: Page, server: Server) -> None:
    first = page.driver.current_window_handle
    before = len(read_grades(server.database))
    page.driver.switch_to.new_window("tab")
    page.driver.get(f"http://127.0.0.1:{server.port}/")
    page.wait_for_start()  # the name of the grader who signed in last
    count = int(page.text("#count").split()[0])
    page.grade("4")
    page.wait_for_count(count + 1)
    page.driver.close()
    page.driver.switch_to.window(first)
    page.wait_for_count(count + 1)
    assert len(read_grades(server.database)) == before + 1


def check_grades_survive_a_server_that_is_killed_between_two_of_them(page: Page, server: Server) -> None:
    page.grade("3")
    page.wait(lambda: read_grades(server.database, everything=True)["grade"].dropna().iloc[-1] == 1)
    page.wait(lambda: "saved" not in page.text("#count"))
    server.kill()
    saved = read_grades(server.database)
    page.grade("1", "4")
    page.wait(lambda: "not saved yet" in page.text("#trouble"))
    server.start()
    page.wait(lambda: not page.find("#trouble").is_displayed() and "saved" not in page.text("#count"))
    everything = read_grades(server.database, everything=True)
    assert everything["grade"].dropna().tolist()[-3:] == [1, 3, 0]
    kept = everything.merge(saved[["id", "grader", "utc"]], on=["id", "grader", "utc"])
    assert len(kept) == len(saved)
    assert everything["number"].is_unique


def check_the_browser_found_nothing_to_complain_of(page: Page) -> None:
    texts = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    allowed = ("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "410 (Gone)")
    assert not [text for text in texts if not any(one in text for one in allowed)]


def test_a_grader_works_in_a_browser_and_loses_no_grade(tmp_path: Path) -> None:
    server = Server(tmp_path, write_candidates(tmp_path, CANDIDATES))
    page = None
    try:
        page = Page(server)
        check_the_page_loads_sorts_and_filters(page)
        for check in (
            check_fifty_grades_by_keyboard_are_in_the_file,
            check_undo_goes_back_to_the_image_and_deletes_nothing,
            check_a_page_counts_as_seen_only_when_it_is_left_forward,
            check_a_reload_shows_the_same_grades,
            check_two_graders_at_once_have_their_own_grades_and_a_note_is_text,
            check_two_tabs_of_one_grader_show_the_same,
            check_grades_survive_a_server_that_is_killed_between_two_of_them,
        ):
            check(page, server)
        check_the_browser_found_nothing_to_complain_of(page)
    finally:
        if page is not None:
            page.driver.quit()
        server.kill()
