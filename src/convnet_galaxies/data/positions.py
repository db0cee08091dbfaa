"""Positions on the sky from a catalogue's columns, in degrees, radians, hours or sexagesimal, as degrees of ICRS."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from astropy import units as u
from astropy.coordinates import FK4, Angle, SkyCoord

from convnet_galaxies.data.missing_values import find_missing
from convnet_galaxies.data.position_names import (
    RECOGNISED,
    Axis,
    find_lookalikes,
    find_other_systems,
    find_pairs,
    unit_of_text,
)
from convnet_galaxies.data.table_notes import table_units
from convnet_galaxies.data.tables import name_row
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import name_some

_UNITS = {"deg": (u.deg, "degrees"), "rad": (u.rad, "radians"), "hourangle": (u.hourangle, "hours")}
_HIGHEST_DEG = (360.0, 90.0)
_ROUNDING_DEG = 1e-4
"""A pole in float32 radians lies this much beyond 90 degrees at most."""

_NINES = re.compile(r"-?9{2,}(\.[09]+)?")
_POWERS_OF_TEN, _WRITTEN_TO = 10.0 ** np.arange(2, 20), 1e-9
_BARE_NUMBER = re.compile(r"[+-]?[\d.]+")
_PLAIN_SEXAGESIMAL = re.compile(r"([+-]?)(\d{1,3})[: ]([0-5]?\d)[: ]([0-5]?\d(?:\.\d*)?)", re.ASCII)
_FILL_VALUE = 1e8
"""Beyond this a number is one that programs write for missing ones (-9.99995e8, 1e20)."""


@dataclass(frozen=True)
class Positions:
    """Positions of the rows of a table.

    ra_deg, dec_deg: float64 [n], NaN where a coordinate is missing. remark: columns and units they were read from.
    """

    ra_deg: np.ndarray
    dec_deg: np.ndarray
    remark: str


@dataclass(frozen=True)
class _Coordinate:
    """A column in its own unit. values: float64 [n]; label: the unit in words; assumed: whether nothing tells it."""

    values: np.ndarray
    unit: u.Unit
    label: str
    assumed: bool


class _NotRecognisedError(Exception):
    """The columns hold no positions; the text is the reason."""


def read_positions(frame: pd.DataFrame, where: object) -> tuple[Positions | None, list[str]]:
    """Read the positions that a table holds, and remarks on columns that look like positions and are not used.

    where: the source, for messages. Raises InputError naming row and column of a coordinate that is out of range, or
    a text among angles that is none.
    """
    reasons = []
    for ra, dec in find_pairs(list(frame)):
        try:
            return _read_pair(frame, ra, dec, where), []
        except _NotRecognisedError as fault:
            reasons.append((f"{ra.column}, {dec.column}", f" ({fault})"))
    others, alike = find_other_systems(list(frame)), find_lookalikes(list(frame))
    remarks = []
    if others:
        remarks.append(f"{name_some(others)} are no right ascension and declination and are not used")
    if alike or reasons:
        columns, reason = reasons[0] if reasons else (name_some(alike), "")
        remarks.append(
            f"no position is recognised in {columns}{reason}, so that images of one object may "
            f"be split apart; recognised are {RECOGNISED}, in degrees, radians, hours or sexagesimal"
        )
    elif others:
        remarks.append("no position is recognised, so that images of one object may be split apart")
    return None, remarks


def _read_pair(frame: pd.DataFrame, ra: Axis, dec: Axis, where: object) -> Positions:
    declared = [_declared_unit(frame, axis) for axis in (ra, dec)]
    texts = [_read_numbers(frame[axis.column]) for axis in (ra, dec)]
    raw = [
        _read_angles(frame, axis, which, declared[which], texts[which], where) for which, axis in enumerate((ra, dec))
    ]
    first, second = _settle_units(raw[0], raw[1], ra, dec)
    may_differ = ra.core[0] > 0  # alpha and delta, or world coordinates, may be something else
    columns = [
        _to_degrees(frame, axis, which, one, other, may_differ, where)
        for which, (axis, one, other) in enumerate(((ra, first, second), (dec, second, first)))
    ]
    ra_deg, dec_deg = columns
    if not (np.isfinite(ra_deg) & np.isfinite(dec_deg)).any():
        raise _NotRecognisedError(f"{ra.column} and {dec.column} are empty")
    if ra.frame == "B1950":
        ra_deg, dec_deg = _from_b1950(ra_deg, dec_deg)
    return Positions(ra_deg, dec_deg, _describe(ra, dec, first, second, ra_deg, dec_deg))


def _declared_unit(frame: pd.DataFrame, axis: Axis) -> str | u.UnitBase | None:
    """Return the unit of a column's declaration, or else of its name; None where neither tells."""
    text = table_units(frame).get(axis.column)
    if not text:
        return axis.unit
    known = unit_of_text(text)
    if known is not None:
        return known
    unit = u.Unit(text, parse_strict="silent")
    if not unit.is_equivalent(u.deg):
        raise _NotRecognisedError(f"the unit of {axis.column} is {text}")
    return unit


