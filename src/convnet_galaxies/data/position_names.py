"""Find the columns of sky positions in a table, by names and units of catalogues."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

RECOGNISED = (
    "ra and dec, RAJ2000 and DEJ2000, RA_ICRS and DE_ICRS, ALPHA_J2000 and DELTA_J2000, right_ascension and "
    "declination, also with a word in front or behind (TARGET_RA, coord_ra) and a unit (RA [deg], RAdeg, ra_hms)"
)

_FAMILIES = (
    (("ra",), ("dec", "de", "decl")),
    (("alphawin", "alphapsf", "alphapeak", "alpha"), ("deltawin", "deltapsf", "deltapeak", "delta")),
    (("xwin_world", "xpsf_world", "xpeak_world", "x_world"), ("ywin_world", "ypsf_world", "ypeak_world", "y_world")),
)
"""Words for right ascension and declination; the later ones may mean something else, so that values must fit."""

_NO_POSITION = re.compile(
    r"(e|er|err|error|errors|ivar|sigma|sig|std|stdev|stddev|rms|unc|uncert|uncertainty|var|cov|covar|pm|mu|motion|"
    r"offset|off|diff|d|del|delta|shift|corr|rate|pix|pixel|width|size|min|max|lo|hi|low|high|lower|upper|n|num|nobs|"
    r"number|flag|flags|index|idx|id|bias|scale|parallax|cos|sin|ra|dec|rad|dist|sep|image|angle)\d*"
)
"""A word beside that for the coordinate that makes the column something else."""

_UNITS = {
    "deg": "deg",
    "degs": "deg",
    "degree": "deg",
    "degrees": "deg",
    "°": "deg",
    "d": "deg",
    "decimal": "deg",
    "rad": "rad",
    "rads": "rad",
    "radian": "rad",
    "radians": "rad",
    "h": "hourangle",
    "hr": "hourangle",
    "hrs": "hourangle",
    "hour": "hourangle",
    "hours": "hourangle",
    "hourangle": "hourangle",
    "hms": "sexagesimal",
    "dms": "sexagesimal",
    "sex": "sexagesimal",
    "sexa": "sexagesimal",
    "sexagesimal": "sexagesimal",
    "hmsdms": "sexagesimal",
    "hhmmss": "sexagesimal",
    "hhmmsss": "sexagesimal",
    "ddmmsss": "sexagesimal",
    "ddmmss": "sexagesimal",
    "h m s": "sexagesimal",
    "d m s": "sexagesimal",
}
_FRAMES = re.compile(r"_?(j2000|eq2000|2000|icrs|fk5|j2015_5|j2016|epoch2000|ep2000|j20\d\d_\d)(?=_|$|[a-z])")
_OLD_FRAMES = re.compile(r"_?(b1950|fk4|1950)(?=_|$|[a-z])")
_OTHER_SYSTEMS = re.compile(
    r"(g|gal|galactic|ecl|e|ec|sg)_?(l|b|lon|lat|longitude|latitude)|[lb]|[lb]ii", re.IGNORECASE
)
_LOOKS_LIKE = re.compile(
    r"(.+_)?(ra|dec|decl|raj2000|dej2000|decj2000|radeg|dedeg|decdeg|right_ascension|declination|coords?|coordinates?|"
    r"sky_?coords?|position|sky_?position|lon|lat|rah|ram|ras|ded|dem|des|radec|ra_dec)(_.+)?"
)


@dataclass(frozen=True)
class Axis:
    """A column as one coordinate of a position.

    column: its name; core: what is left of it without coordinate, unit and frame, which a partner shares.
    unit: deg, rad, hourangle, sexagesimal, or None where the name does not tell; old: whether its frame is B1950.
    """

    column: str
    core: tuple[int, str, str]
    unit: str | None
    frame: str


def find_pairs(columns: Sequence[str]) -> list[tuple[Axis, Axis]]:
    """Find pairs of right ascension and declination among the columns, the likeliest first."""
    axes = [(_read_axes(column, 0), _read_axes(column, 1)) for column in columns]
    pairs = [
        (ra, dec)
        for first, _ in axes
        for ra in first
        for _, second in axes
        for dec in second
        if ra.core == dec.core and ra.column != dec.column
    ]
    places = {column: place for place, column in enumerate(columns)}

    def rank(pair: tuple[Axis, Axis]) -> tuple[object, ...]:
        ra, dec = pair
        family, before, behind = ra.core
        own = (ra.column.lower(), dec.column.lower()) != ("ra_deg", "dec_deg")
        units = (ra.unit == "sexagesimal", dec.unit == "sexagesimal", ra.unit != "deg", dec.unit != "deg")
        return own, family, bool(before) + bool(behind), ra.frame != dec.frame, units, places[ra.column]

    return sorted(pairs, key=rank)


def find_lookalikes(columns: Sequence[str]) -> list[str]:
    """Find columns whose names look like a position on the sky, or like part of one."""
    found = []
    for column in columns:
        name = _simplify(column)[0]
        others = "_".join(word for word in name.split("_") if word not in ("ra", "dec", "decl"))
        if _LOOKS_LIKE.fullmatch(name) and not _has_other_word(others):
            found.append(column)
    return found


def find_other_systems(columns: Sequence[str]) -> list[str]:
    """Find columns of galactic or ecliptic coordinates; ``l`` and ``b`` only together."""
    found = [column for column in columns if _OTHER_SYSTEMS.fullmatch(_simplify(column)[0])]
    single = {column.lower() for column in found if len(column) == 1}
    return [column for column in found if len(column) > 1 or single == {"l", "b"}]


def unit_of_text(text: str) -> str | None:
    """Return the unit that a declaration or a name's brackets mean (deg, rad, hourangle, sexagesimal), if any."""
    plain = re.sub(r"[\"'\[\]()]", "", text).strip().lower()
    return _UNITS.get(plain) or _UNITS.get(re.sub(r"[:\s]+", " ", plain)) or _UNITS.get(re.sub(r"[^a-z]", "", plain))


