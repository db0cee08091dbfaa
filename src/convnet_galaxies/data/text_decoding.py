"""The text in the bytes of a table file, whatever its encoding, and what a file of another kind is."""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, the longer before those that they begin with."""

_KINDS = (
    (b"SIMPLE  =", "a FITS file"),
    (b"PAR1", "a Parquet file"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x93NUMPY", "a numpy array"),
)


def decode_text(data: bytes) -> tuple[str, str | None]:
    """Return the text, and a remark if the encoding had to be guessed.

    UTF-8, UTF-16 and UTF-32 are told by their byte order marks or zeros; what is no UTF-8 is read as Latin-1 (in the
    variant of Windows). Raises ValueError for binary data.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None) or _guess_wide(data)
    if encoding is None and b"\0" in data[:4096]:
        raise ValueError("it holds binary data")
    try:
        return data.decode(encoding or "utf-8"), None
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise ValueError(f"it begins as {encoding.upper().removesuffix('-SIG')} but is broken") from None
        line = data.count(b"\n", 0, error.start) + 1
        remark = f"is not UTF-8 (byte 0x{data[error.start]:02x} in line {line:,}) and is read as Latin-1"
    try:
        return data.decode("cp1252"), remark
    except UnicodeDecodeError:
        return data.decode("latin-1"), remark


def name_content(data: bytes) -> str | None:
    """Name the content of a file if its bytes show it, e.g. ``a web page``; else return None."""
    if not data.strip():
        return "an empty file"
    start = data[:2048].lstrip(codecs.BOM_UTF8).lstrip()
    if start[:1] == b"<":
        lowered = start.lower()
        if b"<votable" in lowered or b":votable" in lowered:
            return "a VOTable"
        return "a web page" if b"html" in lowered else "an XML file"
    return next((kind for mark, kind in _KINDS if data.startswith(mark)), None)


def advise_on_content(content: str | None, form: str) -> str:
    """Return a fix for a file whose content (see name_content) does not match its ending."""
    ending = {"a FITS file": ".fits", "a Parquet file": ".parquet", "a VOTable": ".vot"}.get(content or "")
    if ending is not None and form.lower() not in (content or "").lower():
        return f"rename it so that it ends in {ending}"
    if content is not None and "Excel" in content:
        return "save it as CSV"
    return "fetch or export the file again"


def _guess_wide(data: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of ASCII text is zero."""
    head = data[:512]
    even, odd = head[::2], head[1::2]
    if len(head) >= 4 and b"\0" not in even and odd.count(0) > 0.9 * len(odd):
        return "utf-16-le"
    if len(head) >= 4 and b"\0" not in odd and even.count(0) > 0.9 * len(even):
        return "utf-16-be"
    return None