def _read_numbers(values: pd.Series) -> np.ndarray | None:
    """Return the column as float64 [n], NaN where missing; None when it holds texts that are no numbers."""
    missing = find_missing(values)
    found = pd.to_numeric(values.where(~missing), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if pd.api.types.is_bool_dtype(values.dtype):
        raise _NotRecognisedError(f"{values.name} holds truth values")
    return found if not (np.isnan(found) & ~missing).any() else None


def _read_angles(
    frame: pd.DataFrame, axis: Axis, which: int, unit: str | u.UnitBase | None, found: np.ndarray | None, where: object
) -> _Coordinate:
    if found is None:
        return _read_sexagesimal(frame, axis, which, unit, where)
    if unit == "sexagesimal":
        unit = None  # all seconds are missing, or numbers stand there after all
    if isinstance(unit, u.UnitBase):
        return _Coordinate(found, unit, str(unit), assumed=False)
    return _Coordinate(found, *_UNITS[unit or "deg"], assumed=unit is None)


def _read_sexagesimal(
    frame: pd.DataFrame, axis: Axis, which: int, unit: str | u.UnitBase | None, where: object
) -> _Coordinate:
    """Texts such as 10:12:13.4, 10 12 13.4 and 10h12m13.4s, in degrees."""
    values = frame[axis.column]
    missing = find_missing(values)
    texts = pd.Series([None if gone else str(value).strip() for value, gone in zip(values, missing, strict=True)])
    in_hours = which == 0 and unit != "deg"
    words = texts.dropna().unique()
    leading = [float(first[0]) for word in words if (first := re.match(r"[+-]?\d+(\.\d*)?", word))]
    if in_hours and any(abs(value) > 24 for value in leading) and not any(re.search(r"[hH]", word) for word in words):
        in_hours = False
    angles = _parse_angles(words, u.hourangle if in_hours else u.deg)
    wrong = [word for word, angle in angles.items() if angle is None]
    if len(wrong) > len(words) / 2:
        raise _NotRecognisedError(f"{axis.column} holds texts that are no angles, such as {wrong[0]!r}")
    if wrong:
        row = int(np.flatnonzero((texts == wrong[0]).to_numpy())[0])
        raise InputError(
            f"{where}, {name_row(frame, row)}, column {axis.column}: found {wrong[0]!r}, expected an angle such as "
            f"{next(word for word in words if word not in wrong)!r}",
            "correct the table, or leave the cell empty",
        )
    degrees = texts.map(angles).to_numpy(dtype=float, na_value=np.nan)
    return _Coordinate(degrees, u.deg, f"sexagesimal {'hours' if in_hours else 'degrees'}", assumed=False)


def _parse_angles(words: Sequence[str], unit: u.UnitBase) -> dict[str, float | None]:
    """Each text in degrees; a unit in the text goes before the given one. None for what is no angle.

    A bare number among sexagesimal ones is none, since its unit is anyone's guess.
    """
    found: dict[str, float | None] = {}
    with warnings.catch_warnings(action="ignore"):  # 60 seconds are the next minute
        for word in words:
            plain = word.lower().replace("−", "-")
            parts = _PLAIN_SEXAGESIMAL.fullmatch(plain)
            if parts:  # the common form, a hundred times as fast as astropy's parser
                size = float(parts[2]) + float(parts[3]) / 60 + float(parts[4]) / 3600
                found[word] = float(unit.to(u.deg, -size if parts[1] == "-" else size))
                continue
            try:
                found[word] = None if _BARE_NUMBER.fullmatch(plain) else float(Angle(plain, unit).to_value(u.deg))
            except (ValueError, TypeError, u.UnitsError):
                found[word] = None
    return found


def _settle_units(ra: _Coordinate, dec: _Coordinate, first: Axis, second: Axis) -> tuple[_Coordinate, _Coordinate]:
    """Units where nothing tells them: those of the other coordinate, radians for Rubin's coord_ra, else degrees."""
    if not (ra.assumed and dec.assumed):
        if ra.assumed and dec.unit == u.rad:
            ra = _Coordinate(ra.values, u.rad, "radians", assumed=False)
        if dec.assumed and ra.unit == u.rad:
            dec = _Coordinate(dec.values, u.rad, "radians", assumed=False)
        return ra, dec
    if first.core[1] == "coord_" and _fit_radians(ra, dec):
        return tuple(_Coordinate(one.values, u.rad, "radians", assumed=True) for one in (ra, dec))  # type: ignore[return-value]
    return ra, dec


def _fit_radians(ra: _Coordinate, dec: _Coordinate) -> bool:
    """Return whether all values are small enough to be radians."""
    highest = (2 * np.pi + 1e-6, np.pi / 2 + 1e-6)
    return all(
        bool((np.abs(one.values[np.isfinite(one.values) & ~_is_sentinel(one.values)]) <= high).all())
        for one, high in zip((ra, dec), highest, strict=True)
    )


def _to_degrees(
    frame: pd.DataFrame, axis: Axis, which: int, one: _Coordinate, other: _Coordinate, may_differ: bool, where: object
) -> np.ndarray:
    """Return the coordinate in degrees, NaN where it is missing or stands for that; out of range it is an error."""
    factor = float((1 * one.unit).to_value(u.deg))
    values, high = one.values.copy(), _HIGHEST_DEG[which]
    sentinel = _is_sentinel(values)
    negative = (values < 0) & ~sentinel
    beyond = np.abs(values * factor) > high + _ROUNDING_DEG
    pair_is_missing = np.isnan(other.values) | _is_sentinel(other.values)
    values[sentinel & (beyond | ((values < 0) & (pair_is_missing | ~negative.any())))] = np.nan
    bad = np.flatnonzero((np.abs(values * factor) > high + _ROUNDING_DEG) | np.isinf(values))
    if len(bad):
        row, limit = int(bad[0]), high / factor
        what = frame[axis.column].iloc[row]
        found = repr(what) if isinstance(what, str) else str(what)
        text = f"{axis.column} holds {found}, which is no {('right ascension', 'declination')[which]} in {one.label}"
        if may_differ:
            raise _NotRecognisedError(text)
        more = f" (and {len(bad) - 1:,} more rows)" if len(bad) > 1 else ""
        raise InputError(
            f"{where}, {name_row(frame, row)}, column {axis.column}: found {found}, expected a number from "
            f"{-limit:g} to {limit:g} ({one.label}){more}",
            "correct the table, or leave the cell empty",
        )
    return np.clip(values * factor, -high, high)


def _is_sentinel(values: np.ndarray) -> np.ndarray:
    """Return whether each value is written for a missing one: of nines alone, such as -99 and 999.9, or huge."""
    large = values[np.abs(values) >= 99]
    # Nines alone are followed by a power of ten, so that few of many positions are written out.
    ceilings = [np.floor(np.abs(large) * factor) + 1 for factor in (1, 1 + _WRITTEN_TO)]
    large = large[np.isin(ceilings, _POWERS_OF_TEN).any(axis=0)]
    nines = {value for value in set(large) if _NINES.fullmatch(f"{value:.10g}")}
    return np.isin(values, list(nines)) | (np.isfinite(values) & (np.abs(values) >= _FILL_VALUE))


def _from_b1950(ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    out = np.full((2, len(known)), np.nan)
    new = SkyCoord(ra_deg[known] * u.deg, dec_deg[known] * u.deg, frame=FK4(equinox="B1950")).transform_to("icrs")
    out[:, known] = new.ra.deg, new.dec.deg
    return out[0], out[1]


def _describe(
    ra: Axis, dec: Axis, first: _Coordinate, second: _Coordinate, ra_deg: np.ndarray, dec_deg: np.ndarray
) -> str:
    labels = list(dict.fromkeys((first.label, second.label)))
    text = f"positions are read from {ra.column} and {dec.column} in {' and '.join(labels)}"
    if ra.frame == "B1950":
        text += " of B1950"
    if first.assumed:
        text += ", assumed since no unit is given"
        highest = [float(np.nanmax(np.abs(values))) for values in (first.values, second.values)]
        spread = float(np.nanmax(dec_deg) - np.nanmin(dec_deg))
        if first.unit == u.deg and len(ra_deg) >= 10 and spread > 24 and highest[0] <= 24:
            text += f"; if {ra.column} is in hours, call it '{ra.column} [h]'"
        elif first.unit == u.deg and len(ra_deg) >= 10 and _fit_radians(first, second):
            text += f"; if they are radians, call them '{ra.column} [rad]' and '{dec.column} [rad]'"
    return text
