from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import draw_scores, make_cutouts, make_study
from sklearn.metrics import roc_auc_score

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.measure.scores import score_lenses
from convnet_galaxies.study.results import (
    StudyResults,
    read_predictions,
    read_results,
    summarize_study,
)
from convnet_galaxies.study.strategies import FORMER_KEYS, STRATEGIES, STUDY_QUESTIONS
from convnet_galaxies.study.strategy_comparisons import Comparison, conclude, phrase_comparison
from convnet_galaxies.study.strategy_scores import ONE_SEED, add_seeds, average_splits, score_seeds, subtract_unpaired
from convnet_galaxies.study.study_report import study_report, write_results


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyResults]:
    cutouts = make_cutouts(200, np.random.default_rng(5))
    folder = make_study(tmp_path_factory.mktemp("made-up") / "study", cutouts)
    return folder, summarize_study(folder, n_resamples=200)


def test_every_question_is_answered_at_every_share_of_the_labels(study: tuple[Path, StudyResults]) -> None:
    _, results = study
    assert {(one.question, one.fraction) for one in results.comparisons} == {
        (question.text, fraction) for question in STUDY_QUESTIONS for fraction in (0.2, 1.0)
    }
    assert {(one.strategy, one.stage) for one in results.strategies} == {
        (strategy.name, stage) for strategy in STRATEGIES for stage in (1, 2) if stage >= strategy.stage
    }


def test_differences_are_the_means_over_seeds_of_those_of_scikit_learn(study: tuple[Path, StudyResults]) -> None:
    folder, results = study
    table = read_predictions(folder)
    comparison = next(
        one for one in results.comparisons if one.question == STUDY_QUESTIONS[0].text and one.fraction == 1.0
    )

    def auroc(strategy: str, seed: int) -> float:
        rows = table[
            (table["strategy"] == strategy) & (table["seed"] == seed) & (table["fraction"] == 1) & (table["stage"] == 1)
        ]
        return float(roc_auc_score(rows["lens"], rows["lens_probability"]))

    wanted = np.mean([auroc("zoo, stage 1", seed) - auroc("scratch, stage 1", seed) for seed in range(3)])
    assert comparison.differences["auroc"].value == pytest.approx(wanted, abs=1e-9)


def test_the_first_line_answers_the_question_at_every_share(study: tuple[Path, StudyResults]) -> None:
    _, results = study
    first = study_report(results).text().splitlines()[0]
    assert first == results.sentence
    assert first.startswith(
        "Starting from the Galaxy Zoo net instead of from scratch, on stage 1 the AUROC changes by +"
    )
    for comparison in results.comparisons:
        if comparison.question == STUDY_QUESTIONS[0].text:
            difference = comparison.differences["auroc"]
            assert f"{difference.value:+.3f} ({difference.low:.3f} to {difference.high:.3f})" in first


def make_answer(fraction: float, value: float, half: float, warning: str | None = None) -> Comparison:
    figure = Estimate("auroc", value, value - half, value + half, 0.95, warning)
    one = STUDY_QUESTIONS[0]
    return Comparison(one.text, one.strategy, one.other, one.stage, fraction, {"auroc": figure}, "")


def test_the_conclusion_says_better_only_where_the_interval_does() -> None:
    comparisons = [
        make_answer(1.0, 0.01, 0.02),
        make_answer(0.2, 0.05, 0.02),
        make_answer(0.05, 0.06, 0.01, "few lenses"),
        make_answer(0.01, -0.05, 0.02),
    ]
    sentence = conclude(comparisons)
    assert sentence.endswith(
        "+0.060 (0.050 to 0.070) at 5 % and -0.050 (-0.070 to -0.030) at 1 % of the labels: "
        "better at 20 %, worse at 1 %, not shown to differ at 100 % and 5 %."
    )
    assert conclude([]) == ""


def test_a_real_gain_is_found_and_equal_arms_differ_by_nothing(study: tuple[Path, StudyResults]) -> None:
    _, results = study
    by_question = {one.question: one for one in results.comparisons if one.fraction == 1.0}
    transfer = by_question["Does transfer help on stage 1?"]
    # Logits 1.5 and 3 apart with unit scatter: AUROC Phi(1.5 / sqrt 2) = 0.856 and Phi(3 / sqrt 2) = 0.983.
    assert transfer.differences["auroc"].low < 0.983 - 0.856 < transfer.differences["auroc"].high
    assert transfer.sentence.endswith("at 100 % of the labels: a gain.")
    alone = by_question["Does transfer help on stage 2 alone?"]
    assert alone.differences["auroc"].low < 0 < alone.differences["auroc"].high
    assert alone.sentence.endswith("no difference is shown.")


def test_the_answer_is_one_sentence() -> None:
    gain = Estimate("auroc", 0.012, 0.003, 0.021)
    assert (
        phrase_comparison(STUDY_QUESTIONS[0], 1.0, gain)
        == "Transfer changes stage-1 AUROC by +0.012 (0.003 to 0.021) at 100 % of the labels: a gain."
    )
    few = Estimate("auroc", 0.2, 0.1, 0.3, warning="only 2 groups of the rarer class: the interval is rough")
    assert phrase_comparison(STUDY_QUESTIONS[4], 0.05, few) == (
        "Fine-tuning on stage 2 (the net from zoo) changes stage-2 AUROC by +0.200 (0.100 to 0.300) at 5 % of the "
        "labels: not settled (only 2 groups of the rarer class: the interval is rough)."
    )


