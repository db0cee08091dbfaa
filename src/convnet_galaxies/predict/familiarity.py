"""familiarity.safetensors beside the weights of a run: an out-of-distribution score of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from convnet_galaxies.data.output import new_file
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.familiarity import DistanceQuantiles, FeatureDistribution
from convnet_galaxies.runs.weights import fingerprint_file

STRANGE = 0.001
"""Images below this familiarity are unlike all known images of a run; one in a thousand known images is below it."""


@dataclass(frozen=True)
class FamiliarityModel:
    """Feature distribution of the known images of a run, and distances of held-out images by number of views."""

    distribution: FeatureDistribution
    distances: Mapping[int, DistanceQuantiles]

    def familiarity(self, features: np.ndarray, views: int) -> np.ndarray:
        """Convert features float [n, f], means over so many views, to float32 [n] in 0 to 1. Raises InputError where
        the known images were not measured with so many."""
        if views not in self.distances:
            have = ", ".join(map(str, sorted(self.distances))) or "none"
            raise InputError(
                f"familiarity.safetensors: found distances for these numbers of views: {have}, expected {views}",
                "fit it again with `familiarity --force`",
            )
        return self.distances[views].familiarity(self.distribution.distance(features)).astype(np.float32)


def write_familiarity(path: Path, model: FamiliarityModel, weights: Path, *, images: int, force: bool = False) -> None:
    """Write beside the weights; images: number of those that were fitted. Raises OutputExistsError, InputError."""
    distribution = model.distribution
    arrays = {
        "mean": distribution.mean,
        "scale": distribution.scale,
        "axes": distribution.axes.astype(np.float16),
        "variances": distribution.variances,
        "rest": np.array([distribution.residual_variance], np.float32),
    }
    for views, one in model.distances.items():
        arrays[f"quantiles_{views}"] = one.quantiles.astype(np.float32)
        arrays[f"exponent_{views}"] = np.array([one.exponent], np.float32)
    with new_file(path, force=force) as temporary:
        temporary.write_bytes(save(arrays, {"weights_sha256": fingerprint_file(weights), "images": str(images)}))


def read_familiarity(path: Path, weights: Path) -> FamiliarityModel | None:
    """Read the file of write_familiarity; None if there is none. Raises InputError if it belongs to other weights."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            of_weights = (file.metadata() or {}).get("weights_sha256")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        views = [int(name.rpartition("_")[2]) for name in arrays if name.startswith("quantiles_")]
        distribution = FeatureDistribution(
            arrays["mean"],
            arrays["scale"],
            arrays["axes"].astype(np.float32),
            arrays["variances"],
            float(arrays["rest"][0]),
        )
        distances = {
            one: DistanceQuantiles(arrays[f"quantiles_{one}"], float(arrays[f"exponent_{one}"][0])) for one in views
        }
    except (OSError, SafetensorError, KeyError, IndexError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "fit it again with `familiarity --force`") from None
    if of_weights != fingerprint_file(weights):
        raise InputError(
            f"{path}: was fitted for other weights than {weights.name} beside it",
            "fit it again with `familiarity --force`, or remove it",
        )
    return FamiliarityModel(distribution, distances)
