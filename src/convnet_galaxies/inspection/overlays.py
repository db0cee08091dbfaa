"""What the network's answer rests on, drawn for the single view of a candidate."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from PIL import Image

from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.errors import BadImageError
from convnet_galaxies.inspection.sources import PackSource, Source
from convnet_galaxies.inspection.tint import tint_map
from convnet_galaxies.predict.explain import open_explainer, require_captum

_KEPT = 64


class Overlays:
    """Maps of candidates as layers in the frame of their pictures; the last ones are kept.

    run: the network that is explained. Raises InputError without captum or for a run that cannot be read.
    """

    def __init__(self, source: Source, run: str | Path) -> None:
        require_captum()
        self.source, self.explainer = source, open_explainer(run)
        self._lock = threading.Lock()
        self._drawn: OrderedDict[int, bytes] = OrderedDict()

    def draw(self, row: int) -> bytes:
        """Return the layer of a candidate as PNG, as large as its picture; takes about a second at first.

        Raises BadImageError for a candidate without an image, or with one that does not fit the run.
        """
        with self._lock:  # one at a time: the network takes all processors
            if row not in self._drawn:
                self._drawn[row] = self._draw(row)
            self._drawn.move_to_end(row)
            while len(self._drawn) > _KEPT:
                self._drawn.popitem(last=False)
            return self._drawn[row]

    def _draw(self, row: int) -> bytes:
        image, name = self.source.image(row), str(self.source.table["id"].iloc[row])
        pixels, side_px = self._prepare(image, name)
        layer = Image.fromarray(tint_map(self.explainer.explain(pixels).map))
        whole = Image.new("RGBA", (image.shape[1], image.shape[0]))
        corner = (image.shape[1] - side_px) // 2, (image.shape[0] - side_px) // 2
        whole.paste(layer.resize((side_px, side_px), Image.Resampling.BILINEAR), corner)
        file = io.BytesIO()
        whole.save(file, "PNG")
        return file.getvalue()

    def _prepare(self, image: LinearImage, name: str) -> tuple[np.ndarray, int]:
        """Pixels as the run takes them, and the side of the square that they show, in pixels of the image."""
        preprocess = self.explainer.card.preprocess
        if isinstance(self.source, PackSource):  # its pixels are cut already
            size, bands = preprocess.size_px, preprocess.bands
            if image.shape != (size, size) or len(image.planes) != bands:
                raise BadImageError(
                    f"{name}: found {image.shape[1]} x {image.shape[0]} px in {len(image.planes)} bands, expected "
                    f"{size} x {size} px in {bands} as the run takes",
                    "pack the candidates with --like RUN",
                )
            return np.stack([plane.values for plane in image.planes], axis=-1).astype(np.uint8), size
        pixels, info = preprocess.prepare_image(image, name)
        return pixels, preprocess.crop_of(info.pixel_scale_arcsec) or min(image.shape)
