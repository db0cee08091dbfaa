"""One inspection: candidates, what is mixed in, the table of grades, and what the page may see of them."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies.data.grade_book import Grade, GradeBook, Mark, check_grader
from convnet_galaxies.errors import BadImageError, InputError, UsageError
from convnet_galaxies.inspection.choice import (
    FLAGS,
    SORTS,
    Columns,
    Filters,
    Sort,
    choose_candidates,
    list_showings,
    read_columns,
)
from convnet_galaxies.inspection.learner import Learner, gather
from convnet_galaxies.inspection.links import make_links
from convnet_galaxies.inspection.mixing import Showings, make_showings
from convnet_galaxies.inspection.neighbours import Neighbours
from convnet_galaxies.inspection.planes import compare_sources
from convnet_galaxies.inspection.render import PICTURE_STRETCHES, STRETCHES
from convnet_galaxies.inspection.scheme import Scheme
from convnet_galaxies.inspection.sources import Source
from convnet_galaxies.inspection.tally import Tally
from convnet_galaxies.inspection.thumbnails import Pictures

_VIEWS_KEPT = 64
_NEIGHBOURS = 12
_HIDDEN_COLUMNS = ("id", "group", "pixel_hash", "sky_group")


@dataclass(frozen=True)
class SessionOptions:
    """How a session is held.

    blind: scores, ids and positions are hidden, the order is shuffled by the seed, and repeats are mixed in.
    top: number of best candidates; lowest: least lens probability; None takes all candidates.
    mix_share, repeat_share: see make_showings.
    """

    blind: bool = True
    seed: int = 0
    top: int | None = None
    lowest: float | None = None
    mix_share: float = 0.1
    repeat_share: float = 0.05


@dataclass(frozen=True, eq=False)
class View:
    """A list of showings as a grader asked for it. It stays as it is while he grades. remark: how it came about."""

    name: str
    order: np.ndarray
    remark: str = ""


@dataclass(eq=False)
class Session:
    """Everything behind the page; its methods may be called from several threads."""

    source: Source
    book: GradeBook
    options: SessionOptions = field(default_factory=SessionOptions)
    scheme: Scheme = field(default_factory=Scheme)
    mixed: Sequence[Source] = ()
    neighbours: Neighbours | None = None
    learner: Learner | None = None

    def __post_init__(self) -> None:
        self._secret = base64.b64decode(
            self.book.set_fact("secret", base64.b64encode(secrets.token_bytes(16)).decode())
        )
        self.columns: Columns = read_columns(self.source.table, self.source.has_image)
        self.showings: Showings = make_showings(
            self.source,
            choose_candidates(self.columns, lowest=self.options.lowest, top=self.options.top),
            mixed=self.mixed,
            mix_share=self.options.mix_share,
            repeat_share=self.options.repeat_share,
            blind=self.options.blind,
            seed=self.options.seed,
            secret=self._secret,
        )
        self.pictures = Pictures([self.source, *self.mixed], self.showings, same_size=self.options.blind)
        self.tally = Tally(self.book, self.showings.keys)
        if self.tally.foreign and not self.tally.graders():
            raise InputError(
                f"{self.book.path}: found {self.tally.foreign:,} grades, none of them of these candidates",
                "give the table of grades that belongs to them, or begin another with --database",
            )
        self._index = {key: index for index, key in enumerate(self.showings.keys.tolist())}
        self._views: OrderedDict[str, View] = OrderedDict()
        self._lock = threading.Lock()
        self._planes = compare_sources(self.pictures.sources)

    def close(self) -> None:
        """Close the table of grades and stop the threads."""
        self.pictures.close()
        self.book.close()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What whoever starts the session should know, one sentence each."""
        return (*self.source.remarks, *self._planes.remarks)

    def describe(self) -> dict[str, Any]:
        """Return what the page needs at its start; nothing of the candidates where the session is blind."""
        is_open = not self.options.blind
        sorts = ["random"]
        if is_open:
            there = {name: bool(np.isfinite(getattr(self.columns, name)).any()) for name in ("rank", "probability")}
            there["familiarity"] = bool(np.isfinite(self.columns.familiarity).any())
            there |= {"disagreement": there["probability"], "similarity": self.neighbours is not None}
            there |= dict.fromkeys(("learned", "next"), self.learner is not None)
            sorts = [name for name in SORTS if there.get(name, True)]
        return {
            "session": hashlib.blake2b(self._secret, digest_size=6).hexdigest(),
            "source": Path(self.source.name).name if is_open else "",
            "blind": self.options.blind,
            "total": len(self.showings),
            "scheme": self.scheme.as_page(),
            "stretches": PICTURE_STRETCHES if self._planes.is_picture else STRETCHES,
            "bands": self._planes.bands,
            "sorts": sorts,
            "flavors": self.columns.flavors if is_open else [],
            "flags": [name for name in FLAGS if is_open and self.columns.flags[name].any()],
            "has_known": bool(is_open and (self.columns.known != "").any()),
            "has_wider": bool(is_open and type(self.source).wider is not Source.wider),
            "has_neighbours": bool(is_open and self.neighbours is not None),
            "graders": self.tally.graders(),
        }

    def make_view(
        self,
        grader: str,
        *,
        sort: Sort = "random",
        descending: bool = True,
        filters: Filters | None = None,
        like: str | None = None,
    ) -> tuple[View, int]:
        """List showings for a grader; return the list and the place of the first that he did not grade.

        like: showing to which others are compared. Raises UsageError where a blind session must not sort or filter so.
        """
        grader, filters = check_grader(grader), filters or Filters()
        asked = [name for name in Filters.OPEN_ONLY if getattr(filters, name) not in (None, "")]
        if self.options.blind and (sort != "random" or asked):
            raise UsageError(
                f"this session is blind, so that candidates are not listed by {', '.join([sort, *asked])}",
                "start `inspect` with --no-blind to sort and filter by scores",
            )
        self.tally.sync()
        likeness, remark = self._likeness(sort, like, grader)
        order = list_showings(
            self.showings,
            self.columns,
            self.tally,
            grader,
            sort=sort,
            descending=descending,
            filters=filters,
            seed=self.options.seed,
            likeness=likeness,
        )
        view = View(secrets.token_urlsafe(9), order, remark)
        with self._lock:
            self._views[view.name] = view
            while len(self._views) > _VIEWS_KEPT:
                self._views.popitem(last=False)
        graded = self.tally.graded(grader)
        first = next((place for place, index in enumerate(order.tolist()) if index not in graded), 0)
        return view, first

    def view(self, name: str) -> View | None:
        """Return a list that was made before; None where the server was started anew since, or many were made."""
        with self._lock:
            if name in self._views:
                self._views.move_to_end(name)
            return self._views.get(name)

    def list_items(self, view: View, grader: str, start: int, count: int) -> list[dict[str, Any]]:
        """Return a piece of a list: key, own grade, kind and marks; in open sessions also id and scores."""
        return [self.item(int(index), grader) for index in view.order[start : start + count]]

    def item(self, index: int, grader: str) -> dict[str, Any]:
        """Return what a mosaic shows of one showing."""
        standing = self.tally.standing(grader, index)
        item: dict[str, Any] = {
            "key": str(self.showings.keys[index]),
            "grade": None if standing is None else standing.grade,
            "kind": "" if standing is None else standing.kind,
            "note": "" if standing is None else standing.note,
            "picked": self.tally.is_marked(grader, "picked", index),
            "seen": self.tally.is_marked(grader, "seen", index),
        }
        if not self.options.blind and self.showings.source[index] == 0:
            row = self.showings.row[index]
            item["id"] = str(self.showings.ids[index])
            item["probability"] = _number(self.columns.probability[row])
            item["rank"] = _number(self.columns.rank[row])
        return item

    def detail(self, index: int, grader: str) -> dict[str, Any]:
        """Return what the single view shows: in blind sessions the image and the own grade alone."""
        item = self.item(index, grader)
        if self.options.blind or self.showings.source[index] != 0:
            return item
        row = int(self.showings.row[index])
        values = self.source.table.iloc[row]
        item["values"] = {
            name: _cell(value) for name, value in values.items() if name not in _HIDDEN_COLUMNS and _cell(value) != ""
        }
        if {"ra_deg", "dec_deg"} <= set(values.index):
            ra, dec = float(values["ra_deg"]), float(values["dec_deg"])
            if np.isfinite(ra) and np.isfinite(dec):
                item["position"] = {"ra_deg": ra, "dec_deg": dec, "links": make_links(ra, dec)}
        try:
            item["cards"] = self.source.cards(row)
        except BadImageError as error:
            item["fault"] = error.message
        if self.neighbours is not None:
            near = self.neighbours.nearest(row, _NEIGHBOURS)
            place = {int(r): k for k, r in enumerate(self.showings.row) if self.showings.source[k] == 0}
            item["neighbours"] = [self.item(place[int(one)], grader) for one in near if int(one) in place]
        return item

    def find(self, key: str) -> int | None:
        """Return the showing of a key."""
        return self._index.get(key)

    def append_grade(
        self,
        index: int,
        grader: str,
        *,
        grade: float | None,
        kind: str = "",
        note: str = "",
        seconds: float | None = None,
        shown: dict[str, Any] | None = None,
        request: str,
    ) -> dict[str, Any]:
        """Append a grade and return the item as it stands. Raises UsageError for grades and kinds not in the scheme."""
        if grade is not None and grade not in {one.value for one in self.scheme.grades}:
            raise UsageError(f"grade: found {grade:g}, expected one of the scheme", "reload the page")
        if kind and kind not in {one.label for one in self.scheme.kinds}:
            raise UsageError(f"kind: found {kind!r}, expected one of the scheme", "reload the page")
        how = {**(shown or {}), **self.showings.facts(index), "blind": self.options.blind, "seed": self.options.seed}
        name, showing = str(self.showings.ids[index]), str(self.showings.keys[index])
        self.book.append_grade(Grade(request, showing, name, grader, grade, kind, seconds, note, how))
        self.tally.sync()
        return self.item(index, check_grader(grader))

    def undo(self, grader: str, request: str) -> dict[str, Any] | None:
        """Undo the last grade of a grader; return its item as it stands then, None where there was none."""
        showing = self.book.undo(check_grader(grader), request)
        self.tally.sync()
        index = None if showing is None else self.find(showing)
        return None if index is None else self.item(index, check_grader(grader))

    def append_marks(self, grader: str, mark: Mark, indices: Sequence[int]) -> None:
        """Append marks of the first pass."""
        items = [(str(self.showings.keys[index]), str(self.showings.ids[index])) for index in indices]
        self.book.append_marks(grader, mark, items, [self.showings.facts(index) for index in indices])
        self.tally.sync()

    def progress(self, grader: str) -> dict[str, int]:
        """Return how many showings a grader graded, picked and saw, of how many."""
        graded = sum(one.grade is not None for one in self.tally.graded(grader).values())
        picked, seen = (len(self.tally.marked(grader, mark)) for mark in ("picked", "seen"))
        return {"graded": graded, "picked": picked, "seen": seen, "total": len(self.showings)}

    def _likeness(self, sort: Sort, like: str | None, grader: str) -> tuple[np.ndarray | None, str]:
        """Values of the candidates for the sorts by features, and a sentence on them; None for other sorts."""
        if sort in ("learned", "next"):
            if self.learner is None:
                raise UsageError(
                    f"sort: '{sort}' needs features of the candidates", "start `inspect` with --embeddings"
                )
            return self.learner.values(gather(self.showings, self.tally, grader), sort)
        if sort != "similarity":
            return None, ""
        index = self.find(like or "")
        if self.neighbours is None or index is None or self.showings.source[index] != 0:
            raise UsageError("similarity: found no image to compare with", "pick an image first")
        return np.asarray(self.neighbours.likeness(int(self.showings.row[index]))), ""


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _cell(value: Any) -> str:
    """A cell as text: whole numbers exact, others with six digits, missing ones as nothing."""
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        return ""
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return str(value)[:500]
