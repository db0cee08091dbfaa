from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up_results import FLAVORS, draw_scores, few_resamples, make_scored

from convnet_galaxies.data.output import as_plain
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.graded_sample import GradedImages, estimate_number
from convnet_galaxies.measure.top_ranked import TopRanked
from convnet_galaxies.study.grading_plan import GradedEstimate
from convnet_galaxies.study.known_images import choose_known
from convnet_galaxies.study.unknown import PredictedImages, UnknownResult, answer_unknown
from convnet_galaxies.study.unknown_report import unknown_report
from convnet_galaxies.study.unknown_run import rank_images

N_LENSES = 30


@pytest.fixture(scope="module")
def answered() -> tuple[UnknownResult, TopRanked, PredictedImages]:
    rng = np.random.default_rng(11)
    known = make_scored(60, 340, rng, prefix="k", with_flavors=True)
    unknown = make_scored(N_LENSES, 570, rng, prefix="u", with_flavors=True)
    return *answer_unknown(known, unknown, seed=0), unknown


def test_the_intervals_hold_the_number_of_lenses(answered: tuple[UnknownResult, TopRanked, PredictedImages]) -> None:
    result, _, _ = answered
    count = result.prevalence.count["lens"]
    assert count.low <= N_LENSES <= count.high
    assert count.high < 3 * N_LENSES
    for method in ("mixture", "emq", "pacc"):
        figure = result.prevalence.by_method[method]["lens"]
        assert figure.low <= N_LENSES / 600 <= figure.high
    assert result.flavors is not None
    assert set(result.flavors.count) == {"dud", *FLAVORS, "any lens"}
    for flavor in FLAVORS:
        assert result.flavors.count[flavor].low <= N_LENSES / 3 <= result.flavors.count[flavor].high


def test_images_of_one_kind_are_not_told_apart_and_the_range_holds_the_estimate(
    answered: tuple[UnknownResult, TopRanked, PredictedImages],
) -> None:
    result, _, _ = answered
    assert result.trust.verdict != "differ"
    assert result.bounds.low <= N_LENSES / 600 <= result.bounds.high


def test_expected_purity_is_what_is_found(answered: tuple[UnknownResult, TopRanked, PredictedImages]) -> None:
    _, top, unknown = answered
    lens = unknown.table["lens"].to_numpy()[top.order]
    for k in (5, 20, 50, 200):
        assert top.purity_low[k - 1] <= lens[:k].mean() <= top.purity_high[k - 1]


def test_the_ranked_list_is_best_first_and_whole(answered: tuple[UnknownResult, TopRanked, PredictedImages]) -> None:
    _, top, unknown = answered
    ranked = rank_images(unknown, top, None)
    assert sorted(ranked["id"]) == sorted(unknown.table["id"])
    assert (np.diff(ranked["lens_probability"]) <= 0).all()
    assert ranked["rank"].tolist() == list(range(1, 601))
    assert ((ranked["purity_low"] <= ranked["purity"]) & (ranked["purity"] <= ranked["purity_high"])).all()
    assert ranked["completeness"].iloc[-1] == pytest.approx(1)
    assert set(ranked["flavor"]) <= set(FLAVORS)
    assert (ranked["purity_shifted_low"] <= ranked["purity_low"]).all()
    assert (ranked["completeness_shifted_high"] >= ranked["completeness_high"]).all()


def test_the_answer_has_no_null_but_what_was_not_asked(
    answered: tuple[UnknownResult, TopRanked, PredictedImages],
) -> None:
    result, _, _ = answered
    text = json.dumps(as_plain(result) | {"human_comparison": "", "graded": ""})
    assert "null" not in re.sub('"(warning|candidates|seen|seen_factor)": null', "", text)
    assert result.sentence in unknown_report(result).text()


def test_few_labelled_lenses_give_a_wide_interval_with_a_warning() -> None:
    rng = np.random.default_rng(2)
    known, unknown = make_scored(3, 60, rng, prefix="k"), make_scored(10, 190, rng, prefix="u")
    with few_resamples():
        result, _ = answer_unknown(known, unknown, seed=0)
    fraction = result.prevalence.fraction["lens"]
    assert fraction.warning == "only 3 labelled groups of class lens: the interval is rough"
    assert fraction.low <= 0.05 <= fraction.high
    assert "only 3 labelled groups of class lens" in unknown_report(result).text()


