"""Survey tiles made by hand, of the layouts that pipelines write, and the same files cut to a window."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from made_fits import image, sky, tan_wcs

SCALE = 0.2
SHAPE = (140, 171)
BANDS = {"g": 29.0, "r": 30.0, "i": 30.5}
Files = dict[str, fits.HDUList]


def _science(band: str, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A plane of noise and a galaxy, with a cosmic ray, a block without data, a padded edge, and a huge number."""
    values = sky(list(BANDS).index(band), shape)
    values[70, 90:93] += 400
    values[100:104, 40:47] = np.nan
    values[:, :6] = 0
    values[110, 60] = 1e30
    return values


def _mask() -> np.ndarray:
    """Whole numbers: the cosmic ray, a dead column of the value 0, and all that a galaxy covers."""
    mask = np.zeros(SHAPE, np.int32)
    mask[70, 90:93] = 4
    mask[:, 120] = 1
    mask[60:100, 50:90] |= 32
    return mask


def _cards(band: str) -> dict[str, object]:
    return {**tan_wcs(SCALE, crpix=60.0), "FILTER": band, "MAGZERO": BANDS[band]}


def _weight() -> np.ndarray:
    weight = np.ones(SHAPE, np.float32)
    weight[20:24, :] = 0
    return weight


def band_files() -> Files:
    return {f"t_{band}.fits": fits.HDUList([_primary(_science(band), _cards(band))]) for band in BANDS}


def cube() -> Files:
    values = np.stack([_science(band) for band in BANDS])
    return {"t.fits": fits.HDUList([_primary(values, {**tan_wcs(SCALE, crpix=60.0), "BANDS": "gri", "MAGZERO": 30})])}


def extensions_of_bands() -> Files:
    hdus = [fits.PrimaryHDU()] + [image(_science(band), _cards(band), name=band.upper()) for band in BANDS]
    return {"t.fits": fits.HDUList(hdus)}


def rubin() -> Files:
    """IMAGE, MASK with named bits, VARIANCE."""
    files = {}
    for band in BANDS:
        variance = np.ones(SHAPE, np.float32)
        variance[30:33, 60:] = np.nan
        bits = {"HIERARCH MP_NO_DATA": 0, "MP_CR": 2, "HIERARCH MP_DETECTED": 5}
        hdus = [
            fits.PrimaryHDU(),
            image(_science(band), _cards(band), name="IMAGE"),
            image(_mask(), bits, name="MASK"),
            image(variance, name="VARIANCE"),
        ]
        files[f"calexp-{band}-t.fits"] = fits.HDUList(hdus)
    return files


def hubble() -> Files:
    """SCI, ERR, DQ with unnamed bits."""
    return {
        f"t_{band}.fits": fits.HDUList(
            [
                fits.PrimaryHDU(),
                image(_science(band), _cards(band), name="SCI"),
                image(np.ones(SHAPE, np.float32), name="ERR"),
                image(_mask().astype(np.int16), name="DQ"),
            ]
        )
        for band in BANDS
    }


def dark_energy_survey() -> Files:
    """SCI, MSK, WGT, tile-compressed without loss."""
    files = {}
    for band in BANDS:
        hdus: list[fits.ImageHDU] = [fits.PrimaryHDU()]
        for name, values, cards in (
            ("SCI", _science(band), _cards(band)),
            ("MSK", _mask(), {}),
            ("WGT", _weight(), {}),
        ):
            lossless = {"compression_type": "GZIP_1", "quantize_level": 0} if values.dtype.kind == "f" else {}
            hdus.append(fits.CompImageHDU(values, name=name, **lossless))
            hdus[-1].header.update(cards)
        files[f"DES0000_{band}.fits.fz"] = fits.HDUList(hdus)
    return files