def test_flavors_and_the_leaking_split_are_measured(study: tuple[Path, StudyResults]) -> None:
    folder, results = study
    table = read_predictions(folder)
    rows = table[(table["strategy"] == "flavors") & (table["stage"] == 1)]
    assert results.flavors is not None
    assert results.flavors.names[0] == "dud"
    assert results.flavors.accuracy.value == pytest.approx((rows["flavor_label"] == rows["predicted_flavor"]).mean())
    assert sum(map(sum, results.flavors.counts)) == len(rows)
    assert results.leakage is not None
    assert results.leakage.difference["auroc"].low > 0
    assert results.leakage.difference["log_loss"].high < 0


def test_results_survive_their_file_and_hold_no_null(study: tuple[Path, StudyResults]) -> None:
    folder, results = study
    write_results(folder, results)
    assert read_results(folder) == results
    strategies = json.loads((folder / "results.json").read_text())["strategies"]
    assert all(
        figure["low"] <= figure["value"] <= figure["high"]
        for strategy in strategies
        for figure in strategy["figures"].values()
    )
    assert "Transfer changes stage-1 AUROC by +" in (folder / "results.txt").read_text()


def test_an_unfinished_study_is_refused_and_unequal_images_are_named(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", make_cutouts(30, np.random.default_rng(1)), seeds=2, fractions=(1.0,))
    table = pd.read_parquet(folder / "predictions.parquet")
    one = (table["strategy"] == "zoo, stage 1") & (table["seed"] == 1)
    table[~one | (np.arange(len(table)) % 2 == 0)].to_parquet(folder / "predictions.parquet")
    results = summarize_study(folder, n_resamples=50)
    assert "Does transfer help on stage 1?" not in {comparison.question for comparison in results.comparisons}
    assert any(remark.startswith("zoo, stage 1, stage 1, 100 % of the labels") for remark in results.remarks)
    (folder / "predictions.parquet").unlink()
    with pytest.raises(InputError, match=r"found no predictions.parquet, expected that of a finished study"):
        summarize_study(folder)


def test_few_lenses_leave_a_wide_interval_and_nothing_settled(tmp_path: Path) -> None:
    cutouts = make_cutouts(60, np.random.default_rng(4), lens_share=0.0)
    cutouts.loc[[0, 2], ["lens", "flavor", "flavor_label"]] = [[1.0, "lensed quasar", "lensed quasar"]] * 2
    both = [*cutouts.index[cutouts["stage"] == 1][:3], *cutouts.index[cutouts["stage"] == 2][:3]]
    cutouts.loc[both, "lens"] = 1.0
    results = summarize_study(make_study(tmp_path / "study", cutouts, fractions=(1.0,)), n_resamples=100)
    assert len(results.comparisons) == len(STUDY_QUESTIONS)
    for comparison in results.comparisons:
        difference = comparison.differences["auroc"]
        assert -1 <= difference.low < -0.2
        assert 0.2 < difference.high <= 1
        assert "not settled (only 2 groups of the rarer class" in comparison.sentence


def test_one_seed_gives_the_figures_of_one_net_with_a_warning() -> None:
    rng = np.random.default_rng(2)
    lens, groups = rng.random(300) < 0.3, np.arange(300) // 2
    score = draw_scores(lens, 2.0, rng)
    one, alone = score_seeds(lens, score, groups, seed=4), score_lenses(lens, score, groups, seed=4)
    for name in scores_of("lens"):
        assert (one[name].value, one[name].low, one[name].high) == (
            alone[name].value,
            alone[name].low,
            alone[name].high,
        )
        assert one[name].warning == ONE_SEED


def test_seeds_that_scatter_widen_the_interval() -> None:
    figure = Estimate("auroc", 0.9, 0.87, 0.92)
    # Student's t for 2 degrees of freedom is 4.3027; the standard deviation 0.01, over sqrt 3.
    widened = add_seeds(figure, [0.89, 0.90, 0.91])
    reach = 4.30265 * 0.01 / np.sqrt(3)
    assert widened.low == pytest.approx(0.9 - np.hypot(0.03, reach), abs=1e-5)
    assert widened.high == pytest.approx(0.9 + np.hypot(0.02, reach), abs=1e-5)
    assert add_seeds(Estimate("auroc", 0.99, 0.98, 1.0), [0.95, 1.0, 1.0]).high == 1.0


def test_unpaired_differences_add_their_variances() -> None:
    a, b = Estimate("x", 0.9, 0.87, 0.92), Estimate("x", 0.8, 0.76, 0.83)
    difference = subtract_unpaired("x", a, b)
    assert difference.value == pytest.approx(0.1)
    assert difference.low == pytest.approx(0.1 - np.hypot(0.03, 0.03))
    assert difference.high == pytest.approx(0.1 + np.hypot(0.02, 0.04))
    same = average_splits("x", [a, a, a])
    assert (same.value, same.low, same.high) == pytest.approx((a.value, a.low, a.high))


def test_a_study_with_the_former_names_is_read(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", make_cutouts(30, np.random.default_rng(1)), seeds=2, fractions=(1.0,))
    results = summarize_study(folder, n_resamples=20)
    assert results.leakage is not None
    write_results(folder, results)
    text = (folder / "results.json").read_text()
    for former, key in FORMER_KEYS.items():
        assert f'"{key}": ' in text
        text = text.replace(f'"{key}": ', f'"{former}": ')
    table = pd.read_parquet(folder / "predictions.parquet")
    table.rename(columns={"strategy": "arm"}).to_parquet(folder / "predictions.parquet")
    (folder / "results.json").write_text(text)
    assert read_results(folder) == results
    pd.testing.assert_frame_equal(read_predictions(folder), table)
