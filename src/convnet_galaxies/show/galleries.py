"""Galleries: which images are shown, and their pixels as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from convnet_galaxies.blocks import Gallery, Picture
from convnet_galaxies.decision_tree import KAGGLE, DecisionTree

GALLERY_SIZE = 12


def encode_png(pixels: np.ndarray) -> bytes:
    """Convert uint8 [h, w, bands] to PNG: three bands as colour (the first three of more), else the first as grey."""
    picture = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., 0]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def make_gallery(
    title: str, note: str, images: np.ndarray, rows: Sequence[int] | np.ndarray, captions: Sequence[str]
) -> Gallery | None:
    """Return the images at the given rows of uint8 [n, h, w, bands], each with its caption; None without rows."""
    pictures = tuple(
        Picture(encode_png(np.asarray(images[int(row)])), caption, f"{title}: " + caption.replace("\n", ", "))
        for row, caption in zip(rows, captions, strict=True)
    )
    return Gallery(title, note, pictures) if pictures else None


def lens_galleries(
    images: np.ndarray, rows: np.ndarray, table: pd.DataFrame, truth: np.ndarray, probability: np.ndarray
) -> list[Gallery | None]:
    """Return lenses found best, false positives and missed lenses among held-out images.

    rows: int [n], where each scored image is in images; table: one row each; truth: bool [n]; probability: float [n].
    """
    order = np.argsort(-probability, kind="stable")

    def show(title: str, note: str, chosen: np.ndarray) -> Gallery | None:
        captions = [describe_lens(table.iloc[int(k)], probability[k]) for k in chosen]
        return make_gallery(title, note, images, rows[chosen], captions)

    found = order[truth[order]]
    false = order[~truth[order]]
    return [
        show("Best: lenses found most surely", "Held-out lenses of highest probability.", found[:GALLERY_SIZE]),
        show("False positives", "Held-out images without a lens, highest probability first.", false[:GALLERY_SIZE]),
        show("Worst: missed lenses", "Held-out lenses, lowest probability first.", found[::-1][:GALLERY_SIZE]),
    ]


def vote_galleries(
    images: np.ndarray,
    rows: np.ndarray,
    table: pd.DataFrame,
    truth: np.ndarray,
    predicted: np.ndarray,
    tree: DecisionTree = KAGGLE,
) -> list[Gallery | None]:
    """Return galaxies whose votes are predicted best and worst; truth and predicted: float [n, answers]."""
    error = np.sqrt(((truth - predicted) ** 2).mean(axis=1))
    order = np.argsort(error, kind="stable")

    def show(title: str, note: str, chosen: np.ndarray) -> Gallery | None:
        captions = [
            f"{table['id'].iloc[int(k)]}\nRMSE {error[k]:.3f}\n{describe_votes(truth[k], predicted[k], tree)}"
            for k in chosen
        ]
        return make_gallery(title, note, images, rows[chosen], captions)

    number = min(GALLERY_SIZE, (len(order) + 1) // 2)
    return [
        show("Best: votes predicted most closely", "Held-out galaxies of smallest error.", order[:number]),
        show(
            "Worst: votes predicted least closely",
            "Held-out galaxies of largest error, largest first.",
            order[::-1][:number],
        ),
    ]


def describe_lens(row: pd.Series, probability: float) -> str:
    """Return caption: id, flavor where it is known, probability."""
    words = [str(row["id"])]
    flavor = row.get("flavor_label", row.get("flavor"))
    if isinstance(flavor, str) and flavor not in ("dud", "test"):
        words.append(flavor)
    return "\n".join([*words, f"probability {show_probability(probability)}"])


def show_probability(probability: float) -> str:
    """Return digits that tell probabilities near 0 and 1 apart."""
    if probability > 1 - 1e-9:
        return "1"
    if probability > 0.9995:
        return f"1 - {1 - probability:.0e}"
    return f"{probability:.3f}" if probability >= 0.0005 else f"{probability:.0e}"


def describe_votes(truth: np.ndarray, predicted: np.ndarray, tree: DecisionTree = KAGGLE) -> str:
    """Return the question on which votes and prediction differ most, with both."""
    worst = int(np.argmax(np.abs(truth - predicted)))
    question = tree.question_of[worst]
    answer = tree.questions[question].answers[worst - tree.slices[question].start]
    return f"{answer} {truth[worst]:.2f}, predicted {predicted[worst]:.2f}"
