"""The local web server of `inspect`: the page from the package, everything else as JSON and pictures."""

from __future__ import annotations

import hashlib
from asyncio import sleep
from collections.abc import Sequence
from importlib import resources
from time import monotonic
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from convnet_galaxies.blocks import Table, Text, write_cell
from convnet_galaxies.data.grade_book import LONGEST_NAME, LONGEST_NOTE, check_grader
from convnet_galaxies.errors import BadImageError, GalaxyError, InputError
from convnet_galaxies.inspection.choice import Filters, Sort
from convnet_galaxies.inspection.extras import Extras, serve_extras
from convnet_galaxies.inspection.guard import LOCAL_NAMES, Guard
from convnet_galaxies.inspection.render import HIGHEST_CONTRAST, LOWEST_CONTRAST, Look, StretchName
from convnet_galaxies.inspection.session import Session, View
from convnet_galaxies.inspection.thumbnails import MOST_TILES, SIDES_PX

STATIC = {
    "index.html": "text/html; charset=utf-8",
    "inspect.css": "text/css; charset=utf-8",
    **dict.fromkeys(
        (
            "main.js",
            "server.js",
            "state.js",
            "mosaic.js",
            "single.js",
            "keys.js",
            "filters.js",
            "results.js",
            "parts.js",
        ),
        "text/javascript; charset=utf-8",
    ),
}
"""All files that are served; nothing else of the disk is, whatever the address."""

BLIND_STEP_SECONDS = 0.1
_SHORT = Annotated[str, Field(max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GradeBody(_Body):
    """A grade as the page sends it. key: of the showing; request: a name for this very act."""

    key: Annotated[str, Field(max_length=40)]
    grader: Annotated[str, Field(max_length=4 * LONGEST_NAME)]
    grade: Annotated[float, Field(ge=0, le=3)] | None = None
    kind: Annotated[str, Field(max_length=30)] = ""
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""
    seconds: Annotated[float, Field(ge=0, le=86_400)] | None = None
    shown: Annotated[dict[Annotated[str, Field(max_length=20)], _SHORT | float | None], Field(max_length=10)] = Field(
        default_factory=dict
    )
    request: Annotated[str, Field(min_length=8, max_length=60)]


class UndoBody(_Body):
    """The wish to take back the last grade."""

    grader: Annotated[str, Field(max_length=4 * LONGEST_NAME)]
    request: Annotated[str, Field(min_length=8, max_length=60)]


class MarksBody(_Body):
    """Marks of a page of the mosaic."""

    grader: Annotated[str, Field(max_length=4 * LONGEST_NAME)]
    mark: Literal["picked", "unpicked", "seen"]
    keys: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=MOST_TILES)]


def make_app(
    session: Session,
    *,
    token: str,
    hosts: Sequence[str] = LOCAL_NAMES,
    by_address: bool = False,
    cookie: str = "inspect",
    extras: Extras | None = None,
) -> Any:
    """Return the ASGI application of a session, behind its guard (see Guard)."""
    extras = extras or Extras()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _serve_page(app)
    _serve_lists(app, session, extras)
    serve_extras(app, session, extras)
    _serve_pictures(app, session)
    _serve_grades(app, session)

    @app.exception_handler(GalaxyError)
    def _explain(request: Request, error: GalaxyError) -> JSONResponse:
        status = 404 if isinstance(error, BadImageError) else 507 if isinstance(error, InputError) else 400
        return JSONResponse({"message": error.message, "fix": error.fix}, status)

    return Guard(app, token=token, hosts=hosts, by_address=by_address, cookie=cookie)


def _serve_page(app: FastAPI) -> None:
    folder = resources.files("convnet_galaxies.inspection") / "static"
    files = {name: (folder / name).read_bytes() for name in STATIC}

    @app.get("/")
    def _index() -> Response:
        return Response(files["index.html"], media_type=STATIC["index.html"])

    @app.get("/static/{name}")
    def _file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return Response(files[name], media_type=STATIC[name], headers={"cache-control": "no-cache"})


def _serve_lists(app: FastAPI, session: Session, extras: Extras) -> None:
    @app.get("/api/session")
    def _session() -> dict[str, Any]:
        session.tally.sync()
        return {**session.describe(), **(Extras() if session.options.blind else extras).describe()}

    @app.get("/api/view")
    def _view(
        grader: str,
        sort: Sort = "random",
        descending: bool = True,
        like: str | None = None,
        lowest: float | None = None,
        highest: float | None = None,
        flavor: str = "",
        flag: str = "",
        known: bool | None = None,
        graded: bool | None = None,
        picked: bool | None = None,
        seen: bool | None = None,
        kind: str = "",
        grade: float | None = None,
        by: str = "",
        text: Annotated[str, Query(max_length=100)] = "",
    ) -> dict[str, Any]:
        filters = Filters(lowest, highest, flavor, flag, known, graded, picked, seen, kind, grade, by, text)
        view, first = session.make_view(grader, sort=sort, descending=descending, filters=filters, like=like)
        name = check_grader(grader)
        return {
            "view": view.name,
            "total": len(view.order),
            "first": first,
            "remark": view.remark,
            "progress": session.progress(name),
        }

    @app.get("/api/items")
    def _items(
        view: str,
        grader: str,
        start: Annotated[int, Query(ge=0)] = 0,
        count: Annotated[int, Query(ge=1, le=MOST_TILES)] = 100,
    ) -> dict[str, Any]:
        return {"items": session.list_items(_find_view(session, view), check_grader(grader), start, count)}

    @app.get("/api/item/{key}")
    def _item(key: str, grader: str) -> dict[str, Any]:
        return session.detail(_find(session, key), check_grader(grader))

    @app.get("/api/results")
    def _results() -> dict[str, Any]:
        if session.options.blind:
            raise HTTPException(403, "results of a blind session are shown by `inspect --results`")
        return _measure(session)


