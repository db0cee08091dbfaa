"""Networks of a run, ready to predict packed pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from convnet_galaxies.data.preprocess import Preprocess, is_constant
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.model.augment import QUARTERS, fixed_view, fixed_warps
from convnet_galaxies.model.device import Device, choose_device, choose_precision
from convnet_galaxies.model.fold import fold_norms
from convnet_galaxies.model.fused import FusedPlainNet, can_fuse
from convnet_galaxies.model.galaxy_net import GalaxyNet, answers, to_channels_last
from convnet_galaxies.model.plain_net import PlainNet
from convnet_galaxies.predict.familiarity import read_familiarity
from convnet_galaxies.runs.folder import RunFolder, run_path
from convnet_galaxies.runs.weights import load_nets

Views = Literal[1, 8, 16]


def require_preprocess(where: object, images: ImageSet, expected: Preprocess, *, fix: str) -> None:
    """Raise InputError unless images were made as a run expects.

    An unknown scale passes, as does any stretch for images that were not stretched.
    """
    found = images.preprocess
    scales = (found.pixel_scale_arcsec, expected.pixel_scale_arcsec)
    differences = [
        f"{name} {getattr(found, name)} instead of {getattr(expected, name)}"
        for name in ("size_px", "bands", "crop_px", "pixel_scale_arcsec", *(["stretch"] if images.linear else []))
        if getattr(found, name) != getattr(expected, name) and not (name == "pixel_scale_arcsec" and None in scales)
    ]
    if differences:
        raise InputError(
            f"{where}: found images made of {found}, expected {expected} as in the run ({'; '.join(differences)})",
            fix,
        )


def packing_fix(images: ImageSet, run: str) -> str:
    """Return the command that packs the images of a set for a run."""
    return f"pack the images again as the run's were, with `pack {images.kind} --like {run}`"


@dataclass(frozen=True)
class Prediction:
    """Predictions of a run for n images.

    tasks: float32 by task: votes [n, 37], lens [n], classes [n, k]; means over members and views, calibrated.
    features: input of the heads, float32 [n, members * features]; means over views, the members side by side.
    familiarity: fraction (0 to 1) of the known images that look at least as unusual, float32 [n]: an
        out-of-distribution score, low for images unlike those of the run. None where it was not fitted (see
        fit_familiarity) or not wanted; 0 for an image of one value everywhere.
    """

    tasks: dict[str, np.ndarray]
    features: np.ndarray
    familiarity: np.ndarray | None = None


class Predictor:
    """Predict with the network or ensemble of a run, averaged over members and over fixed views of each image.

    run: a run folder or ``builtin:NAME``.
    views: 1, 8 (eighth turns, flips and zooms) or 16 (test-time augmentation): more views, smaller errors, more time.
        None: the number in the card. A symmetric network gets one view in four, since quarter turns
        do not change its predictions.
    with_familiarity: whether predictions have a familiarity, where the run's folder has the file for it.
    grey: show the network the mean of the bands in each of them. The colours of a survey that it has not seen mislead
        it more than none (docs/experiments.md). Calibration and familiarity are of images in colour, so there is none.
    Raises UsageError for grey images of a network of one band.
    """

    def __init__(
        self,
        run: str | Path,
        *,
        device: Device = "auto",
        views: Views | None = 1,
        precision: Literal["auto", "bf16", "fp32"] = "auto",
        batch: int = 256,
        with_familiarity: bool = True,
        grey: bool = False,
    ) -> None:
        self.run = str(run)
        nets, self.card = load_nets(run)
        self.grey = grey
        if grey and self.card.preprocess.bands == 1:
            raise UsageError(f"grey: {run} takes images of one band, which are grey", "leave it out")
        if grey:
            self.card = replace(self.card, calibration={})
        self.device = choose_device(device)
        self.dtype = torch.bfloat16 if choose_precision(precision, self.device) == "bf16" else torch.float32
        self.nets = [self._prepare(net) for net in nets]
        self.views = self.card.views if views is None else views
        side = self.card.preprocess.size_px
        self.warps = fixed_warps(self.views, zoom_in=self.card.net.view_px_of(side) < side)
        # To a symmetric net the views between would look the same.
        self.steps = [QUARTERS if net.backbone.symmetric and self.views > 1 else 1 for net in self.nets]
        self.batch = batch
        folder = RunFolder(run_path(run))
        wanted = with_familiarity and not grey
        self.familiarity_model = read_familiarity(folder.familiarity, folder.weights) if wanted else None

    def _prepare(self, net: GalaxyNet) -> GalaxyNet:
        net = to_channels_last(fold_norms(net)).to(self.device)
        net.backbone.to(self.dtype)
        if isinstance(net.backbone, PlainNet) and can_fuse(self.device, self.dtype):
            net.backbone = FusedPlainNet(net.backbone)
        return net

    @property
    def preprocess(self) -> Preprocess:
        """Preprocessing of the pixels of this network."""
        return self.card.preprocess

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Tasks of the network, and the names of their classes."""
        return self.card.classes

    def window_px(self, pixel_scale_arcsec: float | None = None) -> float | None:
        """See ModelCard.window_px."""
        return self.card.window_px(pixel_scale_arcsec)

    def require_pixels(self, images: ImageSet, where: object = "the pack", *, more: str = "") -> None:
        """Raise InputError unless the pixels of a set were made as the run expects; more: what else the fix offers."""
        require_preprocess(where, images, self.preprocess, fix=f"{packing_fix(images, self.run)}{more}")

    def predict_set(
        self, images: ImageSet, rows: np.ndarray | None = None, *, progress: Callable[[int], None] | None = None
    ) -> Prediction:
        """Predict the given rows (int [m]; None: all) of an image set, whose pixels may be memory-mapped.

        Every score, calibration and distance of packed images is taken here. progress: called with the number of
        images of each batch. Raises InputError when the pixels were made in another way than the run's.
        """
        self.require_pixels(images)
        return self.predict_all(images.images, rows, progress=progress)

    def predict_all(
        self, pixels: np.ndarray, rows: np.ndarray | None = None, *, progress: Callable[[int], None] | None = None
    ) -> Prediction:
        """Predict the tasks, features and familiarity of uint8 [n, size_px, size_px, bands], or of the given rows.

        Raises InputError for pixels of another size or number of bands.
        """
        parts, constant = [], []
        for block in self._blocks(pixels, rows):
            parts.append(self._predict_batch(block))
            if self.familiarity_model is not None:
                constant.append(is_constant(block))
            if progress is not None:
                progress(len(block))
        features = np.concatenate([part.features for part in parts])
        tasks = {task: np.concatenate([part.tasks[task] for part in parts]) for task in self.classes}
        if self.familiarity_model is None:
            return Prediction(tasks, features)
        familiarity = self.familiarity_model.familiarity(features, self.views)
        familiarity[np.concatenate(constant)] = 0  # black lies not far out among galaxies, but is none
        return Prediction(tasks, features, familiarity)

    def predict(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Predict the tasks alone (see predict_all)."""
        return self.predict_all(pixels).tasks

    def extract_features(self, pixels: np.ndarray) -> np.ndarray:
        """Return the features alone (see predict_all)."""
        return self.predict_all(pixels).features

    def predict_batches(self, pixels: np.ndarray) -> Iterator[Prediction]:
        """Yield predictions batch by batch, without familiarity; reads memory-mapped pixels as it goes."""
        for block in self._blocks(pixels):
            yield self._predict_batch(block)

    def without_calibration(self) -> Predictor:
        """Return a predictor with the same nets whose lens probabilities are not calibrated."""
        bare = copy(self)
        bare.card = replace(self.card, calibration={})
        return bare

    def _blocks(self, pixels: np.ndarray, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
        self._check(pixels)
        number = len(pixels) if rows is None else len(rows)
        for start in range(0, number, self.batch):
            chosen = slice(start, start + self.batch)
            yield pixels[chosen if rows is None else rows[chosen]]

    @torch.inference_mode()
    def _predict_batch(self, pixels: np.ndarray) -> Prediction:
        block = torch.from_numpy(np.array(pixels))  # a copy: the pack is read-only
        if self.grey:
            block[:] = block.float().mean(dim=3, keepdim=True).round().to(block.dtype)
        sums: dict[str, Tensor] = {}
        features: dict[int, Tensor] = {}
        for number, warp in enumerate(self.warps):
            asked = [member for member, step in enumerate(self.steps) if number % step == 0]
            if not asked:
                continue
            view = self._view(block, warp)
            for member in asked:
                share = self.steps[member] / len(self.warps)
                seen = self.nets[member].features(view)
                features[member] = features.get(member, 0) + share * seen
                for task, answer in answers(self.nets[member].read(seen)).items():
                    sums[task] = sums.get(task, 0) + share / len(self.nets) * answer
        means = {task: total.cpu().numpy() for task, total in sums.items()}
        for task, calibration in self.card.calibration.items():
            means[task] = calibration.apply(means[task]).astype(np.float32)
        side_by_side = torch.cat([features[member] for member in range(len(self.nets))], dim=1)
        return Prediction(means, side_by_side.cpu().numpy())

    def _view(self, block: Tensor, warp: Tensor) -> Tensor:
        side = self.card.net.view_px_of(self.preprocess.size_px)
        net = self.card.net
        view = fixed_view(block, warp, view_px=side, output_px=net.input_px, dtype=self.dtype, kind=net.normalise)
        return view.to(self.device, self.dtype, memory_format=torch.channels_last)

    def _check(self, pixels: np.ndarray) -> None:
        side, bands = self.preprocess.size_px, self.preprocess.bands
        if pixels.shape[1:] != (side, side, bands):
            height, width, found = pixels.shape[1:]
            raise InputError(
                f"images: found {height} x {width} px in {found} bands, expected {side} x {side} px in {bands} "
                "bands as the run was trained on",
                f"make them as the run's images were: {self.preprocess}",
            )
