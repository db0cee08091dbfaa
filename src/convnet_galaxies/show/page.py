"""What a report consists of, and the one HTML page that it becomes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import ClassVar, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined

from convnet_galaxies import __version__


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first column is text, the others stand to the right. notes: lines below it."""

    kind: ClassVar[str] = "table"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def is_wide(self) -> bool:
        """Whether intervals stand below their values, to save width."""
        return len(self.head) > 5


@dataclass(frozen=True)
class Plot:
    """A drawing. svg: its bytes; alt: what it shows, for who cannot see it; caption: below it."""

    kind: ClassVar[str] = "plot"
    svg: bytes
    alt: str
    caption: str

    @property
    def source(self) -> str:
        """The drawing as the address of an image."""
        return as_address(self.svg, "image/svg+xml")


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


@dataclass(frozen=True)
class Listing:
    """Text as it is: commands or settings. folded: whether it opens only when asked for."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str
    folded: bool = False


Block: TypeAlias = Text | Table | Plot | Gallery | Listing


@dataclass(frozen=True)
class Card:
    """A figure that the eye meets first."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Section:
    """A part of the page; plots that follow each other stand side by side where there is room."""

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
    """A report. lead: sentences that say what was found."""

    title: str
    lead: tuple[str, ...]
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]


def as_address(data: bytes, media_type: str) -> str:
    """Bytes as a data: address."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def section(title: str, blocks: Sequence[Block | None]) -> Section | None:
    """A section of what is there; None when nothing is."""
    there = tuple(block for block in blocks if block is not None)
    return Section(title, there) if there else None


def render_page(page: Page) -> str:
    """The page as one HTML text that loads nothing from elsewhere."""
    environment = Environment(
        loader=PackageLoader("convnet_galaxies.show"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("convnet_galaxies.show") / "static" / "report.css").read_text("utf-8")
    return environment.get_template("report.html.j2").render(page=page, style=style, version=__version__)
