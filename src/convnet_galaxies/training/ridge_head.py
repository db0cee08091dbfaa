"""Heads by ridge regression on the features of a network that stays as it is: for a few labels.

A few hundred numbers of a few dozen images are hardly ever learned by heart by a penalised regression, and a backbone
that is not touched keeps all that it learned from many more images. Where the parent has a head for the task, the
regression is one of what that head leaves over: a few labels shift and scale it, many correct it. The strength of the
penalty and the scale of the log odds are those of the smallest log loss in cross-validation among the training images,
whole groups at a time.

A few labels easily teach a head the look of a survey: its stretch, its colours, its seeing. So copies of the images
with random looks (model/looks.py) should get the same answers as the images: the squares of the differences are added
to those of the errors, unless cross-validation shows that the look itself tells the classes apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from scipy.linalg import solve
from scipy.special import expit, log_softmax
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.model.augment import fixed_view, fixed_warps
from convnet_galaxies.model.galaxy_net import to_channels_last
from convnet_galaxies.model.heads import ClassHead, LensHead
from convnet_galaxies.model.looks import look_again
from convnet_galaxies.training.setup import TrainingSetup

PENALTIES = tuple(float(one) for one in np.logspace(1, 5, 9))
"""Of the regression on standardised features; the largest leaves little more than the mean."""
SLOPES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Log odds per unit of the regression; 4 is the slope of the logistic curve at one half."""
PARENT_SLOPE, PARENT_SCALE = 4.0, 3.0
"""What the parent's log odds are divided by to compare with labels, and their standard deviation among features of 1:
a change of their scale is penalised less, by the square, than one of their direction."""
STEADY = (0.0, 1.0)
"""What the differences between an image and its copies count together, next to the error of the image."""
FOLDS = 5
VIEWS, LOOKS, BATCH = 8, 8, 128


@dataclass(frozen=True)
class RidgeHead:
    """A linear head: log odds = features @ weight + bias, float64 [features, k] and [k] (k = 1 for a lens).

    penalty, steady, slope: the chosen ones. log_loss: in cross-validation among the training images.
    """

    weight: np.ndarray
    bias: np.ndarray
    penalty: float
    steady: float
    slope: float
    log_loss: float


