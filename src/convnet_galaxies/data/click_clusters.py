"""The clicks of one field to clusters, stamps and catalogue rows, by the rule of the published catalogue.

The clicks are clustered by DBSCAN (Ester et al. 1996, KDD, 226), each volunteer's clicks weighing one together; round
the mean of each cluster a stamp is cut.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.cluster import DBSCAN

from convnet_galaxies.data.default_pixels import STAMP_PX

NEIGHBOUR_PX = 30.0
LEAST_WEIGHT = 3
# Noise hardly compresses: run lengths alone make files as small as zlib's usual search does, in a fifth of the time.
FAST_PNG: dict[str, Any] = {"compress_level": 1, "compress_type": zlib.Z_RLE}

FIELD_COLUMNS = (
    "ID",
    "ZooID",
    "location",
    "mean_probability",
    "category",
    "kind",
    "flavor",
    "state",
    "status",
    "truth",
    "stage",
)
CLUSTER_COLUMNS = (
    "object_id",
    "x",
    "y",
    "markers_in_object",
    "skill_sum",
    "markers_in_field",
    "people_marking_objects",
    "people_marking_field",
    "people_looking_at_field",
    "object_size",
    "alpha",
    "cutoutname",
)
CATALOG_COLUMNS = FIELD_COLUMNS + CLUSTER_COLUMNS


def cluster_clicks(x_px: np.ndarray, y_px: np.ndarray, volunteer: np.ndarray) -> np.ndarray:
    """Cluster of each click of one field (int [n], -1 for none).

    x_px, y_px: float [n]; volunteer: [n], who clicked. DBSCAN with 30 px neighbourhoods that must hold a weight of 3;
    each click weighs one over the number of its volunteer's clicks in the field.
    """
    if len(x_px) < LEAST_WEIGHT:
        return np.full(len(x_px), -1)
    _, who = np.unique(volunteer, return_inverse=True)
    # A hair above the exact weight: in floating point, thirds and the like add to less than whole numbers.
    weight = (1.0 + 1e-9) / np.bincount(who)[who]
    positions = np.column_stack([x_px, y_px]).astype(float)
    # By a tree for few clicks too: else scikit-learn multiplies matrices, and OpenBLAS waits for ever without memory.
    clustering = DBSCAN(eps=NEIGHBOUR_PX, min_samples=LEAST_WEIGHT, algorithm="kd_tree")
    return clustering.fit(positions, sample_weight=weight).labels_


def measure_clusters(clicks: pd.DataFrame, labels: np.ndarray | None = None) -> pd.DataFrame:
    """Measure one row per cluster of the clicks of one field (columns volunteer, x, y and skill in bits).

    labels: what cluster_clicks gave for these clicks, where that is known.

    Columns x, y (the mean click, pixels), markers_in_object, skill_sum (bits), markers_in_field,
    people_marking_objects, people_marking_field, and object_size: root mean square distance (pixels) of the clicks
    from their mean. Clusters come in the order of their first click.
    """
    x, y, volunteer = clicks["x"].to_numpy(float), clicks["y"].to_numpy(float), clicks["volunteer"].to_numpy()
    labels = cluster_clicks(x, y, volunteer) if labels is None else labels
    skill = clicks["skill"].to_numpy(float)
    rows = []
    for label in pd.unique(labels[labels >= 0]):
        members = labels == label
        x_mean, y_mean = x[members].mean(), y[members].mean()
        rows.append(
            {
                "x": x_mean,
                "y": y_mean,
                "markers_in_object": int(members.sum()),
                "skill_sum": skill[members].sum(),
                "markers_in_field": len(labels),
                "people_marking_objects": len(np.unique(volunteer[members])),
                "people_marking_field": len(np.unique(volunteer)),
                "object_size": np.sqrt(np.mean((x[members] - x_mean) ** 2 + (y[members] - y_mean) ** 2)),
            }
        )
    return pd.DataFrame(rows)


def cut_stamp(field: np.ndarray, x_px: float, y_px: float) -> np.ndarray:
    """Return the 96 x 96 px (uint8 [96, 96, bands]) of a field (uint8 [h, w, bands]) round (x_px, y_px), 0-based from
    the
    top left; zeros (alpha too) where the stamp leaves the field."""
    x, y = (int(np.floor(centre - STAMP_PX / 2)) for centre in (x_px, y_px))
    stamp = np.zeros((STAMP_PX, STAMP_PX, field.shape[2]), field.dtype)
    inside = field[max(y, 0) : max(y + STAMP_PX, 0), max(x, 0) : max(x + STAMP_PX, 0)]
    top, left = max(-y, 0), max(-x, 0)
    stamp[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return stamp


def shows_painted(stamp: np.ndarray) -> int:
    """Return 1 if any pixel of a stamp (uint8 [h, w, bands]) is opaque in the alpha channel; 0 if none, or no such
    channel."""
    return int(stamp.shape[2] == 4 and bool((stamp[..., 3] == 255).any()))


def cut_clusters(image: np.ndarray, clusters: pd.DataFrame, field: pd.Series, folder: Path) -> pd.DataFrame:
    """Write the stamps of one field's clusters and return their catalogue rows (all columns, in the real order).

    image: uint8 [h, w, 3 or 4]; clusters: as of measure_clusters, with ``object_id``; field: FIELD_COLUMNS, and
    ``people_looking_at_field`` (missing: those who clicked are counted).
    """
    names = [f"{number}_{field['ZooID']}.png" for number in clusters["object_id"]]
    alphas = []
    for name, x_px, y_px in zip(names, clusters["x"], clusters["y"], strict=True):
        stamp = cut_stamp(image, x_px, y_px)
        alphas.append(shows_painted(stamp))
        Image.fromarray(stamp).save(folder / name, **FAST_PNG)
    lookers = field.get("people_looking_at_field")
    columns = {
        **{column: field[column] for column in FIELD_COLUMNS},
        "people_looking_at_field": (
            clusters["people_marking_field"] if lookers is None or pd.isna(lookers) else int(lookers)
        ),
        "cutoutname": names,
        "alpha": alphas,
    }
    return pd.DataFrame({**clusters, **columns}, index=clusters.index, columns=list(CATALOG_COLUMNS))
