"""Time the page of `inspect` with 100,000 candidates: first screen, next page, sorting, a grade; memory of the server.

The goals: the first screen in less than a second, a grade on the disk in less than 50 ms, the next page in less than
200 ms, all of it in less than 500 MB (anonymous memory, see README.md). The server is a process of its own and is asked
as the page asks it. Where Chromium and its driver are installed, the first screen and the next page are also timed in
the browser, until the tiles are drawn. A grade ends with an fsync, so that its time is mostly that of the disk.

    python benchmarks/bench_inspect.py [--quick]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from measuring import Report, read_options

from convnet_galaxies.data.pack import write_set
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet

SIDE_PX = 64
TOKEN = "0123456789abcdef"
TILES, COLUMNS = 88, 11
GRADER = "Ann"


class Server:
    """`inspect` on a pack, and requests to it."""

    def __init__(self, folder: Path) -> None:
        started = time.perf_counter()
        command = [sys.executable, "-m", "convnet_galaxies", "inspect", str(folder / "a.pack"), "--port", "0"]
        command += ["--predictions", str(folder / "p.parquet"), "--no-blind", "--token", TOKEN]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        address = next(line for line in self.process.stdout if line.startswith("Open"))
        self.seconds = time.perf_counter() - started
        self.port = int(address.split(":")[2].split("/")[0])
        self.connection = HTTPConnection("127.0.0.1", self.port)

    def ask(self, path: str, body: dict[str, Any] | None = None, **query: Any) -> bytes:
        headers = {"cookie": f"inspect-{self.port}={TOKEN}"}
        if body is not None:
            headers |= {"origin": f"http://127.0.0.1:{self.port}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body)
        target = f"{path}?{urlencode(query)}" if query else path
        self.connection.request("GET" if body is None else "POST", target, data, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")
        return content

    def make_view(self, sort: str = "rank") -> str:
        return str(json.loads(self.ask("/api/view", grader=GRADER, sort=sort))["view"])

    def show_first_screen(self) -> None:
        for name in ("", "static/main.js", "static/inspect.css", "api/session"):
            self.ask(f"/{name}")
        self.show_page(self.make_view(), 0)

    def show_page(self, view: str, page: int) -> None:
        start = page * TILES
        self.ask("/api/items", view=view, grader=GRADER, start=start // 200 * 200, count=200)
        self.ask(f"/mosaic/{view}", start=start, count=TILES, columns=COLUMNS, side=112)

    def read_memory(self) -> float:
        """Anonymous memory in MB; NaN where there is no /proc."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.is_file():
            return float("nan")
        line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
        return float(line.split()[1]) / 1024


