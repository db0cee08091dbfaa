"""`predict` into a folder: the images of a pack, folder or zip as shards, however many there are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.fits_image import FITS_ENDINGS
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_files import find_images, index_images
from convnet_galaxies.data.input_notes import InputNotes, require_scale
from convnet_galaxies.data.output import as_plain
from convnet_galaxies.data.pack import DESCRIPTION, MASKED, read_pack, summarise_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.sources import decode_blocks, require_fitting_pack
from convnet_galaxies.scan.plan import Plan, describe_files, describe_run
from convnet_galaxies.scan.shards import Piece, Shard

SHARD_IMAGES = 4096
PIECE_IMAGES = 512


def plan_images(
    predictor: Predictor,
    source: Path,
    *,
    reading: ReadOptions,
    skip_bad: bool = False,
    limit: int | None = None,
    shard_images: int = SHARD_IMAGES,
) -> tuple[Plan, InputNotes]:
    """Return the plan to predict a pack, folder, zip or image in shards of so many images, and notes on the source.

    Raises InputError for a source that does not fit the run or holds no image.
    """
    require_scale(reading.pixel_scale_arcsec, predictor.preprocess)
    notes = InputNotes(predictor.window_px)
    content: Sequence[tuple[str, ImageFile]] | None = None
    if (source / DESCRIPTION).is_file():
        images = read_pack(source)
        require_fitting_pack(images, predictor, str(source), reading)
        notes.joined = tuple(f"When packed: {text}" for text in summarise_pack(source).facts)
        notes.earlier = tuple(f"When packed: {text}" for text in images.warnings)
        total = len(images) if limit is None else min(limit, len(images))
        files = describe_files(sorted(path for path in source.iterdir() if path.is_file()))
        reader = ImagesReader(predictor.preprocess, reading, skip_bad, MASKED in images.table, str(source.absolute()))
    else:
        listing = find_images(source)
        notes.earlier, notes.joined = listing.remarks, listing.joined
        content = tuple(index_images(listing.files[:limit]).items())
        total = len(content)
        names = hashlib.sha256("\n".join(name for name, _ in content).encode()).hexdigest()[:16]
        files = [(f"{source.absolute()}, {total} images, names {names}", 0, 0)]
        linear = any(file.name.lower().endswith(FITS_ENDINGS) for _, file in content)
        reader = ImagesReader(predictor.preprocess, reading, skip_bad, linear)

    def make_shard(number: int) -> Shard:
        rows = slice(number * shard_images, min((number + 1) * shard_images, total))
        return Shard(number, str(source), (rows.start, rows.stop) if content is None else content[rows])

    facts = {
        "kind": "prediction of images",
        "run": describe_run(predictor),
        "settings": {**as_plain(asdict(reading)), "skip_bad": skip_bad, "limit": limit, "shard_images": shard_images},
        "inputs": {str(source): files},
    }
    shards = -(-total // shard_images)
    return Plan(facts, [str(source)] * shards, reader, make_shard), notes


@dataclass(frozen=True)
class ImagesReader:
    """Reads images for a run; see shards.Reader.

    masked: whether tables have a column masked_fraction. pack: the pack that the rows of shards are of; None where
    shards hold their files.
    """

    preprocess: Preprocess
    reading: ReadOptions
    skip_bad: bool
    masked: bool
    pack: str | None = None
    _cache: dict[str, ImageSet] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the open pack, which each machine opens itself."""
        return {**self.__dict__, "_cache": {}}

    def read(self, shard: Shard) -> Iterator[Piece]:
        """Yield the images of a shard. Raises BadImageError for a bad one, unless they are left out."""
        yield from self._read_files(shard) if self.pack is None else self._read_rows(shard)

    def close(self) -> None:
        """Packs stay mapped; there is nothing to close."""

    def _read_rows(self, shard: Shard) -> Iterator[Piece]:
        images = self._cache.get("pack") or self._cache.setdefault("pack", read_pack(str(self.pack)))
        first, end = shard.content
        for start in range(first, end, PIECE_IMAGES):
            rows = slice(start, min(start + PIECE_IMAGES, end))
            table = images.table.iloc[rows]
            masked = table[MASKED].to_numpy(np.float32) if self.masked else None
            yield self._piece(table["id"].astype(str).tolist(), np.array(images.images[rows]), masked)

    def _read_files(self, shard: Shard) -> Iterator[Piece]:
        ids, files = zip(*shard.content, strict=True)
        skipped: list[str] = []
        blocks = decode_blocks(
            files,
            list(ids),
            self.preprocess,
            self.reading,
            batch=PIECE_IMAGES,
            skip_bad=self.skip_bad,
            skipped=skipped,
        )
        with closing(blocks):
            for names, pixels, infos, masked in blocks:
                if masked is None and self.masked:
                    masked = np.zeros(len(names), np.float32)
                piece = self._piece(names, np.array(pixels), masked)
                yield Piece(piece.pixels, piece.before, piece.after, infos, tuple(skipped))
                skipped.clear()
        if skipped:
            empty = self._piece([], self.preprocess.new_array(0), np.empty(0, np.float32))
            yield Piece(empty.pixels, empty.before, empty.after, (), tuple(skipped))

    def _piece(self, ids: list[str], pixels: np.ndarray, masked: np.ndarray | None) -> Piece:
        after = pd.DataFrame({MASKED: masked} if self.masked else {}, index=range(len(ids)))
        return Piece(pixels, pd.DataFrame({"id": pd.Series(ids, dtype="str")}), after, [None] * len(ids))