def _serve_pictures(app: FastAPI, session: Session) -> None:
    step = BLIND_STEP_SECONDS if session.options.blind else 0.0

    @app.get("/mosaic/{view}")
    def _mosaic(
        request: Request,
        view: str,
        start: Annotated[int, Query(ge=0)],
        count: Annotated[int, Query(ge=1, le=MOST_TILES)],
        columns: Annotated[int, Query(ge=1, le=60)],
        side: int = 96,
        stretch: StretchName = "composite",
        contrast: Annotated[float, Query(ge=LOWEST_CONTRAST, le=HIGHEST_CONTRAST)] = 1.0,
        band: Annotated[int | None, Query(ge=0, le=20)] = None,
    ) -> Response:
        if side not in SIDES_PX:
            raise HTTPException(422, f"side: expected one of {SIDES_PX}")
        indices = _find_view(session, view).order[start : start + count].tolist()
        data = session.pictures.mosaic(indices, columns, side, Look(stretch, contrast, band))
        return _picture(request, data, "image/jpeg")

    @app.get("/image/{key}")
    async def _image(
        request: Request,
        key: str,
        most_px: Annotated[int, Query(ge=32, le=2048)] = 1024,
        stretch: StretchName = "composite",
        contrast: Annotated[float, Query(ge=LOWEST_CONTRAST, le=HIGHEST_CONTRAST)] = 1.0,
        band: Annotated[int | None, Query(ge=0, le=20)] = None,
        wider: Annotated[float | None, Query(ge=1, le=8)] = None,
    ) -> Response:
        started = monotonic()
        index, look = _find(session, key), Look(stretch, contrast, band)
        if wider is not None and session.options.blind:
            raise HTTPException(403, "this session is blind")
        try:
            data = await run_in_threadpool(session.pictures.single, index, most_px, look, wider=wider)
        finally:
            if step:
                await sleep((started - monotonic()) % step)  # its time tells nothing of its image
        if data is None:
            raise HTTPException(404, "the larger field is not at hand")
        return _picture(request, data, "image/png")


def _serve_grades(app: FastAPI, session: Session) -> None:
    @app.post("/api/grade")
    def _grade(body: GradeBody) -> dict[str, Any]:
        item = session.append_grade(
            _find(session, body.key),
            body.grader,
            grade=body.grade,
            kind=body.kind,
            note=body.note,
            seconds=body.seconds,
            shown=dict(body.shown),
            request=body.request,
        )
        return {"item": item, "progress": session.progress(check_grader(body.grader))}

    @app.post("/api/undo")
    def _undo(body: UndoBody) -> dict[str, Any]:
        item = session.undo(body.grader, body.request)
        return {"item": item, "progress": session.progress(check_grader(body.grader))}

    @app.post("/api/marks")
    def _marks(body: MarksBody) -> dict[str, Any]:
        session.append_marks(body.grader, body.mark, [_find(session, key) for key in body.keys])
        return {"progress": session.progress(check_grader(body.grader))}


def _picture(request: Request, data: bytes, media_type: str) -> Response:
    tag = f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "private, max-age=600"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)


def _find(session: Session, key: str) -> int:
    index = session.find(key)
    if index is None:
        raise HTTPException(404, "no such image in this session")
    return index


def _find_view(session: Session, name: str) -> View:
    view = session.view(name)
    if view is None:
        raise HTTPException(410, "the list is gone, since the server was started anew")
    return view


def _measure(session: Session) -> dict[str, Any]:
    from convnet_galaxies.inspection.results import read_results, results_page  # scikit-learn takes a second to load

    page = results_page(read_results(session.book.path))
    blocks = [block for one in page.sections for block in one.blocks]
    tables = [
        {
            "title": block.title,
            "columns": block.columns,
            "rows": [[write_cell(cell) for cell in row] for row in block.rows],
            "notes": block.notes,
        }
        for block in blocks
        if isinstance(block, Table)
    ]
    remarks = [block.text for block in blocks if isinstance(block, Text)]
    return {"lead": page.lead, "tables": tables, "remarks": remarks}