def legacy_brick() -> Files:
    """An image, its inverse variance and its mask in a file each; Rice with quantised floats."""
    files = {}
    for band in BANDS:
        for kind, values, cards in (
            ("image", np.nan_to_num(np.minimum(_science(band), 1000)), _cards(band)),
            ("invvar", _weight(), {"FILTER": band}),
            ("maskbits", _mask(), {"FILTER": band}),
        ):
            hdu = fits.CompImageHDU(values, compression_type="RICE_1")
            hdu.header.update(cards)
            files[f"brick-{kind}-{band}.fits.fz"] = fits.HDUList([fits.PrimaryHDU(), hdu])
    return files


def whole_numbers() -> Files:
    """16 bits with a scale and a value for blanks."""
    files = {}
    for band in BANDS:
        stored = np.round(np.nan_to_num(np.minimum(_science(band), 1000), nan=-400) * 20).astype(np.int16)
        hdu = fits.PrimaryHDU(stored)
        hdu.header.update({**_cards(band), "BSCALE": 0.05, "BZERO": 3.0, "BLANK": int(stored.min())})
        files[f"t_{band}.fits"] = fits.HDUList([hdu])
    return files


def euclid_mer() -> Files:
    """A band, its RMS and a point spread function, in a file per band."""
    return {
        f"MER_{band}.fits": fits.HDUList(
            [
                _primary(_science(band), _cards(band)),
                image(np.where(_weight() > 0, 0.5, 1e30).astype(np.float32), tan_wcs(SCALE, crpix=60.0), name="RMS"),
                image(np.ones((21, 21), np.float32), name="PSF"),
            ]
        )
        for band in BANDS
    }


LAYOUTS: dict[str, Callable[[], Files]] = {
    "a file per band": band_files,
    "a cube": cube,
    "an extension per band": extensions_of_bands,
    "IMAGE, MASK, VARIANCE": rubin,
    "SCI, ERR, DQ": hubble,
    "SCI, MSK, WGT, packed": dark_energy_survey,
    "image, invvar, maskbits": legacy_brick,
    "whole numbers with a scale": whole_numbers,
    "a band with RMS and PSF": euclid_mer,
}


def write(folder: Path, files: Files, *, packed: bool = False) -> Path:
    """Write the files of a tile, packed by gzip if wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, hdus in files.items():
        hdus.writeto(folder / name)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), 1, mtime=0))
            (folder / name).unlink()
    return folder


def write_window(tile: Path, folder: Path, left: int, first_row: int, side: int) -> Path:
    """Write the files of a tile again with only a window of each of their images; NaN, or 0, stands outside."""
    folder.mkdir()
    for path in sorted(tile.iterdir()):
        with fits.open(path) as opened:
            hdus = []
            for hdu in opened:
                data = hdu.data
                if data is not None and data.shape[-2:] == SHAPE:
                    data = _window(data, left, first_row, side)
                cards = {key: hdu.header[key] for key in hdu.header if _is_kept(key)}
                one = fits.PrimaryHDU(data) if not hdus else fits.ImageHDU(data)
                one.header.update({f"HIERARCH {key}" if len(key) > 8 else key: value for key, value in cards.items()})
                hdus.append(one)
            fits.HDUList(hdus).writeto(folder / path.name.replace(".gz", "").replace(".fz", ""))
    return folder


def _window(data: np.ndarray, left: int, first_row: int, side: int) -> np.ndarray:
    out = np.full((*data.shape[:-2], side, side), np.nan if data.dtype.kind == "f" else 0, data.dtype.newbyteorder("="))
    for y in range(side):
        for x in range(side):
            if 0 <= first_row + y < SHAPE[0] and 0 <= left + x < SHAPE[1]:
                out[..., y, x] = data[..., first_row + y, left + x]
    return out


def _is_kept(key: str) -> bool:
    return key in ("EXTNAME", "FILTER", "BANDS", "MAGZERO", "CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2",
                   "CD1_1", "CD2_2") or key.startswith("MP_")  # fmt: skip


def _primary(data: np.ndarray, cards: dict[str, object]) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU(data)
    hdu.header.update(cards)
    return hdu
