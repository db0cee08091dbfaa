"""The header and the cells of a table of text: which lines are comments, what separates the cells, where they lack."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from convnet_galaxies.data.missing_values import NAME_COLUMNS, is_missing_word
from convnet_galaxies.errors import InputError

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
"""Characters between cells, tried in this order, and their names; spaces are tried when the header holds none."""

_RULE = re.compile(r"[\s|+:]*[-=]{2,}[-=+|:\s]*")
_ROW_COUNT = re.compile(r"\(\d+ rows?( affected)?\)", re.IGNORECASE)
_KNOWN_NAMES = {*NAME_COLUMNS, "ra", "dec", "label", "lens", "is_lens", "class", "type"}
_LOOKED_AT = 200


@dataclass(frozen=True)
class TextCells:
    """A table of texts.

    header: names of the columns; rows: one text for each column; separator: what stands between them.
    passed: how many comment lines stand below the header; empty: how many empty rows at the end were dropped.
    """

    header: list[str]
    rows: list[list[str]]
    separator: str
    passed: int
    empty: int


@dataclass
class _Lines:
    """Lines for csv.reader: comments and rules between records are left out, and the line's number is kept."""

    lines: Sequence[tuple[int, str]]
    separator: str
    outer_bars: bool
    number: int = 0
    at_record: bool = True
    passed: int = 0
    rules: bool = True
    record: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        for number, line in self.lines:
            if self.at_record:
                if line.startswith("#"):
                    self.passed += 1
                    continue
                if self.rules and _RULE.fullmatch(line.strip()):
                    continue
                if self.separator == "|" and _ROW_COUNT.fullmatch(line.strip()):
                    continue
            self.number = number
            if self.at_record:
                self.record = []
            self.at_record = False
            self.record.append(self._clean(line))
            yield self.record[-1]

    def _clean(self, line: str) -> str:
        if self.separator == " ":
            return _squeeze(line) + "\n"
        if self.outer_bars:
            return line.strip().removeprefix("|").removesuffix("|") + "\n"
        return line


def split_cells(text: str, name: str) -> TextCells:
    """Split a text into cells. name: the source, for messages.

    Raises InputError naming the first row with too many or too few cells, and ValueError when there is no header.
    """
    lines = list(enumerate(io.StringIO(text, newline=""), start=1))
    lines = [(number, line) for number, line in lines if line.strip()]
    told = re.fullmatch(r"sep=(.)", lines[0][1].strip("\r\n\"' "), re.IGNORECASE) if lines else None
    if told:
        lines = lines[1:]
    first = next((place for place, (_, line) in enumerate(lines) if not _is_comment(line)), len(lines))
    comments = [line.strip().lstrip("#").strip() for _, line in lines[:first] if line.startswith("#")]
    body = lines[first:]
    separator = told[1] if told else _choose_separator([line for _, line in body[:_LOOKED_AT]] or comments[-1:])
    outer_bars = separator == "|" and bool(body) and body[0][1].lstrip().startswith("|")
    source = _Lines(body, separator, outer_bars, rules=separator in "| \t")
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(source, delimiter=separator, skipinitialspace=separator != "\t")
    try:
        for row in reader:
            rows.append((source.number, [cell.strip() for cell in row]))
            if len(source.record) > 1 or source.record[0].count('"') % 2:
                _require_closed_quotes(
                    source.record, separator, f"{name}, line {source.number + 1 - len(source.record):,}"
                )
            source.at_record = True
            source.rules = source.rules and (separator == "|" or len(rows) < 2)
    except csv.Error as error:
        raise ValueError(f"line {source.number:,}: {error}") from None
    header = _find_header(comments, [row for _, row in rows[:_LOOKED_AT]], separator)
    if header is None:
        if not rows:
            raise ValueError("it holds no header")
        if all(map(_is_value, rows[0][1])):
            raise InputError(
                f"{name}, line {rows[0][0]:,}: found {', '.join(rows[0][1][:5])}, expected the names of the columns",
                "write a header above the first row, such as id,label",
            )
        header = rows.pop(0)[1]
    empty = 0
    while rows and not any(rows[-1][1]) and len(header) > 1:
        rows.pop()
        empty += 1
    return TextCells(header, _fit_rows(header, rows, separator, name), separator, source.passed, empty)


def _require_closed_quotes(record: list[str], separator: str, where: str) -> None:
    """A quote that is not closed swallows the rows below it."""
    try:
        list(csv.reader(record, delimiter=separator, skipinitialspace=separator != "\t", strict=True))
    except csv.Error:
        raise InputError(
            f'{where}: found a cell that begins with a quote (") and does not end with one before a separator, '
            "expected both or neither",
            "close the quote, or double it where it belongs to the text",
        ) from None


