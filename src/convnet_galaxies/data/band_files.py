"""Joins files that hold one band each, and their masks and weights, into images: by their names, or by a table."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pandas as pd

from convnet_galaxies.data.bands import Band, band_of_word, name_bands, split_words
from convnet_galaxies.data.fits_header import Role, fold, role_of_file, role_of_text
from convnet_galaxies.data.fits_image import FITS_ENDINGS, read_fits, read_layer
from convnet_galaxies.data.fits_sky import same_sky
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.data.missing import apply_layer
from convnet_galaxies.errors import BadImageError

_SCIENCE_WORDS = frozenset(("sci", "science", "image", "img", "ooi", "oki", "data", "flux", "coadd"))
_FILE_WORDS = frozenset(("file", "filename", "path", "image", "img", "fits", "band", "name", "cutout", "stamp"))
_RIVAL = re.compile(r"[A-Za-z]|[IVX]{2,4}")
_NO_RIVALS = frozenset("vw")
"""Letters that are bands of some survey (SkyMapper, Pan-STARRS) that are not distinguished from words here."""
_CFHTLS_FIELDS = frozenset(("W1", "W2", "W3", "W4"))
"""The wide fields of CFHTLS, called as the bands of WISE are."""
_BAND_FOLDER = re.compile(r"(band|filter|channel)\d*", re.IGNORECASE)


_Name = tuple[str, list[list[str]], list[str]]
"""The archive (or nothing), the words of each folder within the common one, and those of the file's name."""


def join_band_files(files: Sequence[ImageFile]) -> tuple[tuple[ImageFile, ...], tuple[str, ...]]:
    """Join FITS files whose names differ only in band and role into one image; keep all others.

    The name, or the folder, of each file must tell its band: ``J0243_g.fits`` and ``J0243_r.fits``, ``J0243/g.fits``,
    ``Band1/sdss_R-12.fits``; and for masks and weights their role: ``KiDS_43_r_wei.fits``. A letter is no band where
    another file has another letter, or a Roman number, in its place: ``a.fits``, ``g.fits``; ``IV/1.fits``,
    ``V/1.fits``.
    Returns images in the order of their first files, and a remark for each kind of joining and passing over.
    """
    groups: dict[tuple[str, ...], list[ImageFile]] = {}
    slots: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    rivals: set[tuple[str, ...]] = set()
    root = _common_folder(files)
    for file in files:
        if file.name.lower().endswith(FITS_ENDINGS):
            name = _split_name(file, root)
            key, band, role, slot = _parse_name(name)
            groups.setdefault(key, []).append(replace(file, band=band, role=role))
            slots.setdefault(key, set()).add(slot)
            rivals |= _rivals(name)
        else:
            groups.setdefault((str(file),), []).append(file)
    crowd = Counter(_folder(members[0]) for key, members in groups.items() if key in slots and key[-1] != "/")
    joined: list[ImageFile] = []
    number_joined = number_files = 0
    lonely: Counter[str] = Counter()
    for key, members in groups.items():
        science = [file for file in members if file.role is None]
        if not science:  # by names alone: words such as sky and var name objects as well
            science = [replace(file, role=None) for file in members if not _is_sure(file)]
            members = science or members
        layers = [file for file in members if file.role is not None]
        if not science:
            joined += layers if len(files) == len(layers) == 1 else []
            lonely.update(str(file.role) for file in layers if len(files) > 1)
            continue
        if {str(file.band) for file in science} <= _CFHTLS_FIELDS and "wise" not in str(key).lower():
            science = [replace(file, band=None) for file in science]  # fields of CFHTLS, unless WISE is named
        bands = [fold(file.band) for file in science if file.band is not None]
        is_settled = len(bands) == len(science) == len(set(bands)) and slots[key].isdisjoint(rivals)
        if key[-1] == "/" and crowd[_folder(science[0])] >= len(science):
            is_settled = False  # g.fits beside NGC1.fits and NGC2.fits is an object called g
        if len(science) > 1 and not is_settled:
            joined += science
            lonely.update(str(file.role) for file in layers)
            continue
        first, *rest = sorted(science, key=lambda file: file.band or Band(0, ""), reverse=True)
        others = (*rest, *layers)
        joined.append(replace(first, others=others, joined_name=_name_of(key, first)) if others else first)
        if others:
            number_joined += 1
            number_files += 1 + len(others)
    remarks = []
    if number_joined:
        remarks.append(
            f"{number_files:,} files of one band each (or its mask or weight) were joined into {number_joined:,} images"
        )
    for called, count in lonely.items():
        remarks.append(
            f"passed over: {count:,} {called} file{'s' if count > 1 else ''} (by their names) without an image"
        )
    order = {file.parts[0]: k for k, file in enumerate(files)}
    joined.sort(key=lambda image: min(order.get(part, len(files)) for part in image.parts))
    return tuple(joined), tuple(remarks)


