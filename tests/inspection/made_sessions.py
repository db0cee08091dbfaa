"""Sessions of small packs, and a client that talks to their server without a socket."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
from small_sets import make_lens_set

from convnet_galaxies.data.grade_book import GradeBook
from convnet_galaxies.data.pack import write_set
from convnet_galaxies.inspection.open_source import open_source
from convnet_galaxies.inspection.server import make_app
from convnet_galaxies.inspection.session import Session, SessionOptions
from convnet_galaxies.inspection.sources import Source

TOKEN = "0123456789abcdef"
HOST = "127.0.0.1:8765"
WRITE = {"origin": f"http://{HOST}", "host": HOST}


def write_candidates(folder: Path, n: int = 30) -> Path:
    """A pack of n candidates without labels, with positions, and predictions beside it, the last the best."""
    images = make_lens_set(n, seed=5)
    table = images.table[["id", "group"]].assign(ra_deg=150.0, dec_deg=[2 + k / 1000 for k in range(n)])
    pack = write_set(replace(images, table=table, link_columns=()), folder / "candidates.pack").path
    scores = {"lens_probability": [(k + 1) / (n + 1) for k in range(n)], "familiarity": 0.5}
    pd.DataFrame({"id": table["id"], **scores}).to_csv(folder / "p.csv", index=False)
    return pack


def write_known(folder: Path, n: int = 12) -> Path:
    """A pack of lenses of known Einstein radius and of others."""
    images = make_lens_set(n, seed=6)
    lens = [float(k % 3 == 0) for k in range(n)]
    radius = [1.2 if one else float("nan") for one in lens]
    table = images.table[["group"]].assign(id=[f"sim_{k}" for k in range(n)], lens=lens, einstein_radius_arcsec=radius)
    return write_set(replace(images, table=table, link_columns=()), folder / "known.pack").path


def open_candidates(folder: Path, n: int = 30) -> Source:
    """The candidates as a source."""
    return open_source(write_candidates(folder, n), predictions=folder / "p.csv")


def make_session(folder: Path, *, mixed: bool = False, n: int = 30, **options: Any) -> Session:
    """A session of n candidates; mixed: with known images among them."""
    known = [open_source(write_known(folder))] if mixed else []
    book = GradeBook(folder / "grades.sqlite")
    return Session(open_candidates(folder, n), book, SessionOptions(**options), mixed=known)


class Client:
    """Requests to an application without a socket; cookies stay."""

    def __init__(self, app: Any) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=f"http://{HOST}", follow_redirects=True
        )
        self.cookies = self._http.cookies

    def get(self, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._http.get(path, **more))

    def post(self, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._http.post(path, **more))


def make_client(session: Session, *, signed_in: bool = True) -> Client:
    """A client at the server's own address, with the token's cookie."""
    client = Client(make_app(session, token=TOKEN, cookie="inspect"))
    if signed_in:
        client.cookies.set("inspect", TOKEN)
    return client


def list_all(client: Client, grader: str = "Ann", **filters: Any) -> list[dict[str, Any]]:
    """All items of a list."""
    view = client.get("/api/view", params={"grader": grader, **filters}).json()["view"]
    answer = client.get("/api/items", params={"view": view, "grader": grader, "count": 400})
    return list(answer.json()["items"])


def send_grade(client: Client, key: str, grade: float | None, *, grader: str = "Ann", **more: Any) -> Any:
    """Give a grade as the page does."""
    body = {"key": key, "grader": grader, "grade": grade, "request": f"request-{grader}-{key}-{grade}"} | more
    return client.post("/api/grade", json=body, headers=WRITE)
