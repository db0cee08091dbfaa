"""Blocks of texts and pages. Each result becomes one Page; its text and its HTML are made from the same blocks."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, ClassVar, TypeAlias

Cell: TypeAlias = str | int | float | None

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    is_warning: bool = False

    def html(self) -> str:
        """Return the paragraph as HTML."""
        return f"<p>{escape(self.text)}</p>"

    _repr_html_ = html


@dataclass(frozen=True)
class Table:
    """A table. rows: one cell per column each; the first column names the row. notes: lines below it.

    Numbers are written with thousands and few decimals; texts, such as formatted estimates, as they are.
    """

    kind: ClassVar[str] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return title, aligned columns and notes as lines of plain text; columns of numbers stand to the right."""
        from rich.console import Console
        from rich.table import Table as Grid

        cells = [[write_cell(cell) for cell in row] for row in self.rows]
        grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
        for place, name in enumerate(self.columns):
            is_number = all(re.match(r"[-+]?\d|$", row[place]) for row in cells)
            grid.add_column(name, justify="right" if is_number else "left", no_wrap=True)
        for row in cells:
            grid.add_row(*row)
        width = sum(max(2 * len(text) for text in column) + 2 for column in zip(self.columns, *cells, strict=True))
        file = io.StringIO()
        console = Console(
            file=file, width=width, color_system=None, markup=False, emoji=False, highlight=False, legacy_windows=False
        )
        console.print(grid)
        body = [line.rstrip() for line in file.getvalue().splitlines()]
        return [*filter(None, [self.title]), *body, *self.notes]

    def html(self) -> str:
        """Return the table and its notes as HTML; where there are many columns, intervals stand below their values."""
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.columns)
        wide = ' class="wide"' if len(self.columns) > 5 else ""
        lines = [f"<table{wide}>", f"<caption>{escape(self.title)}</caption>"]
        lines += [f"<thead><tr>{head}</tr></thead>", "<tbody>"]
        for first, *others in self.rows:
            cells = "".join(f"<td>{_mark_range(write_cell(cell))}</td>" for cell in others)
            lines.append(f'<tr><th scope="row">{escape(write_cell(first))}</th>{cells}</tr>')
        notes = [f'<p class="note">{escape(note)}</p>' for note in self.notes]
        return "\n".join(['<div class="table">', *lines, "</tbody>", "</table>", "</div>", *notes])

    _repr_html_ = html


@dataclass(frozen=True)
class Plot:
    """A drawing. svg: its bytes; alt: what it shows, for readers who cannot see it; caption: below it."""

    kind: ClassVar[str] = "plot"
    svg: bytes
    alt: str
    caption: str

    @property
    def source(self) -> str:
        """The drawing as the address of an image."""
        return as_address(self.svg, "image/svg+xml")

    def html(self) -> str:
        """Return the drawing and its caption as HTML."""
        image = f'<img src="{self.source}" alt="{escape(self.alt)}" style="max-width: 34em">'
        return f"<figure>{image}<figcaption>{escape(self.caption)}</figcaption></figure>"

    _repr_html_ = html


@dataclass(frozen=True)
class Picture:
    """One image of a gallery. png: its bytes; caption: below it; alt: what it is."""

    png: bytes
    caption: str
    alt: str

    @property
    def source(self) -> str:
        """The image as the address of an image."""
        return as_address(self.png, "image/png")


@dataclass(frozen=True)
class Gallery:
    """Images with captions, and a line on how they were chosen."""

    kind: ClassVar[str] = "gallery"
    title: str
    note: str
    pictures: tuple[Picture, ...]

    def html(self) -> str:
        """Return the images, side by side with their captions, as HTML."""
        figures = "".join(
            f'<figure style="margin: 0; width: 9em"><img src="{one.source}" alt="{escape(one.alt)}" width="100%">'
            f'<figcaption style="white-space: pre-line">{escape(one.caption)}</figcaption></figure>'
            for one in self.pictures
        )
        heading = f"<p><b>{escape(self.title)}</b> {escape(self.note)}</p>"
        return f'{heading}<div style="display: flex; flex-wrap: wrap; gap: 0.5em">{figures}</div>'

    _repr_html_ = html