def join_by_table(
    frame: pd.DataFrame, files: Sequence[ImageFile], name_columns: Sequence[str]
) -> tuple[list[str], dict[str, ImageFile]] | None:
    """Return images whose bands a table names in a column each, such as ``g_file`` and ``r_file``.

    Returns the key of each row, and the joined files by key; None where the table has no such columns.

    A key is what the first of name_columns holds that the table has, else the common name of the files.
    """
    columns: dict[Band, str] = {}
    for name in frame:
        bands = [band for word in split_words(str(name)) if (band := band_of_word(word)) is not None]
        others = {word.lower() for word in split_words(str(name)) if band_of_word(word) is None}
        if len(bands) == 1 and others <= _FILE_WORDS and not pd.api.types.is_numeric_dtype(frame[name]):
            columns.setdefault(bands[0], str(name))
    by_name = {name: part for file in files for part in file.parts for name in (part.name, part.stem)}

    def find(value: object) -> ImageFile | None:
        return None if pd.isna(value) else by_name.get(re.split(r"[/\\\\]", str(value).strip())[-1])

    found = {band: [find(value) for value in frame[column]] for band, column in columns.items()}
    found = {band: column for band, column in found.items() if any(file is not None for file in column)}
    if len(found) < 2:
        return None
    lowered = {str(name).lower(): str(name) for name in frame if str(name) not in columns.values()}
    named = next((lowered[name] for name in name_columns if name in lowered), None)
    keys, joined = [], {}
    for row in range(len(frame)):
        parts = [replace(part, band=band) for band, column in found.items() if (part := column[row]) is not None]
        parts.sort(key=lambda part: part.band or Band(0, ""), reverse=True)
        common = _parse_name(_split_name(parts[0], Path()))[0] if parts else ()
        key = str(frame[named].iloc[row]) if named else _name_of(common, parts[0]) if parts else f"row {row + 1}"
        keys.append(key)
        if parts:
            joined[key] = replace(parts[0], others=tuple(parts[1:]), joined_name=key)
    return keys, joined


def read_image(file: ImageFile, data: bytes | None = None, *, hdus: Sequence[str] | None = None) -> LinearImage:
    """Read the image of a FITS file, or of a file per band; see read_fits.

    data: the bytes of a file of its own, where they were read already.
    Raises BadImageError for files of different shape or sky, for headers that contradict the names, and for planes
    that are no single band.
    """
    if not file.others:
        return read_fits(
            file.read() if data is None else data, str(file), hdus=hdus, band=file.band, file_role=file.role
        )
    science = [part for part in file.parts if part.role is None]
    images = [read_fits(part.read(), str(part), hdus=hdus, band=part.band) for part in science]
    joined = join_bands(science, images, str(file))
    for part in file.parts:
        if part.role in (None, "other"):
            continue
        layer, header = read_layer(part.read(), str(part))
        for plane in joined.planes:
            if belongs_to(part.band, plane) and layer.shape == plane.values.shape and plane.values.dtype != "uint8":
                apply_layer(plane.values, layer, part.role, header)
    return joined


def join_bands(
    parts: Sequence[ImageFile],
    images: Sequence[LinearImage],
    name: str,
    *,
    one_grid: bool = True,
    remedy: str = "bring the bands to one grid",
) -> LinearImage:
    """Join images of one band each, in the order of their files, into one.

    one_grid: whether all must have the pixels of the first; remedy: what to do where they have not.
    Raises BadImageError for images of different shape or sky then, for headers that contradict the names, and for
    images of several bands.
    """
    planes: list[Plane] = []
    for part, image in zip(parts, images, strict=True):
        if len(image.planes) != 1:
            raise BadImageError(
                f"{part}: found {len(image.planes)} bands, expected one, according to the file name ({part.band})",
                "rename files that belong to different images, or choose a plane by --hdu",
            )
        plane = image.planes[0]
        if part.band is not None and plane.band is not None and fold(plane.band) != fold(part.band):
            raise BadImageError(
                f"{part}: found the band {plane.band} in its header ({plane.band_source}), but {part.band} in its name",
                "correct the header or the name",
            )
        if one_grid and image.shape != images[0].shape:
            raise BadImageError(
                f"{part}: found {image.shape[1]} x {image.shape[0]} px, expected {images[0].shape[1]} x "
                f"{images[0].shape[0]} px as in {parts[0].name}, the same image in another band",
                remedy,
            )
        first, own = images[0].header, image.header
        if one_grid and first is not None and own is not None and not same_sky(first, own, image.shape):
            raise BadImageError(
                f"{part}: found another part of the sky than in {parts[0].name}, the same image in another band",
                f"{remedy}, or rename files that belong to different images",
            )
        planes.append(replace(plane, label=part.name, band=plane.band or part.band))
    names = [fold(plane.band) for plane in planes if plane.band is not None]
    if len(set(names)) < len(names):
        raise BadImageError(
            f"{name}: found the bands {name_bands([p.band for p in planes])}, expected each once", "rename the files"
        )
    return replace(images[0], planes=tuple(planes), is_picture=all(image.is_picture for image in images))


