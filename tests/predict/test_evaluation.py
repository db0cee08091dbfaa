from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from small_sets import ROUNDING, make_lens_set, make_vote_set, tiny

from convnet_galaxies.data.records import ImageSet, join_sets
from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.confusion import FlavorScores
from convnet_galaxies.measure.scores import LensScores, VoteScores
from convnet_galaxies.predict.evaluation import evaluate, held_out_rows
from convnet_galaxies.predict.evaluation_report import evaluation_report
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.split import read_split
from convnet_galaxies.training.fit import fit


def make(world, run: str, **options) -> Predictor:
    return Predictor(world / run, **{"device": "cpu", "precision": "fp32", **options})


def rename(images: ImageSet, start: int) -> ImageSet:
    """Mirrored as other galaxies or fields."""
    table = images.table.copy()
    if "GalaxyID" in table:
        table["GalaxyID"] += start
        table["id"], table["group"] = table["GalaxyID"].astype(str), "GalaxyID=" + table["GalaxyID"].astype(str)
    else:
        table["ZooID"] = table["ZooID"].str.replace("ASW", f"ASX{start}")
        table["id"] = table["id"].str.replace("ASW", f"ASX{start}")
        table["group"] = "ZooID=" + table["ZooID"]
    return replace(images, table=table, images=images.images[:, :, ::-1])


def test_rmse_is_that_of_the_held_out_galaxies_alone(world, vote_set) -> None:
    predictor = make(world, "zoo")
    result = evaluate(predictor, vote_set)
    held_out = (read_split(world / "zoo" / "split.parquet")["part"] == "test").to_numpy()
    votes = vote_set.table[list(VOTE_COLUMNS)].to_numpy()[held_out]
    answer = predictor.predict(vote_set.images[held_out])["votes"]
    scores = result.scores["votes"]
    assert isinstance(scores, VoteScores)
    assert scores.rmse.value == pytest.approx(np.sqrt(np.mean((answer - votes) ** 2)), rel=1e-5)
    assert (result.images, result.refused) == (
        held_out.sum(),
        (read_split(world / "zoo" / "split.parquet")["part"] == "train").sum(),
    )


def test_lens_scores_agree_with_scikit_learn_on_the_same_images(world, lens_set) -> None:
    predictor = make(world, "both", views=8)
    others = rename(lens_set, 1)
    result = evaluate(predictor, others)
    known = lens_set.table["lens"].notna().to_numpy()
    truth = lens_set.table["lens"].to_numpy()[known] == 1
    probability = predictor.predict(others.images[known])["lens"]
    scores = result.scores["lens"]
    assert isinstance(scores, LensScores)
    assert (result.images, result.refused, result.views) == (known.sum(), 0, 8)
    assert scores.overall["auroc"].value == pytest.approx(roc_auc_score(truth, probability), abs=1e-6)
    assert scores.overall["log_loss"].value == pytest.approx(log_loss(truth, probability), rel=1e-5)
    assert set(scores.by_stage) == {"1", "2"}
    assert set(scores.by_flavor) == {"lensed galaxy", "lensed quasar"}


def test_flavors_are_confused_as_counted_by_hand(world, lens_set) -> None:
    predictor = make(world, "both")
    others = rename(lens_set, 1)
    result = evaluate(predictor, others)
    scores = result.scores["flavor"]
    assert isinstance(scores, FlavorScores)
    known = lens_set.table["flavor_label"].notna().to_numpy()
    names = np.array(predictor.classes["flavor"])
    picked = names[predictor.predict(others.images[known])["flavor"].argmax(1)]
    truth = lens_set.table["flavor_label"].to_numpy()[known]
    assert scores.accuracy.value == pytest.approx((picked == truth).mean())
    expected = [[int(((truth == one) & (picked == other)).sum()) for other in names] for one in names]
    assert [list(row) for row in scores.counts] == expected


def test_an_evaluation_keeps_what_its_scores_rest_on(world, lens_set) -> None:
    predictor, others = make(world, "both"), rename(lens_set, 1)
    result = evaluate(predictor, others, part="heldout", stage=2)
    for task, column in (("lens", "lens"), ("flavor", "flavor_label")):
        one = result.tasks[task]
        expected = ((others.table["stage"] == 2) & others.table[column].notna()).to_numpy()
        np.testing.assert_array_equal(one.rows, np.flatnonzero(expected))
        assert one.table["id"].tolist() == others.table["id"][expected].tolist()
        np.testing.assert_allclose(one.answer, predictor.predict(others.images[expected])[task], atol=ROUNDING)
    np.testing.assert_array_equal(result.tasks["lens"].values, others.table["lens"][result.tasks["lens"].rows])
    assert result.figures()["scores"] == result.scores


def test_a_task_that_cannot_be_measured_is_told_and_one_alone_is_refused(world, lens_set) -> None:
    others = rename(lens_set, 1)
    same = replace(others, table=others.table.assign(lens=0.0))
    result = evaluate(make(world, "both"), same)
    assert list(result.scores) == ["flavor"]
    assert "expected lenses and non-lenses" in result.figures()["faults"]["lens"]
    assert "not scored: scores: found 0 lenses among 96 images" in evaluation_report(result).text()
    with pytest.raises(InputError, match="expected lenses and non-lenses"):
        evaluate(make(world, "lens"), same)