def fit_ridge_head(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    classes: int = 0,
    weights: np.ndarray | None = None,
    changes: np.ndarray | None = None,
    parent: tuple[np.ndarray, np.ndarray] | None = None,
) -> RidgeHead:
    """Fit a head to features, float [n, c].

    labels: 0 to 1, soft ones too, float [n], for a lens (classes 0); else the number of the class, int [n].
    groups: [n], images of one object share theirs. weights: of the images, float [n]; None: equal.
    changes: how k other looks change the features of each image, float [n, k, c]; None leaves them out.
    parent: weight [c, k] and bias [k] of an earlier head for the same classes, from which to start.
    """
    leading = 0
    if parent is not None:
        leading = len(parent[1])
        features = np.concatenate([features, features @ parent[0] + parent[1]], axis=1)
        if changes is not None:
            changes = np.concatenate([changes, (changes @ parent[0]).astype(changes.dtype)], axis=2)
    wanted = np.eye(classes)[labels] if classes else np.asarray(labels, float)[:, None]
    weights = np.ones(len(wanted)) if weights is None else weights
    shift = 0.0 if classes else 0.5
    numbers = np.unique(groups, return_inverse=True)[1]
    kinds = STEADY if changes is not None else STEADY[:1]
    settings = [(penalty, steady) for steady in kinds for penalty in PENALTIES]

    def fit(rows: np.ndarray, chosen: Sequence[tuple[float, float]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return solve_ridge(
            features[rows],
            wanted[rows],
            weights[rows],
            chosen,
            changes=None if changes is None else changes[rows],
            strengths=weights[rows],
            leading=leading,
            shift=shift,
        )

    losses = np.zeros((len(settings), len(SLOPES), len(wanted)))
    for learned, held_out in GroupKFold(min(FOLDS, int(numbers.max()) + 1)).split(features, groups=numbers):
        for row, (weight, bias) in enumerate(fit(learned, settings)):
            answer = features[held_out] @ weight + bias - shift
            for column, one in enumerate(SLOPES):
                losses[row, column, held_out] = _log_losses(one * answer, wanted[held_out])
    row, column = _choose(losses, weights / weights.sum(), numbers)
    ((weight, bias),) = fit(np.arange(len(wanted)), settings[row : row + 1])
    if parent is not None:
        own, of_parent = weight[:-leading], weight[-leading:]
        weight, bias = own + parent[0] @ of_parent, bias + parent[1] @ of_parent
    penalty, steady = settings[row]
    slope = SLOPES[column]
    loss = float((losses[row, column] * weights).sum() / weights.sum())
    return RidgeHead(slope * weight, slope * (bias - shift), penalty, steady, slope, loss)


def _choose(losses: np.ndarray, shares: np.ndarray, groups: np.ndarray) -> tuple[int, int]:
    """Row and column of losses [settings, slopes, n]: the smallest mean, or the last setting that is not shown to be
    worse: its excess is below the standard error of the excess over groups (one-standard-error rule, Breiman et al.
    1984). The last are the steadiest, of the largest penalties, so that a few labels change little.
    """
    best = losses[np.unravel_index((losses @ shares).argmin(), losses.shape[:2])]
    for row in range(len(losses) - 1, -1, -1):
        column = int((losses[row] @ shares).argmin())
        excess = np.bincount(groups, (losses[row, column] - best) * shares)
        if excess.sum() <= np.sqrt((excess**2).sum()):
            return row, column
    raise AssertionError("the smallest mean exceeds itself")


def solve_ridge(
    features: np.ndarray,
    wanted: np.ndarray,
    weights: np.ndarray,
    settings: Sequence[tuple[float, float]],
    *,
    changes: np.ndarray | None = None,
    strengths: np.ndarray | None = None,
    leading: int = 0,
    shift: float = 0.0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Weight [c, k] and bias [k], in the units of the features, for each setting: (penalty, what changes count).

    features: float [n, c], the last ``leading`` of them a parent's log odds, from which to start. wanted: float [n, k].
    weights: of the images, float [n]. changes, strengths: float [m, looks, c] and what they count, float [m].
    shift: the label at log odds of 0.

    The normal equations are set up once for all settings; a term for changes is a second matrix in them (Tikhonov
    regularisation), which sklearn's Ridge does not have.
    """
    scaler = StandardScaler().fit(features, sample_weight=weights)
    scale = scaler.scale_.copy()
    first = features.shape[1] - leading
    scale[first:] /= PARENT_SCALE
    if leading:
        wanted = wanted - features[:, first:] / PARENT_SLOPE - shift
    mean = np.average(wanted, axis=0, weights=weights)
    scaled = (features - scaler.mean_) / scale
    weighted = scaled * weights[:, None]
    errors, answers = scaled.T @ weighted, weighted.T @ (wanted - mean)
    moves, answers_to_moves = np.zeros_like(errors), np.zeros_like(answers)
    if changes is not None and strengths is not None:
        for look in range(changes.shape[1]):
            moved = changes[:, look] / scale
            strong = moved * (strengths / changes.shape[1])[:, None]
            moves += moved.T @ strong
            if leading:  # what the parent's part of the answer changes
                answers_to_moves -= strong.T @ (changes[:, look, first:] / PARENT_SLOPE)
    for penalty, steady in settings:
        matrix = errors + steady * moves + penalty * np.eye(len(errors))
        weight = solve(matrix, answers + steady * answers_to_moves, assume_a="pos") / scale[:, None]
        bias = mean - scaler.mean_ @ weight
        if leading:
            weight[first:] += np.eye(leading) / PARENT_SLOPE
            bias = bias + shift
        yield weight, bias


def _log_losses(log_odds: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Cross entropy of each image, float [n]."""
    if wanted.shape[1] == 1:
        probability = np.clip(expit(log_odds[:, 0]), 1e-6, 1 - 1e-6)
        return -(wanted[:, 0] * np.log(probability) + (1 - wanted[:, 0]) * np.log1p(-probability))
    return -(wanted * log_softmax(log_odds, axis=1)).sum(axis=1)


def attach_ridge_heads(fabric: Fabric, setup: TrainingSetup) -> dict[str, RidgeHead]:
    """Fit the heads of the network to the training images; its backbone stays as it is. See require_ridge."""
    net, rows = setup.net, setup.train_rows
    once, repeated = np.unique(rows, return_inverse=True)
    features, changes = _extract_features(fabric, setup, once)
    groups = setup.images.table["group"].to_numpy()[rows]
    heads = {}
    for task, target in setup.targets.items():
        known = target.known[rows]
        labels = target.values.numpy()[rows][known]
        linear = net.heads[task].linear
        assert isinstance(linear, torch.nn.Linear)
        old = linear.weight.detach().double().cpu().numpy().T, linear.bias.detach().double().cpu().numpy()
        head = fit_ridge_head(
            features[repeated[known]],
            labels,
            groups[known],
            classes=len(target.classes),
            changes=changes[repeated[known]],
            parent=old if task in setup.kept_heads else None,
        )
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(head.weight.T))
            linear.bias.copy_(torch.from_numpy(head.bias))
        heads[task] = head
    return heads


@torch.inference_mode()
def _extract_features(fabric: Fabric, setup: TrainingSetup, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features of images, float64 [m, c], means over the views that prediction takes by default, and what LOOKS random
    looks change of them, float32 [m, LOOKS, c], each in one view.
    """
    net = to_channels_last(setup.net).to(fabric.device).eval()
    wanted = net.settings
    zoom_in = setup.view_px < setup.images.preprocess.size_px

    def see(pixels: np.ndarray, warp: torch.Tensor) -> np.ndarray:
        view = fixed_view(
            torch.from_numpy(pixels), warp, view_px=setup.view_px, output_px=setup.input_px, kind=wanted.normalise
        )
        with fabric.autocast():
            found = net.features(fabric.to_device(view))
        return np.asarray(found.double().cpu().numpy())

    means, changes = [], []
    (as_it_is,) = fixed_warps(1)
    for start in range(0, len(rows), BATCH):
        pixels = np.ascontiguousarray(setup.images.images[rows[start : start + BATCH]])
        means.append(np.mean([see(pixels, warp) for warp in fixed_warps(VIEWS, zoom_in=zoom_in)], axis=0))
        plain = see(pixels, as_it_is)
        looks = [see(look_again(pixels, seed=start + number), as_it_is) - plain for number in range(LOOKS)]
        changes.append(np.stack(looks, axis=1).astype(np.float32))
    return np.concatenate(means), np.concatenate(changes)


def require_ridge(setup: TrainingSetup) -> None:
    """Raise UsageError unless the heads of a training can be fitted by ridge regression."""
    if not setup.has_parent:
        raise UsageError(
            "--head ridge: found no parent, expected a trained network whose features are used",
            "pass --from with a run or builtin:NAME",
        )
    for task, head in setup.net.heads.items():
        if not isinstance(head, LensHead | ClassHead):
            raise UsageError(f"--head ridge: the task '{task}' has no linear head", "train it without --head ridge")
    groups = setup.images.table["group"].to_numpy()[setup.train_rows]
    for task, target in setup.targets.items():
        if len(np.unique(groups[target.known[setup.train_rows]])) < 2:
            raise InputError(
                f"pack: found one group of training images with a label for '{task}', expected at least 2 for "
                "--head ridge",
                "pack more images, or leave out this task",
            )