@dataclass(frozen=True)
class Verbatim:
    """Text as it is: commands or settings. folded: whether a page shows it only on demand."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str
    folded: bool = False

    def html(self) -> str:
        """Return the text as HTML."""
        return f"<p><b>{escape(self.title)}</b></p><pre>{escape(self.text)}</pre>"

    _repr_html_ = html


Block: TypeAlias = Text | Table | Plot | Gallery | Verbatim


@dataclass(frozen=True)
class Card:
    """A number in large type at the head of a page."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Section:
    """A part of a page. On the page, plots that follow each other stand side by side where there is room."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        """Its name in links."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower()).strip("-")

    @property
    def runs(self) -> list[list[Block]]:
        """The blocks, with neighbouring plots together."""
        found: list[list[Block]] = []
        for block in self.blocks:
            if found and isinstance(block, Plot) and isinstance(found[-1][0], Plot):
                found[-1].append(block)
            else:
                found.append([block])
        return found


@dataclass(frozen=True)
class Page:
    """A result in words, tables and pictures. lead: sentences that state what was found."""

    title: str
    lead: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    sections: tuple[Section, ...] = ()

    def text(self) -> str:
        """Return the lead, and the texts and tables of every section, as plain text; pictures need a page."""
        parts = ["\n".join(self.lead)]
        for one in self.sections:
            blocks = ["\n".join(lines) for lines in map(_block_lines, one.blocks) if lines]
            parts += ["\n".join([one.title, "-" * len(one.title), "\n\n".join(blocks)])] if blocks else []
        return "\n\n".join(filter(None, parts))

    def html(self) -> str:
        """Return the lead and all sections as HTML for a notebook; show.page.render_page makes a whole page."""
        lines = [f"<p>{escape(line)}</p>" for line in self.lead]
        for one in self.sections:
            lines += [f"<h4>{escape(one.title)}</h4>", *(block.html() for block in one.blocks)]
        return "\n".join(lines)

    _repr_html_ = html

    def illustrate(self, pictures: Mapping[str, Sequence[Block | None]], more: Sequence[Section | None] = ()) -> Page:
        """Return the page with blocks put before those of the sections of these titles, and more sections at the end.

        Raises KeyError for a title that no section has.
        """
        absent = set(pictures) - {one.title for one in self.sections}
        if absent:
            raise KeyError(f"no section {sorted(absent)}")
        sections = [section(one.title, [*pictures.get(one.title, ()), *one.blocks]) for one in self.sections]
        return replace(self, sections=tuple(one for one in (*sections, *more) if one is not None))


def section(title: str, blocks: Sequence[Block | None]) -> Section | None:
    """Return a section of the blocks that are there; None when none is."""
    there = tuple(block for block in blocks if block is not None)
    return Section(title, there) if there else None


def sections_of(found: Sequence[Section | None]) -> tuple[Section, ...]:
    """Return the sections that are there."""
    return tuple(one for one in found if one is not None)


def write_cell(cell: Any) -> str:
    """Return a cell as text: thousands with commas, numbers below 0.1 with two digits, others with one decimal."""
    if cell is None:
        return ""
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:.1f}" if abs(cell) >= 0.1 else f"{cell:.2g}"
    return without_controls(str(cell))


def without_controls(text: str) -> str:
    """Return text without the control characters by which names of strangers could steer a terminal or turn a line."""
    return _CONTROLS.sub("\ufffd", text)


def as_address(data: bytes, media_type: str) -> str:
    """Return bytes as a data: address."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _block_lines(block: Block) -> list[str]:
    if isinstance(block, Table):
        return block.lines()
    return [block.text] if isinstance(block, Text) else []


def _mark_range(cell: str) -> str:
    value, bracket, rest = cell.partition(" (")
    return f'{escape(value)} <span class="range">({escape(rest)}</span>' if bracket else escape(cell)
