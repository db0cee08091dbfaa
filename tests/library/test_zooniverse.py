"""Exports of Zooniverse from a notebook: the same tables as the commands write."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import convnet_galaxies as cg
from convnet_galaxies.simulate.zooniverse import simulate_export


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zooniverse") / "crowd"
    simulate_export(folder, subjects=80, looks=6, volunteers=40, seed=1)
    return folder


def test_an_export_gives_votes_clicks_and_a_weighed_crowd(crowd: Path) -> None:
    export = cg.read_zooniverse(
        crowd / "classifications.csv.gz",
        workflow_table=crowd / "workflows.csv",
        workflow="5678",
        versions=("12",),
        id_name="id",
    )
    truth = pd.read_csv(crowd / "sealed/votes.csv")
    pd.testing.assert_frame_equal(export.votes()[list(truth)], truth)
    assert set(export.clicks()) == {"ZooID", "volunteer", "x", "y", "frame", "tool"}
    weighed = export.weigh(crowd / "truth.csv", question="T0", prior=0.05)
    assert weighed.offline.prior == 0.05
    assert weighed.subjects["crowd_probability"].between(0, 1).all()
    assert repr(export).startswith(f"{export.classifications.read:,} classifications read")
    assert "AUROC" not in repr(export)
    assert any("dependence of answers" in text for text in weighed.summary())


def test_mistakes_are_input_errors(crowd: Path, tmp_path: Path) -> None:
    with pytest.raises(cg.InputError, match="several workflows"):
        cg.read_zooniverse(crowd / "classifications.csv.gz")
    (tmp_path / "key.csv").write_text("id,source_id\nx,y\n")
    with pytest.raises(cg.InputError, match="key: found none of the subjects"):
        cg.read_zooniverse(crowd / "classifications.csv.gz", workflow="5678", key=tmp_path / "key.csv")
