"""Values of single cards of FITS headers, whatever they were written as."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # astropy is loaded when a FITS file is read
    from astropy.io.fits import Card, Header


class Cards(Mapping[str, Any]):
    """The cards of a header by their keywords, without comments; values are parsed when they are asked for.

    A look into astropy's Header for a keyword that is not there costs a hundred times as much, and a plane needs sixty.
    """

    def __init__(self, header: Header) -> None:
        self._cards: dict[str, Card] = {}
        for card in header.cards:
            if card.keyword not in ("", "COMMENT", "HISTORY"):
                self._cards.setdefault(card.keyword, card)  # of cards that stand twice the first counts, as in astropy

    def rename(self, keyword_of: Callable[[str], str | None]) -> Cards:
        """Return the same cards under other keywords, without those for which None is given."""
        renamed = Cards.__new__(Cards)
        renamed._cards = {}
        for keyword, card in self._cards.items():
            new = keyword_of(keyword)
            if new is not None:
                renamed._cards.setdefault(new, card)
        return renamed

    def __getitem__(self, keyword: str) -> Any:
        return self._cards[keyword].value

    def comment(self, keyword: str) -> str:
        """Return the comment beside a card; nothing where it is absent."""
        card = self._cards.get(keyword)
        return "" if card is None else str(card.comment)

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)


def text_of(header: Cards, key: str) -> str:
    """Return the text of a card, or an empty one where it is absent or holds something else."""
    value = header.get(key)
    return value.strip() if isinstance(value, str) else ""


def number_of(header: Cards, key: str, *, or_text: bool = False) -> float | None:
    """Return the finite number of a card, or None without one. or_text: also one that is written as a text."""
    value = header.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str if or_text else int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
