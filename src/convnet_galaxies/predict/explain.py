"""What in an image a network's answer rests on: maps by integrated gradients or occlusion, from the library captum.

Integrated gradients: Sundararajan, Taly & Yan 2017, arXiv:1703.01365. Occlusion: Zeiler & Fergus 2013,
arXiv:1311.2901. Sanity check: Adebayo et al. 2018, arXiv:1810.03292. captum (Kokhlikyan et al. 2020, arXiv:2009.07896)
is imported here alone; the extra ``explain`` installs it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from convnet_galaxies.decision_tree.files import load_tree
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.extras import missing_extra
from convnet_galaxies.model.augment import fixed_view, fixed_warps
from convnet_galaxies.model.fold import fold_norms
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.model.tasks import CONCENTRATION, find_task
from convnet_galaxies.paths import name_some
from convnet_galaxies.predict.predictions import column_names
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.card import ModelCard
from convnet_galaxies.runs.folder import RunFolder, run_path
from convnet_galaxies.runs.weights import load_nets

Method = Literal["integrated-gradients", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)

VOTE_TASKS = ("votes", "counts", "counts-multinomial")
STEPS = 48
"""Points on the way from the empty sky to the image; the sum of the map is then right to a few per cent."""
BATCH = 16
RIM_PX = 4
WINDOWS_PER_SIDE = 8
"""Occluding squares side by side in what the network sees; they move by half of their side."""


@dataclass(frozen=True)
class Explanation:
    """Map of what an answer rests on.

    target: column of the predictions. map: float32 [h, w] over the packed pixels, first row at the top. Positive pixels
    speak for the answer, negative ones against it. By integrated gradients it adds up to the change of the answer from
    an empty sky to the image; by occlusion each pixel has the mean loss of the answer over the squares that hide it.
    answer, empty_answer: of the image and of the empty sky, in the unit of the map: log odds for lenses, classes and
    shares of counted votes, fractions for votes; means over the members of an ensemble, one view, not calibrated.
    """

    target: str
    method: Method
    map: np.ndarray
    answer: float
    empty_answer: float
    unit: str


@dataclass(frozen=True)
class Explainer:
    """Networks of a run in float32, of which gradients can be taken."""

    nets: tuple[GalaxyNet, ...]
    card: ModelCard

    def explain(
        self, pixels: np.ndarray, target: str | None = None, *, method: Method = "integrated-gradients"
    ) -> Explanation:
        """Return the map for the packed pixels of one image, uint8 [size_px, size_px, bands].

        target: a column of the predictions, such as ``lens_probability`` (or ``lens``), ``Class8.2`` or
        ``flavor_lensed quasar``; None takes the lens probability, else the likeliest answer to the first question, else
        the likeliest class. Raises UsageError for another target or method, InputError for other pixels, or without
        captum.
        """
        if method not in METHODS:
            raise UsageError(f"method: found '{method}', expected one of {', '.join(METHODS)}", "choose one of these")
        image = self._as_tensor(pixels)
        task, number, column = self.find_target(target, image)
        sky = _empty_sky(image)
        answer = self._answer_of(task, number)
        with torch.no_grad():
            full, empty = (float(answer(one)) for one in (image, sky))
        if method == "integrated-gradients":
            found = _integrate(answer, image, sky)
        else:
            found = _occlude(answer, image, sky, seen_px=self.card.net.view_px_of(self.card.preprocess.size_px))
        return Explanation(column, method, found.astype(np.float32), full, empty, _unit_of(task, column))

    def explain_answer(self, pixels: np.ndarray, target: str | None = None) -> float:
        """Return the answer alone; see explain."""
        image = self._as_tensor(pixels)
        task, number, _ = self.find_target(target, image)
        with torch.no_grad():
            return float(self._answer_of(task, number)(image))

    def find_target(self, target: str | None, image: Tensor) -> tuple[str, int, str]:
        """Return the task, the number of the output and the column of a target; see explain."""
        places = [
            (task, number, column)
            for task, names in self.card.classes.items()
            for number, column in enumerate(find_task(task).columns(names))
        ]
        if target is None:
            task = "lens" if "lens" in self.card.classes else next(iter(self.card.classes))
            with torch.no_grad():
                outputs = torch.stack([net(self._view(image))[task].reshape(-1) for net in self.nets]).mean(0)
            first = load_tree(self.card.classes[task]).slices[0].stop if task in VOTE_TASKS else None
            number = int(outputs[:first].argmax())
            return next(one for one in places if one[:2] == (task, number))
        wanted = "lens_probability" if target == "lens" else target
        for one in places:
            if wanted in (one[2], one[2].partition("_")[2]):
                return one
        columns = column_names(self.card.classes)[1:]
        raise UsageError(
            f"target: found '{target}', expected a column of the run's predictions: {name_some(columns, 8)}",
            "choose one of these",
        )

    def with_random_weights(self, *, seed: int) -> Explainer:
        """Return networks of the same shape whose weights were drawn at random, as before training."""
        nets = []
        for member, settings in enumerate(self.card.nets):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1000 * seed + member)
                drawn = GalaxyNet(settings, bands=self.card.preprocess.bands, classes=self.card.classes)
                nets.append(_freeze(drawn))
        return replace(self, nets=tuple(nets))

    def _as_tensor(self, pixels: np.ndarray) -> Tensor:
        side, bands = self.card.preprocess.size_px, self.card.preprocess.bands
        if pixels.shape != (side, side, bands):
            raise InputError(
                f"image: found pixels of shape {list(pixels.shape)}, expected [{side}, {side}, {bands}] as in the run",
                "make them as the run's images were",
            )
        return torch.from_numpy(np.array(pixels, np.float32)).permute(2, 0, 1)[None]

    def _view(self, images: Tensor) -> Tensor:
        """Convert pixels float32 [n, bands, h, w], 0 to 255, to what the networks see, with gradients."""
        net = self.card.net
        side = net.view_px_of(self.card.preprocess.size_px)
        pixels = images.permute(0, 2, 3, 1).clone()  # normalised in place
        return fixed_view(pixels, fixed_warps(1)[0], view_px=side, output_px=net.input_px, kind=net.normalise)

    def _answer_of(self, task: str, number: int) -> Callable[[Tensor], Tensor]:
        shares = len(load_tree(self.card.classes[task]).columns) if task in VOTE_TASKS else 0

        def answer(images: Tensor) -> Tensor:
            view = self._view(images)
            return torch.stack([_read(net(view)[task], task, number, shares) for net in self.nets]).mean(0)

        return answer


def open_explainer(run: str | Path) -> Explainer:
    """Return the networks of a run, ready to be explained; the last one stays in memory. Raises InputError."""
    weights = RunFolder(run_path(run)).weights
    return _load(str(run), weights.stat().st_mtime_ns if weights.is_file() else 0)


def attribute(
    predictor: Predictor, pixels: np.ndarray, target: str | None = None, *, method: Method = "integrated-gradients"
) -> np.ndarray:
    """Return the map of Explainer.explain, float32 [size_px, size_px], for pixels uint8 [size_px, size_px, bands]."""
    return open_explainer(predictor.run).explain(pixels, target, method=method).map


def correlate_with_random(
    explainer: Explainer,
    pixels: np.ndarray,
    target: str | None = None,
    *,
    method: Method = "integrated-gradients",
    seeds: Sequence[int] = (0, 1, 2),
) -> float:
    """Return the mean absolute rank correlation of a map with the maps of networks of random weights, 0 to 1.

    Near 0 where a map shows what the network learned; near 1 where it shows the image alone (Adebayo et al. 2018).
    Correlated are the signed maps, since by integrated gradients the size of any map follows the brightness.
    """
    from scipy.stats import spearmanr

    found = explainer.explain(pixels, target, method=method)
    others = [
        explainer.with_random_weights(seed=seed).explain(pixels, found.target, method=method).map for seed in seeds
    ]
    if not np.ptp(found.map):
        return 0.0
    values = [abs(spearmanr(found.map, one, axis=None).statistic) if np.ptp(one) else 0.0 for one in others]
    return float(np.mean(values))


@lru_cache(maxsize=1)
def _load(run: str, time_ns: int) -> Explainer:
    nets, card = load_nets(run)
    return Explainer(tuple(_freeze(net) for net in nets), card)


def _freeze(net: GalaxyNet) -> GalaxyNet:
    return fold_norms(net).requires_grad_(False)


def _read(outputs: Tensor, task: str, number: int, shares: int) -> Tensor:
    """Convert the raw outputs of a head to one number per image; see _unit_of. shares: answers of the tree."""
    if outputs.ndim == 1:
        return outputs
    one = outputs[:, number]
    if task == "votes" or (task in VOTE_TASKS and number >= shares):
        return one
    if task in VOTE_TASKS:
        return one - torch.log(-torch.expm1(one.clamp(max=-1e-6)))
    others = [k for k in range(outputs.shape[1]) if k != number]
    return one - outputs[:, others].logsumexp(1) if others else one


def _unit_of(task: str, column: str) -> str:
    if task == "votes":
        return "fraction"
    return "log concentration" if task in VOTE_TASKS and column.endswith(CONCENTRATION) else "log odds"


def _empty_sky(image: Tensor) -> Tensor:
    """Return an image of the same shape that holds each band's median of the rim."""
    inner = image[..., RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
    mask = torch.ones(image.shape[-2:], dtype=torch.bool)
    if inner.numel():
        mask[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = False
    return image[..., mask].median(-1).values[..., None, None].expand_as(image).contiguous()


def _integrate(answer: Callable[[Tensor], Tensor], image: Tensor, sky: Tensor) -> np.ndarray:
    method = _load_captum().IntegratedGradients(answer)
    found = method.attribute(image.clone().requires_grad_(), sky, n_steps=STEPS, internal_batch_size=BATCH)
    return found.detach().sum(1)[0].numpy()


def _occlude(answer: Callable[[Tensor], Tensor], image: Tensor, sky: Tensor, *, seen_px: float) -> np.ndarray:
    bands, side = image.shape[1], image.shape[2]
    seen = min(side, math.ceil(seen_px))
    start = (side - seen) // 2
    square = (..., slice(start, start + seen), slice(start, start + seen))

    def answer_square(squares: Tensor) -> Tensor:
        whole = image.repeat(len(squares), 1, 1, 1)
        whole[square] = squares
        return answer(whole)

    window = max(2, round(seen / WINDOWS_PER_SIDE))
    found = (
        _load_captum()
        .Occlusion(answer_square)
        .attribute(
            image[square],
            sliding_window_shapes=(bands, window, window),
            strides=(bands, window // 2, window // 2),
            baselines=sky[square],
            perturbations_per_eval=BATCH,
        )
    )
    whole = np.zeros((side, side), np.float32)
    whole[square[1:]] = found.detach().mean(1)[0].numpy()
    return whole


def require_captum() -> None:
    """Raise InputError unless captum is installed; does not import it, so that the answer is immediate."""
    if find_spec("captum") is None:
        raise _missing()


def _load_captum() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what captum imports for its own pictures
            return import_module("captum.attr")
    except ModuleNotFoundError as error:
        if (error.name or "captum").partition(".")[0] != "captum":
            raise
        raise _missing() from error


def _missing() -> InputError:
    return missing_extra("explain", "explain", ["captum"])
