"""Locate the bytes of one image: a file, a member of a zip, or a file per band."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from convnet_galaxies.data.bands import Band
from convnet_galaxies.data.fits_header import Role
from convnet_galaxies.data.fits_image import FITS_ENDINGS
from convnet_galaxies.data.zip_files import MEMBER_FAULTS, read_member
from convnet_galaxies.errors import BadImageError


@dataclass(frozen=True)
class ImageFile:
    """Location of the bytes of one image: a file, or a member of a zip, with further files if each holds one band.

    band, role: what the name of a FITS file tells of its plane (see band_files); None where it tells nothing.
    others: the files of further bands, and of masks and weights, of the same image.
    joined_name: the name of an image of several files, without their bands.
    """

    path: Path
    member: str | None = None
    band: Band | None = field(default=None, compare=False)
    role: Role | None = field(default=None, compare=False)
    others: tuple[ImageFile, ...] = ()
    joined_name: str | None = None

    def read(self) -> bytes:
        """Return the bytes of the (first) file as they are. Raises BadImageError when they cannot be had."""
        try:
            if self.member is None:
                return self.path.read_bytes()
            return read_member(self.path, self.member)
        except MEMBER_FAULTS as error:
            is_locked = isinstance(error, RuntimeError) and "password" in str(error)
            fix = "unpack the zip with its password" if is_locked else "restore the file"
            raise BadImageError(f"{self}: cannot be read ({error})", f"{fix}, or pass --skip-bad") from None

    @property
    def parts(self) -> tuple[ImageFile, ...]:
        """All files of the image, each by itself."""
        return (replace(self, others=(), joined_name=None), *self.others)

    @property
    def name(self) -> str:
        """File name without folders, e.g. ``100008.jpg``."""
        return self.path.name if self.member is None else _split_member(self.member)[-1]

    @property
    def folder(self) -> str:
        """Name of the folder that the file is in, also within a zip; nothing at the top of a zip."""
        if self.member is None:
            return self.path.parent.name
        folders = [part for part in _split_member(self.member)[:-1] if part not in ("", ".", "..")]
        return folders[-1] if folders else ""

    @property
    def stem(self) -> str:
        """File name without folders and ending, e.g. ``100008``; ``.fits.gz`` counts as one ending."""
        if self.joined_name is not None:
            return self.joined_name
        name = self.name
        ending = next((ending for ending in FITS_ENDINGS if name.lower().endswith(ending)), Path(name).suffix)
        return name[: len(name) - len(ending)]

    def __str__(self) -> str:
        own = str(self.path) if self.member is None else f"{self.path}[{self.member}]"
        return own if not self.others else f"{own} and {len(self.others)} more files"


def _split_member(member: str) -> list[str]:
    """Folders and name; some programs on Windows write backslashes."""
    return member.replace("\\", "/").rstrip("/").split("/")
