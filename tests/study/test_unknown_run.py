"""Predictions, ranks and files of the command `unknown`, by themselves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up_results import make_scored

from convnet_galaxies.data.human_grades import HumanGrades
from convnet_galaxies.data.output import as_plain, write_json
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.confusion import NO_LENS
from convnet_galaxies.measure.top_ranked import TopRanked
from convnet_galaxies.study.unknown import PredictedImages, UnknownResult, answer_unknown
from convnet_galaxies.study.unknown_run import RESULT, predict_scored, rank_images, read_unknown


@pytest.fixture(scope="module")
def answered() -> tuple[UnknownResult, TopRanked, PredictedImages]:
    rng = np.random.default_rng(12)
    known, unknown = make_scored(40, 200, rng, prefix="k"), make_scored(10, 90, rng, prefix="u")
    return *answer_unknown(known, unknown, seed=0), unknown


class Stub:
    """A predictor of given probabilities, by task."""

    def __init__(self, classes: dict[str, tuple[str, ...]], tasks: dict[str, np.ndarray]) -> None:
        self.classes, self.tasks = classes, tasks

    def predict_set(self, images: ImageSet, rows: np.ndarray) -> SimpleNamespace:
        tasks = {name: values[rows] for name, values in self.tasks.items()}
        return SimpleNamespace(tasks=tasks, features=np.zeros((len(rows), 2), np.float32))


IMAGES = ImageSet(np.zeros((3, 1, 1, 3), np.uint8), pd.DataFrame({"id": list("abc")}), Preprocess(size_px=16))


def predict_with(classes: dict[str, tuple[str, ...]], **tasks: np.ndarray) -> PredictedImages:
    return predict_scored(Stub(classes, tasks), IMAGES, np.array([2, 0]))  # type: ignore[arg-type]


def test_flavors_are_given_with_no_lens_first_and_tell_the_lens_where_no_head_does() -> None:
    flavor = np.array([[1.0, 1.0, 2.0], [0.0, 1.0, 0.0], [0.1, 0.7, 0.2]])
    names = ("arc", NO_LENS, "ring")
    found = predict_with({"flavor": names}, flavor=flavor)
    assert found.flavor_names == (NO_LENS, "arc", "ring")
    assert found.flavor is not None
    np.testing.assert_allclose(found.flavor, [[0.7, 0.1, 0.2], [0.25, 0.25, 0.5]])
    np.testing.assert_allclose(found.lens, [0.3, 0.75])
    assert found.table["id"].tolist() == ["c", "a"]
    both = predict_with({"lens": ("lens",), "flavor": names}, lens=np.array([0.5, 0.6, 0.9]), flavor=flavor)
    np.testing.assert_allclose(both.lens, [0.9, 0.5])
    alone = predict_with({"lens": ("lens",)}, lens=np.array([0.5, 0.6, 0.9]))
    assert (alone.flavor, alone.flavor_names) == (None, ())


def test_a_run_that_tells_no_lens_is_refused() -> None:
    with pytest.raises(InputError, match="the run predicts votes, expected lens or flavor"):
        predict_with({"votes": ("smooth",)})
    with pytest.raises(InputError, match=rf"flavors are arc, ring, expected '{NO_LENS}' among them"):
        predict_with({"flavor": ("arc", "ring")}, flavor=np.full((3, 2), 0.5))


def test_grades_of_people_stand_beside_the_ranks_of_their_images(
    answered: tuple[UnknownResult, TopRanked, PredictedImages],
) -> None:
    _, top, unknown = answered
    ids = unknown.table["id"].iloc[[5, 9]].tolist()
    grades = HumanGrades(np.array(ids), np.array([3.0, np.nan]), np.array([0.25, 0.75]), np.array(ids))
    ranked = rank_images(unknown, top, grades).set_index("id")
    assert ranked.loc[ids[0], "expert_grade"] == 3
    assert np.isnan(ranked.loc[ids[1], "expert_grade"])
    assert ranked.loc[ids, "crowd_probability"].tolist() == [0.25, 0.75]
    assert ranked["crowd_probability"].notna().sum() == 2


def test_a_damaged_result_is_told_with_what_to_do(
    tmp_path: Path, answered: tuple[UnknownResult, TopRanked, PredictedImages]
) -> None:
    write_json(tmp_path / RESULT, answered[0])
    assert as_plain(read_unknown(tmp_path)) == as_plain(answered[0])
    (tmp_path / RESULT).write_text('{"prevalence": 1}')
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=r"unknown\.json: cannot be read") as caught:
            read_unknown(folder)
        assert caught.value.fix == "run `unknown` again"
