"""List the images of folders and zips, and count other files by reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from convnet_galaxies.data.image_file import ImageFile

MOST_NAMED = 3

NO_IMAGE_ENDINGS = re.compile(
    r"\.(csv|tsv|txt|dat|tab|cat|tbl|ecsv|parquet|feather|vot|votable|xlsx?|sqlite|db|jsonl?|geojson|xml|ya?ml|toml|ini"
    r"|cfg|conf|md|rst|tex|bib|html?|css|js|pdf|docx?|log|out|err|reg|head|hdr|par|sex|conv|nnw|psf|py|pyc|ipynb|sh|md5"
    r"|sha1|sha256|sum|asc|sig)(\.(gz|bz2|xz|zip))?"
)
"""Endings of tables, texts and files that programs keep beside images; passing them over needs no warning."""

NO_IMAGE_NAMES = frozenset(
    ("readme", "license", "licence", "copying", "makefile", "checksums", "manifest", "changelog")
)
SYSTEM_NAMES = frozenset(("__macosx", ".ds_store", "thumbs.db", "desktop.ini"))

TEXTS, SYSTEM = "tables and texts", "hidden or of the system"
HIDDEN, NO_ENDING = "hidden images", "without an ending"
UNREADABLE, LINKS = "folders that may not be read", "broken links"
ELSEWHERE = "links to folders elsewhere"
SPECIAL, DOUBLES = "devices or pipes", "older members of the same name"

_ONE = {
    TEXTS: "table or text",
    HIDDEN: "hidden image",
    UNREADABLE: "folder that may not be read",
    LINKS: "broken link",
    ELSEWHERE: "link to a folder elsewhere",
    SPECIAL: "device or pipe",
    DOUBLES: "older member of the same name",
}
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".z", ".zip")


@dataclass(frozen=True)
class Listing:
    """Image files, and what else was there.

    source: where, for sentences. files: the images, by name. passed_over: for each reason (an ending such as ``.gif``,
    or words) the number of files and the first names. joined: sentences on files of one band that were joined.
    """

    source: str
    files: tuple[ImageFile, ...]
    passed_over: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    joined: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """One sentence where something that may be an image was passed over, else none."""
        return (self.sentence(),) if any(map(_is_image, self.passed_over)) else ()

    def sentence(self) -> str:
        """Files that were passed over: ``x.zip: passed over: 2 .gif, 1 broken link (such as a.gif)``."""
        if not self.passed_over:
            return f"{self.source}: nothing was passed over"
        named = [name for reason, (_, names) in self.passed_over.items() if _is_image(reason) for name in names]
        return f"{self.source}: {self.counts()}" + (
            f" (such as {', '.join(sorted(named)[:MOST_NAMED])})" if named else ""
        )

    def counts(self) -> str:
        """Return ``passed over: 2 .gif, 1 broken link``, what may be an image and the more frequent first."""
        ordered = sorted(self.passed_over.items(), key=lambda item: (not _is_image(item[0]), -item[1][0], item[0]))
        texts = [f"{n:,} {_ONE.get(reason, reason) if n == 1 else reason}" for reason, (n, _) in ordered]
        return f"passed over: {', '.join(texts)}"


class Tally:
    """Counts what is passed over, by reason, and keeps the first names of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        """Count one file or folder."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        names = self._names.setdefault(reason, [])
        if len(names) < MOST_NAMED:
            names.append(name)

    def counted(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """See Listing.passed_over."""
        return {reason: (count, tuple(self._names[reason])) for reason, count in self._counts.items()}


def name_reason(name: str, *, is_image: bool) -> str:
    """Return the reason to pass over a file of this name: SYSTEM, HIDDEN, TEXTS, NO_ENDING, or its lower-case ending.

    is_image: whether it ends as an image does, so that only its hidden name keeps it out.
    """
    lowered = name.lower()
    if lowered in SYSTEM_NAMES or name.startswith("._") or (name.startswith(".") and not is_image):
        return SYSTEM
    if name.startswith("."):
        return HIDDEN
    ending = name_ending(lowered)
    if NO_IMAGE_ENDINGS.fullmatch(ending) or PurePosixPath(lowered).stem in NO_IMAGE_NAMES:
        return TEXTS
    return ending or NO_ENDING


def _is_image(reason: str) -> bool:
    """Return whether what was passed over for this reason may be an image."""
    return reason not in (TEXTS, SYSTEM)


def name_ending(name: str) -> str:
    """Return ``.gif``; of packed files the two endings, such as ``.fits.xz``; nothing where there is none."""
    suffixes = PurePosixPath(name).suffixes
    return "".join(suffixes[-2:] if len(suffixes) > 1 and suffixes[-1].lower() in _PACKED else suffixes[-1:])


def join_listings(listings: Iterable[Listing]) -> Listing:
    """Return one listing of several, each file once."""
    parts = list(listings)
    if len(parts) == 1:
        return parts[0]
    passed: dict[str, tuple[int, tuple[str, ...]]] = {}
    for part in parts:
        for reason, (count, names) in part.passed_over.items():
            before = passed.get(reason, (0, ()))
            passed[reason] = (before[0] + count, (*before[1], *names)[:MOST_NAMED])
    files = tuple(dict.fromkeys(file for part in parts for file in part.files))
    return Listing(", ".join(part.source for part in parts), files, passed)