def belongs_to(band: Band | None, plane: Plane) -> bool:
    """Return whether a mask or weight of a band, or of none, is that of a plane."""
    return band is None or plane.band is None or fold(band) == fold(plane.band)


def _parse_name(name: _Name) -> tuple[tuple[str, ...], Band | None, Role | None, tuple[str, ...]]:
    """Return the name without band and role, the band, the role (None: the sky itself), and the slot of the band.

    The slot is the whole name with a star in place of the band.
    """
    archive, folders, words = name
    role = role_of_file(words)
    places = [k for k, word in enumerate(words) if band_of_word(word) is not None]
    if len({band_of_word(words[k]) for k in places}) > 1:  # J and H stand in names of objects too: the last word wins
        places = places[-1:]
    band = band_of_word(words[places[-1]]) if places else None
    place = (len(folders), places[-1]) if places else None
    rest = [word for k, word in enumerate(words) if k not in places]
    rest = [word for word in rest if word.lower() not in _SCIENCE_WORDS and role_of_text(word) is None]
    kept = []
    for level, folder in enumerate(folders):
        own = [k for k, word in enumerate(folder) if band_of_word(word) is not None]
        if own and band is None:
            band, place = band_of_word(folder[own[-1]]), (level, own[-1])
            folder = [word for k, word in enumerate(folder) if k != own[-1]]
        elif len(own) == len(folder):
            continue
        folder = [word for word in folder if not _BAND_FOLDER.fullmatch(word)]
        kept += ["_".join(folder)] if folder else []
    return (archive, *kept, "/", *rest), band, role, _starred(name, place) if place else ()


def _split_name(file: ImageFile, root: Path) -> _Name:
    where = file.member or str(file.path)
    folder = where[: max(where.rfind("/"), where.rfind(os.sep)) + 1]
    return str(file.path) if file.member else "", _split_folders(folder, root), split_words(file.stem)


@lru_cache(maxsize=1024)
def _split_folders(folder: str, root: Path) -> list[list[str]]:
    where = Path(folder)
    return [split_words(part) for part in (where.relative_to(root) if where.is_relative_to(root) else where).parts]


def _rivals(name: _Name) -> set[tuple[str, ...]]:
    """Slots in which a file has a letter, or a Roman number, that is no band."""
    _, folders, words = name
    return {
        _starred(name, (level, k))
        for level, part in enumerate((*folders, words))
        for k, word in enumerate(part)
        if len(word) < 5 and _RIVAL.fullmatch(word) and word not in _NO_RIVALS and band_of_word(word) is None
    }


def _starred(name: _Name, place: tuple[int, int]) -> tuple[str, ...]:
    archive, folders, words = name
    found = [archive]
    for level, part in enumerate((*folders, words)):
        found += ["*" if (level, k) == place else word.lower() for k, word in enumerate(part)] + ["/"]
    return tuple(found)


def _is_sure(file: ImageFile) -> bool:
    return role_of_file(split_words(file.stem), sure=True) is not None


def _folder(file: ImageFile) -> Path:
    return Path(file.path if file.member is None else f"{file.path}/{file.member}").parent


def _name_of(key: tuple[str, ...], first: ImageFile) -> str:
    """Return the stem without band and role, or the folder where nothing else names the image."""
    words = key[key.index("/") + 1 :]
    if not words:
        has_folder = key.index("/") > 1
        return (first.folder if has_folder else Path(first.member or first.path).parent.name) or first.stem
    stem = first.stem
    dropped = [word for word in split_words(stem) if word not in words]
    for word in dropped:
        stem = re.sub(rf"(^|[^A-Za-z0-9]+){re.escape(word)}(?![A-Za-z0-9])", lambda m: "", stem, count=1)
    return stem.strip("_-. ") or first.stem


def _common_folder(files: Sequence[ImageFile]) -> Path:
    folders = [Path(file.member or file.path).parent for file in files]
    if not folders:
        return Path()
    parts = []
    for level in zip(*(folder.parts for folder in folders), strict=False):
        if len(set(level)) > 1:
            break
        parts.append(level[0])
    return Path(*parts)
