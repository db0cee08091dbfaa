from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from small_sets import TINY_OPTIONS as TINY

from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.split import read_split


def test_crossval_predicts_every_labelled_image_once_by_the_net_that_never_saw_its_group(run, world, tmp_path) -> None:
    call = ("crossval", world / "lens.pack", "--task", "lens", "--folds", 2, *TINY, "-o", tmp_path / "folds")
    result = run(*call, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    images = read_pack(world / "lens.pack")
    labelled = images.select(images.table["lens"].notna().to_numpy())
    table = pd.read_csv(tmp_path / "folds" / "predictions.csv")
    assert table["id"].tolist() == labelled.table["id"].tolist()
    assert (found["folds"], found["images"]) == (2, len(labelled))
    assert labelled.table["group"].groupby(labelled.table["group"]).size().max() > 1
    for number in range(2):
        own = (table["fold"] == number).to_numpy()
        folder = tmp_path / "folds" / f"fold{number}"
        groups = labelled.table["group"].to_numpy()
        assert not set(groups[own]) & set(groups[~own])
        split = read_split(folder / "split.parquet")
        assert set(split["id"][split["used"] & (split["part"] != "test")]) == set(table["id"][~own])
        probability = Predictor(folder, device="cpu", views=8).predict(labelled.images[own])["lens"]
        np.testing.assert_allclose(table["lens_probability"][own], probability, rtol=1e-5)
    auroc = roc_auc_score(labelled.table["lens"], table["lens_probability"])
    assert found["scores"]["lens"]["overall"]["auroc"]["value"] == pytest.approx(auroc, abs=1e-6)
    of_folds = [(labelled.table["lens"][fold], table["lens_probability"][fold]) for fold in by_fold(table)]
    pairs = [lens.sum() * (1 - lens).sum() for lens, _ in of_folds]
    within = np.average([roc_auc_score(*one) for one in of_folds], weights=pairs)
    assert found["within_folds"]["value"] == pytest.approx(within, abs=1e-6)

    # A fold that is missing is trained again to the same; another number of folds is not mixed with these.
    before = (tmp_path / "folds" / "predictions.csv").read_bytes()
    shutil.rmtree(tmp_path / "folds" / "fold1")
    again = run(*call)
    assert again.code == 0, again.err
    assert f"{len(labelled)} images in 2 folds" in again.out
    assert f"AUROC within folds {within:.4f} (" in again.out
    assert (tmp_path / "folds" / "predictions.csv").read_bytes() == before
    other = run(*(3 if word == 2 else word for word in call))
    assert other.code == 2
    assert "holds a cross-validation of another plan" in other.err
    assert "--force" in other.err
    assert (tmp_path / "folds" / "predictions.csv").read_bytes() == before


def by_fold(table: pd.DataFrame) -> list[np.ndarray]:
    return [(table["fold"] == number).to_numpy() for number in sorted(table["fold"].unique())]