def _read_axes(column: str, which: int) -> list[Axis]:
    """All ways in which a name may mean right ascension (which 0) or declination (1)."""
    name, unit, frame = _simplify(column)
    found = []
    for family, words in enumerate(_FAMILIES):
        for word in words[which]:
            for match in re.finditer(re.escape(word), name):
                before, behind = name[: match.start()], name[match.end() :]
                if (before and not before.endswith("_")) and (behind and not behind.startswith("_")):
                    continue
                if (before and not before.endswith("_")) and family:
                    continue
                if any(map(_has_other_word, (before, behind))):
                    continue
                part = word.removeprefix("alpha").removeprefix("delta") if family == 1 else ""
                part = word.split("_")[0][1:] if family == 2 else part
                found.append(Axis(column, (family, f"{before}{part}", behind), unit, frame))
    return found


def _has_other_word(text: str) -> bool:
    words = [word for word in text.split("_") if word]
    return any(_NO_POSITION.fullmatch(word) for word in words)


def _simplify(column: str) -> tuple[str, str | None, str]:
    """Return the name in lower case with ``_`` between words, without unit and frame, which are given beside it."""
    unit = None
    for inside in re.findall(r"[\[({]([^\])}]*)[\])}]", column):
        unit = unit or unit_of_text(inside)
    name = re.sub(r"[\[({][^\])}]*[\])}]", lambda found: "_" + found[0] if _frame_of(found[0]) else " ", column)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    if "°" in name:
        unit = unit or "deg"
    name = re.sub(r"\bR\.\s?A\.", "RA", name, flags=re.IGNORECASE).lower()
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
    name = re.sub(r"right_?asc(ension)?", "ra", name)
    name = re.sub(r"decl?inations?|declin\b", "dec", name)
    frame = _frame_of(name)
    name = _OLD_FRAMES.sub("", _FRAMES.sub("", name)).strip("_")
    words = name.split("_")
    if len(words) > 1 and words[-1] in _UNITS:
        unit, words = unit or _UNITS[words[-1]], words[:-1]
    else:
        glued = re.fullmatch(r"(ra|dec?|alpha|delta)(deg|degrees?|radians?|hours?|hms|dms)", words[-1])
        if glued:
            unit, words = unit or _UNITS[glued[2]], [*words[:-1], glued[1]]
    return "_".join(words), unit, frame


def _frame_of(name: str) -> str:
    lowered = name.lower()
    return "B1950" if re.search(r"b?1950|fk4", lowered) else "J2000" if re.search(r"2000|icrs|fk5", lowered) else ""
