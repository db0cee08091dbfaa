"""Made-up scores, studies and packs of known properties, for the tests of study and show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.pack import write_pack, write_set
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.space_warps import read_space_warps
from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS
from convnet_galaxies.measure.prevalence import quantify
from convnet_galaxies.settings import Settings, write_settings
from convnet_galaxies.study import unknown
from convnet_galaxies.study.strategies import FLAVOR_STRATEGY, LEAKING_SPLIT, list_strategies
from convnet_galaxies.study.study_plan import StudyPlan
from convnet_galaxies.study.unknown import PredictedImages


@contextmanager
def few_resamples() -> Iterator[None]:
    """Estimates of prevalence with a tenth of the resamples: they take most of the time of an answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unknown, "quantify", partial(quantify, n_resamples=20))
        yield


FLAVORS = ("lensed galaxy", "lensed quasar", "lensing cluster")
STRENGTH = {"scratch, stage 1": 1.5, "zoo, stage 1": 3.0}
"""Distance of the mean logits of lenses and others; 2.0 for the strategies not named."""


def draw_scores(lens: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Lens probabilities float [n] whose logits of lenses (bool [n]) and others differ by strength; scatter 1."""
    return 1 / (1 + np.exp(-(rng.normal(size=len(lens)) + strength * lens - strength / 2)))


def make_cutouts(n_fields: int, rng: np.random.Generator, *, lens_share: float = 0.3) -> pd.DataFrame:
    """A table of cutouts, two a field, half of the fields in each stage."""
    n = 2 * n_fields
    lens = (rng.random(n) < lens_share).astype(float)
    flavor = np.where(lens == 1, np.array(FLAVORS)[rng.integers(3, size=n)], "dud")
    fields = np.arange(n) // 2
    return pd.DataFrame(
        {
            "id": [f"{k}_ASW{field:07d}" for k, field in enumerate(fields)],
            "group": [f"ZooID=ASW{field:07d}" for field in fields],
            "lens": lens,
            "stage": 1 + fields % 2,
            "flavor": flavor,
            "flavor_label": flavor,
        }
    )


def make_study(
    folder: Path, cutouts: pd.DataFrame, *, repetitions: int = 3, fractions: tuple[float, ...] = (0.2, 1.0)
) -> Path:
    """A study's folder: plan and predictions, of strengths as in STRENGTH whatever the share of the labels."""
    rng = np.random.default_rng(0)
    lens = cutouts["lens"].to_numpy() == 1
    image_noise = draw_scores(lens, 0.0, rng)
    tables = []

    def add(strategy: str, fraction: float, repetition: int, **columns: np.ndarray) -> None:
        labels = round(500 * fraction)
        facts = {"labels": labels, "label_lenses": labels // 20, "rate": 1.0, "epochs": 8 + repetition % 2}
        tables.append(
            cutouts.assign(
                strategy=strategy, repetition=repetition, fraction=fraction, test_over_train=0.3, **facts, **columns
            )
        )

    for seed in range(repetitions):
        for fraction in fractions:
            for strategy in list_strategies(("zoo",), has_stages=True):
                # Most of the noise belongs to the image, as it does for nets of one kind: that is what pairing uses.
                logit = np.log(image_noise / (1 - image_noise)) + 0.2 * rng.normal(size=len(lens))
                score = 1 / (1 + np.exp(-(logit + STRENGTH.get(strategy.name, 2.0) * (lens - 0.5))))
                add(strategy.name, fraction, seed, lens_probability=score)
        add(LEAKING_SPLIT, 1.0, seed, lens_probability=draw_scores(lens, 4.0, rng))
        wrong = rng.random(len(lens)) < 0.2
        flavors = cutouts["flavor_label"].to_numpy()
        add(FLAVOR_STRATEGY, 1.0, seed, predicted_flavor=np.where(wrong, "dud", flavors))
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(tables, ignore_index=True).to_parquet(folder / "predictions.parquet", index=False)
    plan = asdict(StudyPlan(repetitions=repetitions, fractions=fractions))
    facts = {"plan": plan, "settings": write_settings(Settings()), "images": [100, len(cutouts)]}
    (folder / "study.json").write_text(json.dumps(facts), "utf-8")
    return folder


def make_study_pack(path: Path, cutouts: pd.DataFrame, *, size_px: int = 8) -> Path:
    """The pack of a study's cutouts, of noise."""
    pixels = np.random.default_rng(3).integers(0, 256, (len(cutouts), size_px, size_px, 3), dtype=np.uint8)
    images = ImageSet(pixels, cutouts.reset_index(drop=True), Preprocess(crop_px=size_px, size_px=size_px))
    write_set(images, path)
    return path


def make_scored(
    n_lenses: int,
    n_others: int,
    rng: np.random.Generator,
    *,
    prefix: str,
    strength: float = 4.0,
    with_flavors: bool = False,
) -> PredictedImages:
    """Made-up answers about lenses and others, each its own field."""
    n = n_lenses + n_others
    lens = np.arange(n) < n_lenses
    flavor = np.where(lens, np.array(FLAVORS)[np.arange(n) % 3], "dud")
    table = pd.DataFrame(
        {
            "id": [f"{prefix}{k}" for k in range(n)],
            "group": [f"{prefix}{k}" for k in range(n)],
            "lens": lens.astype(float),
            "flavor_label": flavor,
        }
    )
    score = draw_scores(lens, strength, rng)
    features = rng.normal(size=(n, 4)).astype(np.float32)
    features[:, 0] += np.log(score / (1 - score))
    if not with_flavors:
        return PredictedImages(table, score, features)
    among = rng.dirichlet(np.ones(3), size=n) * 0.3
    among[np.arange(n), np.arange(n) % 3] += 0.7
    posteriors = np.column_stack([1 - score, score[:, None] * among])
    return PredictedImages(table, score, features, posteriors, ("dud", *FLAVORS))


def make_lens_pack(folder: Path, *, n_fields: int = 40, size_px: int = 20) -> Path:
    """A small Space Warps catalogue, its cutouts and their pack; lenses are brighter, which a net can learn."""
    rng = np.random.default_rng(1)
    rows, images = [], folder / "cutouts_good"
    images.mkdir(parents=True)
    for field in range(n_fields):
        kind = ("sim", "dud", "test")[field % 3]
        stage = 2 if kind == "test" else 1 + (field // 3) % 2
        for number in range(2):
            name = f"{2 * field + number}_ASW{field:07d}.png"
            shows = kind == "sim" and number == 0
            pixels = rng.integers(0, 90 + 120 * shows, size=(size_px, size_px, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(images / name)
            rows.append(
                {
                    "ZooID": f"ASW{field:07d}",
                    "category": "test" if kind == "test" else "training",
                    "kind": kind,
                    "flavor": {"sim": FLAVORS[(field // 3) % 3]}.get(kind, kind),
                    "truth": {"sim": "LENS", "dud": "NOT", "test": "UNKNOWN"}[kind],
                    "stage": stage,
                    "alpha": int(shows),
                    "cutoutname": name,
                }
            )
    pd.DataFrame(rows).to_csv(folder / "cluster_catalog.csv", index=False)
    lenses = [row["ZooID"] for row in rows if row["alpha"]]
    truth = pd.DataFrame({"ZooID": lenses, "einstein_radius_arcsec": rng.uniform(1, 5, len(lenses))})
    truth.assign(source_r_mag=rng.uniform(20, 25, len(lenses))).to_csv(folder / "truth.csv", index=False)
    write_pack(read_space_warps(folder), Preprocess(crop_px=size_px, size_px=size_px), folder / "lenses.pack")
    return folder / "lenses.pack"


def make_zoo_pack(folder: Path, *, n_galaxies: int = 40, size_px: int = 20) -> Path:
    """A small Galaxy Challenge, whose votes obey the tree, and its pack."""
    rng = np.random.default_rng(2)
    images = folder / "images_training_rev1"
    images.mkdir(parents=True)
    ids = 100_000 + np.arange(n_galaxies)
    votes = np.zeros((n_galaxies, len(VOTE_COLUMNS)))
    for number in KAGGLE.order:
        parents = KAGGLE.parents[number]
        asked = votes[:, parents[0]] if parents else np.ones(n_galaxies)
        answers = rng.dirichlet(np.ones(len(KAGGLE.questions[number].answers)), size=n_galaxies)
        votes[:, KAGGLE.slices[number]] = asked[:, None] * answers
    for galaxy in ids:
        pixels = rng.integers(0, 256, size=(size_px, size_px, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{galaxy}.jpg")
    table = pd.DataFrame(votes, columns=list(VOTE_COLUMNS))
    table.insert(0, "GalaxyID", ids)
    table.to_csv(folder / "training_solutions_rev1.csv", index=False)
    write_pack(read_galaxy_zoo(folder), Preprocess(crop_px=size_px, size_px=size_px), folder / "zoo.pack")
    return folder / "zoo.pack"