def test_unknown_lenses_that_look_otherwise_are_flagged() -> None:
    rng = np.random.default_rng(7)
    known, unknown = make_scored(60, 340, rng, prefix="k"), make_scored(30, 370, rng, prefix="u")
    features = unknown.features.copy()
    features[:, 1] += 2
    shifted = PredictedImages(unknown.table, unknown.lens, features)
    with few_resamples():
        result, _ = answer_unknown(known, shifted, seed=0)
    assert result.trust.verdict == "differ"
    assert "the assumption behind the estimated number does not hold" in unknown_report(result).text()
    assert "There are 0 to " in result.sentence


def test_the_first_sentence_claims_no_more_than_the_weakest_test(
    answered: tuple[UnknownResult, TopRanked, PredictedImages],
) -> None:
    result, _, _ = answered
    result = replace(result, trust=replace(result.trust, everything=replace(result.trust.everything, verdict="alike")))
    count, shift, high = result.prevalence.count["lens"], result.shifted, result.bounds.high
    assert shift is not None
    assert shift.low <= count.low <= N_LENSES <= count.high <= shift.high
    sentences = {
        verdict: replace(result, trust=replace(result.trust, candidates=None, verdict=verdict)).sentence
        for verdict in ("alike", "cannot be checked", "differ")
    }
    assert sentences["alike"].startswith(f"There are about {count.value:,.0f} lenses")
    start = f"There are {shift.low:,.0f} to {shift.high:,.0f} lenses"
    assert sentences["cannot be checked"].startswith(start)
    assert "which cannot be checked well enough" in sentences["cannot be checked"]
    assert sentences["differ"].startswith(start), "the scores alone differ, which a shift may explain"
    assert "but they do not" in sentences["differ"]
    doubted = replace(result, shifted=replace(shift, warning="no common shift explains the scores"))
    assert "Caution: no common shift explains the scores." in doubted.sentence
    for verdict in ("differ a little", "differ"):
        everything = replace(result.trust.everything, verdict=verdict)
        other = replace(result, trust=replace(result.trust, verdict=verdict, everything=everything))
        assert other.leading_shift is None
        assert other.sentence.startswith(f"There are 0 to {600 * high:,.0f} lenses")
        assert "but they are not" in other.sentence
    before = replace(result, shifted=None, trust=replace(result.trust, verdict="cannot be checked"))
    assert before.sentence.startswith(f"There are {600 * result.bounds.low:,.0f} to {600 * high:,.0f} lenses")


def test_the_range_of_the_purity_leads_where_that_of_the_number_does(
    answered: tuple[UnknownResult, TopRanked, PredictedImages],
) -> None:
    result, top, unknown = answered
    result = replace(result, trust=replace(result.trust, everything=replace(result.trust.everything, verdict="alike")))
    found = np.cumsum(unknown.table["lens"].to_numpy()[top.order])
    assert [one.k for one in result.shifted_top] == [one.k for one in result.top]
    for shifted, plain in zip(result.shifted_top, result.top, strict=True):
        k, (low, high), (least, most) = shifted.k, shifted.purity, shifted.completeness
        assert low <= found[k - 1] / k <= high
        assert least <= found[k - 1] / N_LENSES <= most
        assert low <= plain.purity.low <= plain.purity.high <= high
    assert any(one.purity[0] < two.purity.low - 0.01 for one, two in zip(result.shifted_top, result.top, strict=True))

    pages = {}
    for verdict in ("alike", "cannot be checked"):
        judged = replace(result, trust=replace(result.trust, candidates=None, verdict=verdict))
        pages[verdict] = unknown_report(judged)
    shift = result.shifted
    assert shift is not None
    first = pages["cannot be checked"].cards[0]
    assert (first.label, first.value) == ("lenses, if they may score lower", f"{shift.low:,.0f} to {shift.high:,.0f}")
    assert first.detail == f"{shift.low / 6:.3g} to {shift.high / 6:.3g} % of 600"
    assert "no difference found" in pages["alike"].text()
    at = next(one for one in result.shifted_top if one.k == 50)
    low, high = at.purity
    card = pages["cannot be checked"].cards[-1]
    assert (card.label, card.value) == ("purity of the top 50", f"{100 * low:.0f} to {100 * high:.0f} %")
    plain = next(one for one in result.top if one.k == 50).purity
    assert card.detail == f"{100 * plain.low:.0f} to {100 * plain.high:.0f} % if alike"
    text = pages["cannot be checked"].text()
    assert re.search(
        rf"{low:.3f} to {high:.3f}.*{result.top[5].purity:.3f}".replace("(", r"\(").replace(")", r"\)"), text
    )
    assert "purity, scores lower" not in pages["alike"].text()
    doubted = replace(judged, shifted=replace(result.shifted, warning="no common shift explains the scores"))
    assert unknown_report(doubted).text().count("Caution: no common shift explains the scores.") == 3
    before = unknown_report(replace(judged, shifted_top=())).text()
    assert "These estimates hold only if unlabelled and labelled images look alike." in before


