"""Tables about finding lenses: conformal sets and completeness by flavor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up_results import draw_scores

from convnet_galaxies.blocks import Table, Text
from convnet_galaxies.measure.selection import expect_survey
from convnet_galaxies.predict.evaluation import ScoredTask
from convnet_galaxies.show.lens_tables import conformal_table, survey_flavor_table


def percent(text: str) -> float:
    return float(text.removesuffix(" %"))


def test_conformal_sets_contain_the_truth_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(2000) % 4 == 0
    table = conformal_table("net", truth, draw_scores(truth, 2.0, rng), np.arange(2000), seed=0)
    assert isinstance(table, Table)
    assert "90 % of the images of each class" in table.title
    for row in table.rows:
        sure_lens, sure_other, undecided, covered = (percent(cell) for cell in row[2:])
        # Calibrated on 250 lenses: the share varies by sqrt(0.9 x 0.1 x (1/250 + 1/250)) = 2.7 %; four of these.
        assert covered == pytest.approx(90, abs=11)
        assert sure_lens + sure_other + undecided <= 100.1
        assert undecided > 0
        assert covered == pytest.approx(undecided + (sure_lens if row[0] == "lenses" else sure_other), abs=0.11)
    assert sum(int(row[1].replace(",", "")) for row in table.rows) == 1000


def test_scores_that_separate_leave_nothing_undecided_and_few_images_give_the_reason() -> None:
    truth = np.arange(400) % 2 == 0
    table = conformal_table("net", truth, np.where(truth, 0.99, 0.01), np.arange(400), seed=0)
    assert isinstance(table, Table)
    assert [row[2:] for row in table.rows] == [
        ("100.0 %", "0.0 %", "0.0 %", "100.0 %"),
        ("0.0 %", "100.0 %", "0.0 %", "100.0 %"),
    ]
    few = conformal_table("net", truth[:6], np.where(truth[:6], 0.9, 0.1), np.arange(6), seed=0)
    assert isinstance(few, Text)
    assert few.text.startswith("Conformal sets are not made: ")


def test_completeness_by_flavor_needs_the_flavor_of_every_lens() -> None:
    lens = np.arange(80) % 2 == 0
    probability = np.where(lens, 0.9, 0.1)
    probability[lens] = np.where(np.arange(40) < 20, 0.9, 0.5)
    flavor = np.where(lens, "faint", "dud").astype(object)
    flavor[np.flatnonzero(lens)[:20]] = "bright"
    table = pd.DataFrame({"group": np.arange(80), "flavor": flavor})
    curve = expect_survey(lens, probability, np.arange(80), seed=0, n_resamples=50)
    pixels = np.zeros((80, 1, 1, 3), np.uint8)
    scored = ScoredTask("lens", "test", pixels, np.arange(80), table, lens.astype(float), probability, (), None)
    found = survey_flavor_table("net", scored, curve)
    assert found is not None
    assert found.columns == ("over all", "bright", "faint")
    shares = {row[0]: [float(cell.split()[0]) for cell in row[1:]] for row in found.rows}
    assert shares["20 %"] == [1, 0]  # the cut for a fifth keeps the bright half
    assert shares["90 %"] == [1, 1]
    table.loc[np.flatnonzero(lens)[3], "flavor"] = None
    assert survey_flavor_table("net", scored, curve) is None
    scored = ScoredTask(
        "lens", "test", pixels, np.arange(80), table[["group"]], lens.astype(float), probability, (), None
    )
    assert survey_flavor_table("net", scored, curve) is None
