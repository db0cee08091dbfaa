from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_sets import ROUNDING

from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_file
from convnet_galaxies.predict.submission import submit


@pytest.fixture(scope="module")
def zoo(world) -> Predictor:
    return Predictor(world / "zoo", device="cpu", precision="fp32", batch=16)


def write_sample(path: Path, ids: list[int]) -> Path:
    table = pd.DataFrame(np.zeros((len(ids), 37)), columns=list(VOTE_COLUMNS))
    table.insert(0, "GalaxyID", ids)
    table.to_csv(path, index=False)
    return path


def test_submission_has_kaggles_header_and_ascending_ids_and_the_predicted_votes(zoo, world, tmp_path) -> None:
    assert submit(zoo, world / "images", tmp_path / "s.csv") == 37
    table = pd.read_csv(tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().splitlines()[0] == ",".join(["GalaxyID", *VOTE_COLUMNS])
    assert table["GalaxyID"].tolist() == list(range(100_000, 100_037))
    predict_file(zoo, world / "images.pack", tmp_path / "votes.csv")
    np.testing.assert_allclose(table.iloc[:, 1:], pd.read_csv(tmp_path / "votes.csv").iloc[:, 1:], atol=ROUNDING)


def test_samples_order_is_kept(zoo, world, tmp_path) -> None:
    order = list(np.random.default_rng(0).permutation(np.arange(100_000, 100_037)))
    sample = write_sample(tmp_path / "sample.csv", order)
    submit(zoo, world / "images", tmp_path / "s.csv", sample=sample)
    assert pd.read_csv(tmp_path / "s.csv")["GalaxyID"].tolist() == order


def test_a_sample_of_other_galaxies_is_refused_and_nothing_written(zoo, world, tmp_path) -> None:
    sample = write_sample(tmp_path / "sample.csv", [*range(100_000, 100_036), 999])
    with pytest.raises(InputError, match=r"found 1 of them without a prediction \(999\) and 1 predictions"):
        submit(zoo, world / "images", tmp_path / "s.csv", sample=sample)
    assert not (tmp_path / "s.csv").exists()


def test_faults_are_told_before_any_prediction(zoo, world, tmp_path) -> None:
    nowhere = tmp_path / "nowhere"
    (tmp_path / "old.csv").write_text("mine")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(OutputExistsError, match="already exists"):
        submit(zoo, nowhere, tmp_path / "old.csv")
    with pytest.raises(InputError, match=r"expected \.csv, which Kaggle takes"):
        submit(zoo, nowhere, tmp_path / "s.parquet")
    with pytest.raises(InputError, match=r"bad\.csv, header: found no GalaxyID"):
        submit(zoo, nowhere, tmp_path / "s.csv", sample=tmp_path / "bad.csv")
    with pytest.raises(InputError, match="the run predicts lens, expected votes"):
        submit(Predictor(world / "lens", device="cpu"), nowhere, tmp_path / "s.csv")


def test_images_that_are_no_galaxies_are_refused(zoo, world, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "m31.png").write_bytes((world / "images" / "100001.png").read_bytes())
    with pytest.raises(InputError, match="column GalaxyID: found 'm31', expected a number"):
        submit(zoo, tmp_path / "in", tmp_path / "s.csv")