def _is_comment(line: str) -> bool:
    return line.startswith("#") or bool(_RULE.fullmatch(line.strip()))


def _choose_separator(lines: list[str]) -> str:
    """Return the separator that the first line has, and by which most lines have as many cells as it."""
    best, best_rank = None, (0.0, 0)
    for separator in SEPARATORS:
        rows = [row for row in csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t") if row]
        if not rows or len(rows[0]) < 2:
            continue
        rank = (_share_of_width(rows), len(rows[0]))
        if best is None or rank > best_rank:
            best, best_rank = separator, rank
    if best is not None:
        return best
    spaced = [row for row in csv.reader(map(_squeeze, lines), delimiter=" ", skipinitialspace=True) if row]
    return " " if spaced and len(spaced[0]) > 1 and _share_of_width(spaced) >= 0.5 else ","


def _squeeze(line: str) -> str:
    """Return the line for cells between spaces."""
    return line.replace("\t", " ").strip()


def _share_of_width(rows: list[list[str]]) -> float:
    """Return the fraction of rows as wide as the first."""
    return sum(len(row) == len(rows[0]) for row in rows[1:]) / (len(rows) - 1) if len(rows) > 1 else 1.0


def _find_header(comments: list[str], rows: list[list[str]], separator: str) -> list[str] | None:
    """Return the names of the columns where a comment holds them (``#id,is_lens``), else None."""
    for comment in reversed(comments):
        for mark in dict.fromkeys((separator, ",", "\t", " ")):
            cells = next(
                csv.reader(
                    [comment.replace("\t", " ") if mark == " " else comment],
                    delimiter=mark,
                    skipinitialspace=mark != "\t",
                ),
                [],
            )
            cells = [cell.strip() for cell in cells]
            if (not rows and len(cells) > 1) or (rows and len(cells) == len(rows[0]) and _names_columns(cells, rows)):
                return cells
    return None


def _names_columns(cells: list[str], rows: list[list[str]]) -> bool:
    """Return whether a comment of as many cells as the first row is the header, and the first row is not."""
    if not all(cells) or len(set(cells)) < len(cells) or any(map(_is_value, cells)):
        return False
    if any(map(_is_value, rows[0])):
        return True
    if any(_is_value(cell) for row in rows[1:] for cell in row):
        return False
    known, own = ({cell.lower() for cell in row} & _KNOWN_NAMES for row in (cells, rows[0]))
    return bool(known) and not own


def _is_value(cell: str) -> bool:
    """Return whether a cell is a number or missing, as no name of a column is."""
    try:
        float(cell)
    except ValueError:
        return is_missing_word(cell)
    return True


def _fit_rows(header: list[str], rows: list[tuple[int, list[str]]], separator: str, name: str) -> list[list[str]]:
    """Return the cells of the rows, each as many as the header's; surplus empty cells at the end of a line are no
    cells."""
    width = len(header)
    fitted = [row if len(row) <= width or any(row[width:]) else row[:width] for _, row in rows]
    wrong = [place for place, row in enumerate(fitted) if len(row) != width]
    if not wrong:
        return fitted
    place = wrong[0]
    found, line = len(fitted[place]), rows[place][0]
    more = f"; {len(wrong):,} rows do not fit the header" if len(wrong) > 1 else ""
    raise InputError(
        f"{name}, row {place + 1}: found {found} cell{'s' * (found != 1)}, expected {width} as in the header "
        f"(line {line:,}{more})",
        _advise(fitted[place], width, separator, all_rows=len(wrong) == len(rows), is_last=place == len(rows) - 1),
    )


def _advise(row: list[str], width: int, separator: str, *, all_rows: bool, is_last: bool) -> str:
    sign = SEPARATORS.get(separator, "space" if separator == " " else repr(separator))
    if any("\n" in cell or "\r" in cell for cell in row):
        return 'close the quote (") that opens in this row'
    if len(row) > width:
        numbers = sum(cell.lstrip("+-").isdigit() for cell in row)
        if separator == "," and numbers >= len(row) - 1 and numbers >= 3:
            return "write numbers with a decimal point, and quote texts that hold a comma"
        named = ", or name every column in the header" if all_rows and len(row) == width + 1 else ""
        return f"quote texts that hold a {sign}{named}"
    if separator == " ":
        return "write nan where a cell is empty, or separate the cells by commas"
    if is_last:
        return f"write a {sign} for each empty cell; where the file was cut off, fetch it again"
    return f"write a {sign} for each empty cell"