def test_graded_images_lead_whatever_the_verdict(answered: tuple[UnknownResult, TopRanked, PredictedImages]) -> None:
    result, top, unknown = answered
    rank = np.empty(600, int)
    rank[top.order] = np.arange(1, 601)
    truth = unknown.table["lens"].to_numpy() == 1
    number = estimate_number(GradedImages(np.zeros(600, int), np.ones(600, bool), truth))
    graded = GradedEstimate(600, 600, int(truth.sum()), number, ())
    page = unknown_report(replace(result, graded=graded, trust=replace(result.trust, verdict="differ")))
    assert page.lead[0].startswith(f"There are about {N_LENSES} lenses among the 600")
    assert "This estimate does not depend on the network." in page.lead[0]
    assert page.cards[0].label == "lenses, from grades"


def test_no_unknown_image_and_impossible_assumptions_are_refused() -> None:
    rng = np.random.default_rng(0)
    known, unknown = make_scored(20, 80, rng, prefix="k"), make_scored(20, 80, rng, prefix="u")
    nothing = PredictedImages(unknown.table[:0], unknown.lens[:0], unknown.features[:0])
    with pytest.raises(InputError, match="unknown images: found none"):
        answer_unknown(known, nothing, seed=0)
    refused = "found completeness ratios 0 to 1, expected 0 < least <= most"
    with few_resamples(), pytest.raises(UsageError, match=refused):
        answer_unknown(known, unknown, seed=0, completeness_ratio=(0.0, 1.0))


def make_set(stage: np.ndarray, lens: np.ndarray) -> ImageSet:
    n = len(lens)
    ids = [str(k) for k in range(n)]
    table = pd.DataFrame({"id": ids, "group": ids, "lens": lens, "stage": stage})
    return ImageSet(np.zeros((n, 1, 1, 3), np.uint8), table, Preprocess(size_px=16))


def test_known_images_are_of_the_stage_of_the_unknown_ones_when_they_are_enough() -> None:
    stage = np.repeat([1.0, 2.0], 60)
    lens = np.tile([1.0, 0.0, np.nan], 40)
    unknown = pd.DataFrame({"id": ["u"], "stage": [2.0]})
    rows, remarks = choose_known(make_set(stage, lens), np.arange(120), unknown)
    assert set(stage[rows]) == {2.0}
    assert np.isfinite(lens[rows]).all()
    assert not remarks
    rows, remarks = choose_known(make_set(stage, lens), np.arange(0, 80), unknown)
    assert set(stage[rows]) == {1.0, 2.0}
    assert remarks[0].startswith("Fewer than 10 groups of held-out lenses or others are of stage 2")
    rows, _ = choose_known(make_set(stage, lens), np.arange(120), unknown, stage=1)
    assert set(stage[rows]) == {1.0}


def test_known_images_of_one_kind_are_refused() -> None:
    stage, unknown = np.ones(30), pd.DataFrame({"id": ["u"]})
    with pytest.raises(InputError, match="found 0 lenses among 30 held-out images"):
        choose_known(make_set(stage, np.zeros(30)), np.arange(30), unknown)
    labelled = make_set(stage, np.zeros(30))
    blank = replace(labelled, table=labelled.table.drop(columns="lens"))
    with pytest.raises(InputError, match="found a pack without labels"):
        choose_known(blank, np.arange(30), unknown)


def test_a_stage_that_the_known_images_do_not_have_is_refused() -> None:
    unknown = pd.DataFrame({"id": ["u"]})
    images = make_set(np.ones(30), np.tile([0.0, 1.0], 15))
    with pytest.raises(InputError, match="--stage 3: found only stages 1"):
        choose_known(images, np.arange(30), unknown, stage=3)
    stageless = replace(images, table=images.table.drop(columns="stage"))
    with pytest.raises(InputError, match="the pack has no column 'stage'"):
        choose_known(stageless, np.arange(30), unknown, stage=1)


def test_scores_that_separate_completely_still_have_an_interval() -> None:
    rng = np.random.default_rng(1)
    known, unknown = make_scored(15, 85, rng, prefix="k"), make_scored(5, 95, rng, prefix="u")
    sure = [
        PredictedImages(one.table, draw_scores(one.table["lens"] == 1, 40.0, rng), one.features)
        for one in (known, unknown)
    ]
    with few_resamples():
        result, _ = answer_unknown(*sure, seed=0)
    fraction = result.prevalence.fraction["lens"]
    assert fraction.low < 0.05 < fraction.high