def test_trained_images_of_the_run_and_of_its_ancestor_are_refused(world, vote_set, lens_set) -> None:
    rows, refused = held_out_rows(lens_set, world / "lens", "test")
    split = read_split(world / "lens" / "split.parquet")
    own = split[split["origin"] == "this run"].reset_index(drop=True)
    used = own[(own["part"] == "train") & own["used"]]
    fields = set(lens_set.table.iloc[used.index]["ZooID"])
    assert not set(lens_set.table.iloc[rows]["ZooID"]) & fields
    assert refused == lens_set.table["ZooID"].isin(fields).sum()
    # The lens run never saw the galaxies, but its ancestor did.
    zoo = read_split(world / "zoo" / "split.parquet")
    rows, refused = held_out_rows(vote_set, world / "lens", "test")
    assert set(vote_set.table["id"].iloc[rows]) == set(zoo["id"][zoo["part"] == "test"])
    assert refused == (zoo["part"] == "train").sum()


def test_an_image_file_under_another_field_is_refused_as_well(world, tmp_path) -> None:
    images = make_lens_set(48)
    table = images.table.assign(image_file=[f"{row // 2}.png" for row in range(48)])
    images = replace(images, table=table, link_columns=("ZooID", "image_file"))
    fit(images, tiny("train.epochs=1"), tmp_path / "run", tasks=("lens",))
    elsewhere = rename(images, 7)
    _, refused_before = held_out_rows(images, tmp_path / "run", "heldout")
    _, refused = held_out_rows(elsewhere, tmp_path / "run", "heldout")
    assert refused == refused_before > 0


def test_galaxies_trained_on_in_a_joined_set_are_refused_alone(tmp_path) -> None:
    zoo, lenses = make_vote_set(40), make_lens_set(40)
    fit(join_sets([zoo, lenses]), tiny("train.epochs=1"), tmp_path / "run", tasks=("votes", "lens"))
    split = read_split(tmp_path / "run" / "split.parquet").iloc[:40]
    _, refused = held_out_rows(zoo, tmp_path / "run", "test")
    assert refused == (split["part"] == "train").sum() > 0


def test_parts_do_not_overlap_and_make_up_what_is_held_out(world, vote_set) -> None:
    test, validation, both = (
        set(held_out_rows(vote_set, world / "zoo", part)[0]) for part in ("test", "validation", "heldout")
    )
    assert test | validation == both
    assert not test & validation
    assert test
    assert validation


def test_nothing_held_out_is_one_message(world, vote_set) -> None:
    split = read_split(world / "zoo" / "split.parquet")
    trained = vote_set.select((split["part"] == "train").to_numpy())
    with pytest.raises(InputError, match=r"was trained on 77 of these 77 images and 0 are held out") as refused:
        evaluate(make(world, "zoo"), trained)
    assert refused.value.fix == "give a pack of other images"  # no part of which holds any
    tested = vote_set.select((split["part"] == "test").to_numpy())
    with pytest.raises(InputError, match="none of them in the part 'validation'") as refused:
        evaluate(make(world, "zoo"), tested, part="validation")
    assert "--part heldout" in refused.value.fix


def test_a_pack_without_the_runs_labels_or_without_known_ones_is_refused(world, vote_set, lens_set) -> None:
    with pytest.raises(InputError, match=r"the pack has no labels for the predictions of .* \(votes\)"):
        evaluate(make(world, "zoo"), lens_set)
    unknown = replace(lens_set, table=lens_set.table.assign(lens=np.nan))
    with pytest.raises(InputError, match="held-out images has a known label"):
        evaluate(make(world, "lens"), unknown)


def test_a_task_whose_labels_are_all_unknown_is_passed_over(world, lens_set) -> None:
    table = rename(lens_set, 1).table
    table["flavor_label"] = None
    result = evaluate(make(world, "both"), replace(lens_set, table=table))
    assert list(result.scores) == ["lens"]


def test_a_pack_of_another_size_is_refused_before_it_is_scored(world, vote_set) -> None:
    other = replace(vote_set, preprocess=vote_set.preprocess.model_copy(update={"crop_px": 20}))
    with pytest.raises(InputError, match="crop_px 20 instead of None"):
        evaluate(make(world, "zoo"), other)


def test_stage_chooses_images_of_that_stage(world, lens_set) -> None:
    others = rename(lens_set, 1)
    result = evaluate(make(world, "both"), others, stage=2)
    expected = (lens_set.table["stage"] == 2) & lens_set.table["lens"].notna()
    assert result.images == expected.sum()
    with pytest.raises(InputError, match="--stage 3: found only stages 1, 2"):
        evaluate(make(world, "both"), others, stage=3)


def test_table_shows_every_figure_with_its_interval(world, vote_set, lens_set) -> None:
    text = evaluation_report(evaluate(make(world, "zoo"), vote_set), by=("question",)).text()
    assert text.splitlines()[0].endswith("held-out images (test), 1 view")
    assert "77 images refused" in text
    assert text.count(" to ") >= 12
    result = evaluate(make(world, "both"), rename(lens_set, 1))
    text = evaluation_report(result, by=("flavor", "stage")).text()
    for name in (
        "AUROC",
        "TPR10",
        "accuracy of always no",
        "By flavor of the lens",
        "lensed quasar",
        "stage 2",
        "true flavor (rows) and predicted flavor (columns)",
    ):
        assert name in text
