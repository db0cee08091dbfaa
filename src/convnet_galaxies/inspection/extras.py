"""What `inspect` serves only where it was asked for: maps of what an answer rests on, and links with other programs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from convnet_galaxies.inspection.overlays import Overlays
from convnet_galaxies.inspection.samp import SampLink
from convnet_galaxies.inspection.session import Session


class PointBody(BaseModel):
    """The candidate that is shown."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(max_length=40)]


class Picks:
    """The last candidate that was picked in another program, numbered from 1."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.number, self.row = 0, -1

    def take(self, row: int) -> None:
        """Take in a row of the candidates."""
        with self._lock:
            self.number, self.row = self.number + 1, row


@dataclass(frozen=True, eq=False)
class Extras:
    """overlays: maps of the network, None for none. samp, picks: the link with other programs, and what comes of it."""

    overlays: Overlays | None = None
    samp: SampLink | None = None
    picks: Picks | None = None

    def describe(self) -> dict[str, bool]:
        """Return what the page offers."""
        return {"has_map": self.overlays is not None, "has_samp": self.samp is not None}


def serve_extras(app: FastAPI, session: Session, extras: Extras) -> None:
    """Add the addresses. Blind sessions have none of them: maps and positions would tell too much."""
    if session.options.blind:
        return
    keys = {
        int(row): str(key)
        for row, key, source, role in zip(
            session.showings.row, session.showings.keys, session.showings.source, session.showings.role, strict=True
        )
        if source == 0 and role == "candidate"
    }
    if extras.overlays is not None:
        _serve_maps(app, session, extras.overlays)
    if extras.samp is not None and extras.picks is not None:
        _serve_links(app, session, extras.samp, extras.picks, keys)

    @app.get("/api/place")
    def _place(view: str, key: str) -> dict[str, int | None]:
        found, index = session.view(view), session.find(key)
        places = [] if found is None or index is None else np.flatnonzero(found.order == index).tolist()
        return {"place": places[0] if places else None}


def _serve_maps(app: FastAPI, session: Session, overlays: Overlays) -> None:
    @app.get("/map/{key}")
    def _map(key: str) -> Response:
        row = _row_of(session, key)
        headers = {"cache-control": "private, max-age=600"}
        return Response(overlays.draw(row), media_type="image/png", headers=headers)


def _serve_links(app: FastAPI, session: Session, samp: SampLink, picks: Picks, keys: dict[int, str]) -> None:
    @app.get("/api/pick")
    def _pick(after: Annotated[int, Query(ge=0)] = 0) -> dict[str, Any]:
        key = keys.get(picks.row) if picks.number > after else None
        return {"number": picks.number, "key": key}

    @app.post("/api/point")
    def _point(body: PointBody) -> dict[str, bool]:
        samp.point_at(_row_of(session, body.key))
        return {"sent": True}


def _row_of(session: Session, key: str) -> int:
    index = session.find(key)
    if index is None or session.showings.source[index] != 0:
        raise HTTPException(404, "no such candidate in this session")
    return int(session.showings.row[index])


def open_extras(session: Session, *, run: str | None, samp: bool, announce: Callable[[str], None]) -> Extras:
    """Return what was asked for. run: network whose maps are drawn; samp: whether to link with other programs.

    announce: called with what other programs got. Raises InputError without captum, without a hub, or for candidates
    without positions.
    """
    overlays = None if run is None else Overlays(session.source, run)
    if not samp:
        return Extras(overlays)
    picks = Picks()
    link = SampLink(session.source.table, picks.take)
    link.connect()
    takers = link.send_table()
    announce(f"candidates sent to {', '.join(takers) if takers else 'nobody: no program that takes tables is open'}")
    return Extras(overlays, link, picks)