def make_candidates(folder: Path, n: int) -> None:
    """A pack of n images (500 different ones) and their predictions."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - SIDE_PX / 2
    width = rng.uniform(3, 9, (500, 1, 1, 1))
    light = 200 * np.exp(-(x**2 + y**2)[..., None] / (2 * width**2)) * rng.uniform(0.4, 1, (500, 1, 1, 3))
    distinct = np.clip(light + rng.normal(12, 6, (500, SIDE_PX, SIDE_PX, 3)), 0, 255).astype(np.uint8)
    images = np.resize(distinct, (n, SIDE_PX, SIDE_PX, 3))
    ids = [f"candidate_{k:06d}" for k in range(n)]
    write_set(ImageSet(images, pd.DataFrame({"id": ids, "group": ids}), Preprocess(size_px=SIDE_PX)), folder / "a.pack")
    scores = {"id": ids, "lens_probability": rng.beta(0.3, 3, n), "familiarity": rng.uniform(size=n)}
    pd.DataFrame(scores).to_parquet(folder / "p.parquet")


def sync_page(path: Path, number: int) -> None:
    """Write a page behind the last one and wait until the disk has it."""
    with path.open("ab") as file:
        file.write(number.to_bytes(4) * 1024)
        file.flush()
        os.fsync(file.fileno())


def time_all(work: Any, times: int) -> np.ndarray:
    """Seconds of each call; the calls get their numbers."""
    out = []
    for number in range(times):
        started = time.perf_counter()
        work(number)
        out.append(time.perf_counter() - started)
    return np.array(out)


def time_in_browser(server: Server, pages: int) -> tuple[float, np.ndarray] | None:
    """Seconds from the address to drawn tiles, and from the key to those of the next page; None without a browser."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        return None
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1440,900"):
        options.add_argument(argument)
    options.binary_location = browser
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    window.set_script_timeout(60)
    drawn = """
        const done = arguments[arguments.length - 1], before = arguments[0], start = performance.now();
        const look = async () => {
          const tile = document.querySelector("#grid .tile");
          if (!tile || tile.getAttribute("aria-label") === before) return requestAnimationFrame(look);
          const image = new Image();
          image.src = tile.querySelector(".picture").style.backgroundImage.slice(5, -2);
          await image.decode();
          requestAnimationFrame(() => done([performance.now() - start, performance.now()]));
        };
        if (before) document.querySelector("#page-on").click();
        look();
    """
    try:
        window.get(f"http://127.0.0.1:{server.port}/?token={TOKEN}")
        window.execute_script("localStorage.setItem('inspect-grader', arguments[0])", GRADER)
        window.get("about:blank")
        window.get(f"http://127.0.0.1:{server.port}/")
        first = window.execute_async_script(drawn, "")[1] / 1000
        turns = []
        for _ in range(pages):
            time.sleep(0.4)  # a look at the page
            label = window.execute_script("return document.querySelector('#grid .tile').getAttribute('aria-label')")
            turns.append(window.execute_async_script(drawn, label)[0] / 1000)
    finally:
        window.quit()
    return first, np.array(turns)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "inspect", rounds=5)
    n = 2_000 if options.quick else 100_000
    report = Report("inspect", options)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_candidates(folder, n)
        server = Server(folder)
        try:
            report.add("from the command to the address", server.seconds, "s", remark=f"{n:,} candidates")
            first = time_all(lambda _: server.show_first_screen(), 1)
            report.add("first screen, first time", first, "s", goal="<= 1", remark=f"{TILES} tiles of 112 px")
            report.add("sort by probability", time_all(lambda _: server.make_view("probability"), options.rounds), "s")
            view = server.make_view()
            pages = 10 if options.quick else 200
            seconds = time_all(lambda page: server.show_page(view, page + 1), pages)
            report.add("next page, not fetched ahead", seconds, "s", goal="<= 0.2", remark=f"of {pages} pages")
            keys = [item["key"] for item in json.loads(server.ask("/api/items", view=view, grader=GRADER))["items"]]

            def grade(number: int) -> None:
                body = {"key": keys[number % len(keys)], "grader": GRADER, "grade": 3, "request": f"request-{number}"}
                server.ask("/api/grade", body)

            syncs = time_all(lambda number: sync_page(folder / "page", number), 20 * options.rounds)
            report.add("fsync of 4 kB on this disk", syncs, "s")
            grades = time_all(grade, 20 * options.rounds)
            report.add("a grade", grades, "s", goal="<= 0.05")
            report.add("a grade", grades, "s", against="fsync of 4 kB on this disk", reference=np.median(syncs))
            found = time_in_browser(server, 2 * options.rounds)
            if found is not None:
                report.add("first screen in Chromium", found[0], "s", goal="<= 1", remark="until tiles are drawn")
                report.add("next page in Chromium", found[1], "s", goal="<= 0.2", remark="fetched ahead, until drawn")
            memory = server.read_memory()
            if np.isfinite(memory):
                report.add("memory of the server", memory, "MB", goal="<= 500", remark=f"after {pages} pages")
        finally:
            server.process.terminate()
            server.process.wait()
    report.finish()


if __name__ == "__main__":
    main()
