"""Card of a run, model.json: everything needed to use its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.runs.folder import run_path
from convnet_galaxies.settings import NetSettings

CARD_FORMAT = 1
CALIBRATION_FLOOR = 1e-7
VIEWS = (1, 8, 16)
"""Numbers of views of an image that may be averaged (model/augment.py has them)."""


@dataclass(frozen=True)
class LensCalibration:
    """``log odds * slope + intercept`` of a probability, after the mean over members and views.

    images, positives, groups: on how many held-out images it was fitted. prevalence: the share of positives that the
    calibrated probabilities hold for; that of these images unless another was given.
    isotonic_knots: of a rising function of the probability that comes first, (probability, calibrated) each; empty for
        none. Formerly ``corners``.
    slope_interval, intercept_interval: 90 % intervals over groups, (low, high); empty for none.
    caution: why the probabilities are to be taken with caution; empty when there is no reason known.
    """

    slope: float
    intercept: float
    images: int
    positives: int
    groups: int
    prevalence: float
    isotonic_knots: tuple[tuple[float, float], ...] = ()
    slope_interval: tuple[float, ...] = ()
    intercept_interval: tuple[float, ...] = ()
    caution: str = ""

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """Convert float [n] to calibrated float64 [n]; probabilities are clipped at CALIBRATION_FLOOR from 0 and 1."""
        probability = np.asarray(probability, float)
        if self.isotonic_knots:
            before, after = np.array(self.isotonic_knots).T
            probability = np.interp(probability, before, after)
        clipped = np.clip(probability, CALIBRATION_FLOOR, 1 - CALIBRATION_FLOOR)
        log_odds = self.slope * np.log(clipped / (1 - clipped)) + self.intercept
        with np.errstate(over="ignore"):  # the exponential of a large number is infinite, and the probability 0
            return np.asarray(1 / (1 + np.exp(-log_odds)))  # scipy.special takes a tenth of a second to load


@dataclass(frozen=True)
class ModelCard:
    """Everything beside the weights that a network needs.

    classes: names of the classes of each task of the network; empty for votes and lens.
    members: networks whose probabilities are averaged; their weights are named ``0.``, ``1.`` ...
    calibration: calibration by task (only ``lens`` so far); empty as trained.
    ancestry: one entry per earlier run of the weights, oldest first.
    type_centres: float [k, 37], the centres of the morphology types, if the network predicts them.
    views: default number of views per image of `predict`.
    member_nets: of each member, if not all are as the first, ``net``; all have the same input square and size.
    weights_sha256: of the file of weights (see fingerprint_file), which is checked when they are loaded; empty in cards
        of before.
    """

    net: NetSettings
    preprocess: Preprocess
    classes: dict[str, tuple[str, ...]]
    members: int = 1
    calibration: dict[str, LensCalibration] = field(default_factory=dict)
    ancestry: tuple[dict[str, Any], ...] = ()
    type_centres: list[list[float]] | None = None
    views: int = 1
    member_nets: tuple[NetSettings, ...] = ()
    weights_sha256: str = ""

    @property
    def nets(self) -> tuple[NetSettings, ...]:
        """Network settings of each member."""
        return self.member_nets or (self.net,) * self.members

    def window_px(self, pixel_scale_arcsec: float | None = None) -> float | None:
        """Return the side of the input square, in source pixels of a scale; None if it depends on the image."""
        crop_px = self.preprocess.crop_of(pixel_scale_arcsec)
        seen = self.net.view_px_of(self.preprocess.size_px) / self.preprocess.size_px
        return None if crop_px is None else min(1.0, seen) * crop_px

    def dumps(self) -> str:
        """Return the card as JSON text."""
        tree = asdict(self) | {
            "format": CARD_FORMAT,
            "net": self.net.model_dump(mode="json"),
            "member_nets": [net.model_dump(mode="json") for net in self.member_nets],
            "preprocess": self.preprocess.model_dump(mode="json"),
        }
        return json.dumps(tree, indent=2)

    @staticmethod
    def loads(text: str, name: object) -> ModelCard:
        """Read a card from JSON text. Raises InputError if it is no card, or of a later format."""
        try:
            tree = json.loads(text)
            if tree.pop("format") != CARD_FORMAT:
                raise InputError(f"{name}: found an unknown format, expected {CARD_FORMAT}", "update convnet-galaxies")
            return ModelCard(
                net=NetSettings.model_validate(tree["net"]),
                preprocess=Preprocess.model_validate(tree["preprocess"]),
                classes={task: tuple(names) for task, names in tree["classes"].items()},
                members=(members := _count_members(tree.get("members", 1))),
                member_nets=_read_nets(tree.get("member_nets", []), members),
                views=_read_views(tree.get("views", 1)),
                calibration={task: _read_calibration(one) for task, one in tree.get("calibration", {}).items()},
                ancestry=tuple(tree["ancestry"]),
                type_centres=tree["type_centres"],
                weights_sha256=str(tree.get("weights_sha256", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{name}: is no model card ({reason})", "give a finished run folder") from None


def read_card(run: StrPath) -> ModelCard:
    """Read the card of a run. Raises InputError."""
    path = run_path(run) / "model.json"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "restore the file, or train again") from None
    return ModelCard.loads(text, path)


def _read_calibration(tree: dict[str, Any]) -> LensCalibration:
    former = tree.pop("corners", ())
    knots = tuple((float(x), float(y)) for x, y in tree.get("isotonic_knots", former))
    if any(a[0] >= b[0] or a[1] > b[1] for a, b in pairwise(knots)):
        raise ValueError("the isotonic_knots of a calibration do not rise")
    ends = {name: tuple(map(float, tree.get(name, ()))) for name in ("slope_interval", "intercept_interval")}
    return LensCalibration(**{**tree, "isotonic_knots": knots, **ends})


def _read_nets(trees: Sequence[Any], members: int) -> tuple[NetSettings, ...]:
    if len(trees) not in (0, members):
        raise ValueError(f"member_nets has {len(trees)} nets, expected one for each of {members} members")
    return tuple(NetSettings.model_validate(tree) for tree in trees)


def _read_views(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value not in VIEWS:
        raise ValueError(f"views is {value!r}, expected one of {', '.join(map(str, VIEWS))}")
    return value


def _count_members(value: object) -> int:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"members is {value!r}, expected a whole number from 1 on")
    return value
