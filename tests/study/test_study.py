"""A whole study with tiny nets: every strategy on one split, resumed where it was cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from small_sets import make_lens_set, make_vote_set, tiny

from convnet_galaxies.data.vote_tree import find_votes, note_votes
from convnet_galaxies.decision_tree import dump_tree, read_tree
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.settings import load_settings
from convnet_galaxies.study import grid as module
from convnet_galaxies.study.grid import GridPoint, choose_point, lengthen, list_grid, read_choice
from convnet_galaxies.study.results import summarize_study
from convnet_galaxies.study.strategies import (
    FLAVOR_STRATEGY,
    LEAKING_SPLIT,
    keep_fraction,
    list_questions,
    list_strategies,
    study_parts,
)
from convnet_galaxies.study.study import leave_out_shared, run_study, shuffle_votes
from convnet_galaxies.study.study_plan import StudyPlan, parents_of, study_jobs

SETTINGS = tiny("split.train=0.4", "split.validation=0.1", "split.test=0.5")
PLAN = StudyPlan(
    repetitions=2, fractions=(0.5, 1.0), rates=(0.3, 1.0), zoo_epochs=1, lens_epochs=(1,), fine_epochs=(1,), views=1
)
STRATEGIES = list_strategies(("zoo",), has_stages=True)
REFERENCE_STRATEGY = "scratch, stage 1"
COLUMNS = list(make_lens_set(8).table.columns)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A study that was cut off in its sixth net of the grid and went on; what was trained on cutouts, in order."""
    folder = tmp_path_factory.mktemp("study") / "study"
    zoo, lenses = make_vote_set(40), make_lens_set(160)
    trained: list[str] = []
    fit = module.fit

    def counted(*arguments: object, **options: object) -> object:
        trained.append(str(arguments[2]))
        if len(trained) == 6:
            trained.append("cut off")
            raise KeyboardInterrupt
        return fit(*arguments, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", counted)
        with pytest.raises(KeyboardInterrupt):
            run_study(zoo, lenses, SETTINGS, folder, plan=PLAN, device="cpu")
        run_study(zoo, lenses, SETTINGS, folder, plan=PLAN, device="cpu")
    return folder, trained


def test_a_study_goes_on_where_it_was_cut_off(finished: tuple[Path, list[str]]) -> None:
    folder, trained = finished
    before, after = trained[: trained.index("cut off")], trained[trained.index("cut off") + 1 :]
    assert after[0] == before[-1]
    assert not set(before[:-1]) & set(after)
    jobs = [job for job in study_jobs(PLAN, ("zoo",), COLUMNS) if job.strategy is not None]
    assert {Path(path).parent.relative_to(folder).as_posix() for path in trained if path != "cut off"} == {
        job.folder for job in jobs
    }
    assert all((folder / job.folder / "predictions.parquet").is_file() for job in jobs)


def test_every_strategy_has_the_same_grid_and_takes_the_least_validation_loss(finished: tuple[Path, list[str]]) -> None:
    folder = finished[0]
    for job in study_jobs(PLAN, ("zoo",), COLUMNS):
        if job.strategy is None or job.name in (FLAVOR_STRATEGY, LEAKING_SPLIT):
            continue
        losses = {
            float(run.name.partition("_")[0].removeprefix("rate-")): pd.read_csv(run / "metrics.csv")
            for run in (folder / job.folder).glob("rate-*")
        }
        assert set(losses) == set(PLAN.rates)
        last = {rate: table["validation_loss"].iloc[-1] for rate, table in losses.items()}
        point, run = read_choice(folder / job.folder)
        assert point.rate == min(last, key=last.__getitem__)
        assert RunFolder(run).is_finished
        settings = load_settings(run / "settings.toml")
        base = SETTINGS.train.learning_rate
        if job.strategy.parent is None:
            assert settings.train.learning_rate == pytest.approx(base * point.rate)
        else:
            assert (settings.train.learning_rate, settings.train.backbone_rate) == (base, point.rate)


def test_longer_training_takes_as_many_images_as_parent_and_child(finished: tuple[Path, list[str]]) -> None:
    folder = finished[0]
    epochs = {}
    for job in study_jobs(PLAN, ("zoo",), COLUMNS):
        if job.name in (REFERENCE_STRATEGY, "scratch, compute of both, stage 1") and job.repetition == 0:
            table = pd.read_parquet(folder / job.folder / "predictions.parquet")
            run = read_choice(folder / job.folder)[1]
            settings = load_settings(run / "settings.toml")
            epochs[job.name, job.fraction] = settings.train.epochs, table["labels"].iloc[0]
    for fraction in PLAN.fractions:
        short, labels = epochs[REFERENCE_STRATEGY, fraction]
        longer, _ = epochs["scratch, compute of both, stage 1", fraction]
        of_parent = SETTINGS.split.train * 40 * PLAN.zoo_epochs
        assert (longer - short) * labels == pytest.approx(of_parent, abs=labels / 2)


def test_shuffled_votes_are_the_same_votes_of_other_galaxies() -> None:
    zoo = make_vote_set(40)
    shuffled = shuffle_votes(zoo, 3)
    columns = [name for name in zoo.table if name.startswith("Class")]
    before, after = zoo.table[columns].to_numpy(), shuffled.table[columns].to_numpy()
    assert (before != after).any(axis=1).mean() > 0.9
    assert sorted(map(tuple, before)) == sorted(map(tuple, after))
    assert shuffled.table["id"].equals(zoo.table["id"])
    assert shuffled.images is zoo.images


def test_a_study_starts_from_counts_on_another_tree_and_from_their_shuffled_control(tmp_path: Path) -> None:
    tree, galaxies = read_tree("euclid"), make_vote_set(40)
    rng = np.random.default_rng(0)
    counts = {column: rng.integers(0, 20, len(galaxies)).astype(float) for column in tree.columns}
    table = galaxies.table[["id", "group"]].assign(**counts)
    zoo = replace(galaxies, table=note_votes(table, tree, "counts"), kind="votes", link_columns=())
    shuffled = shuffle_votes(zoo, 3)
    assert find_votes(shuffled.table) == find_votes(zoo.table)
    assert sorted(map(tuple, shuffled.table[list(tree.columns)].to_numpy())) == sorted(
        map(tuple, zoo.table[list(tree.columns)].to_numpy())
    )
    plan = replace(PLAN, repetitions=1, fractions=(1.0,), rates=(1.0,))
    lenses = make_lens_set(160)
    lenses = replace(lenses, table=lenses.table.drop(columns=["stage", "flavor", "flavor_label"]))
    run_study(zoo, lenses, SETTINGS, tmp_path / "study", plan=plan, device="cpu")
    for name in ("zoo", "shuffled-votes"):
        run = tmp_path / "study" / "parents" / name / "repetition-0"
        assert read_card(run).classes == {"counts": dump_tree(tree)}
    # Without stages a strategy has the name of its parent, and was taken for done.
    results = summarize_study(tmp_path / "study", n_resamples=20)
    assert {"zoo", "shuffled votes", "scratch"} <= {one.strategy for one in results.strategies}
    assert len(results.comparisons) == 4


def test_a_zoo_pack_without_votes_is_refused(tmp_path: Path) -> None:
    zoo = make_vote_set(8)
    bare = replace(zoo, table=zoo.table[["id", "group"]])
    with pytest.raises(InputError, match="--zoo: found no votes in the pack"):
        run_study(bare, make_lens_set(16), SETTINGS, tmp_path / "study", plan=PLAN, device="cpu")


def test_test_parts_of_a_deal_are_disjoint_and_cover_every_image() -> None:
    images = make_lens_set(160)
    fractions = (0.5, 0.25, 0.25)
    parts = [study_parts(images, fractions, repetition=one, seed=5) for one in range(8)]
    for deal in (parts[:4], parts[4:]):
        tested = np.sum([one == "test" for one in deal], axis=0)
        assert (tested == 1).all()
    assert not np.array_equal(parts[0], parts[4])
    for one in parts:
        part_of_group = pd.Series(one).groupby(images.table["group"].to_numpy()).nunique()
        assert (part_of_group == 1).all()
        assert (one == "train").mean() == pytest.approx(0.5, abs=0.06)


def test_the_grid_holds_all_pairs_and_few_labels_are_passed_through_more_often() -> None:
    assert [(one.rate, one.epochs) for one in list_grid((0.3, 1.0), (4, 8))] == [(0.3, 4), (1, 4), (0.3, 8), (1, 8)]
    assert lengthen(SETTINGS, 8, 0.25).train.epochs == 16
    assert lengthen(SETTINGS, 8, 0.01).train.epochs == round(8 * 10**0.5)
    assert list_grid((1.0,), (8,), extra_images=300, n_train=100) == [GridPoint(1.0, 8, 3)]


def test_a_pack_without_stages_is_studied_from_a_run_that_is_given(
    finished: tuple[Path, list[str]], tmp_path: Path
) -> None:
    lenses = make_lens_set(160)
    lenses = replace(lenses, table=lenses.table.drop(columns=["stage", "flavor", "flavor_label"]))
    parent = str(finished[0] / "parents" / "zoo" / "repetition-0")
    plan = replace(PLAN, fractions=(1.0,), rates=(1.0,), parents=(parent,))
    run_study(None, lenses, SETTINGS, tmp_path / "study", plan=plan, device="cpu")
    results = summarize_study(tmp_path / "study", n_resamples=20)
    assert not results.has_stages
    assert {one.strategy for one in results.strategies} == {"scratch", parent}
    (one,) = results.comparisons
    assert results.sentence.startswith(f"On held-out images, transfer from {parent} changes the log loss by ")
    assert one.repetitions == 2
    nets = [load_settings(path).net for path in (tmp_path / "study").glob("**/settings.toml")]
    assert all(net == nets[0] for net in nets)


def test_a_study_without_a_network_to_start_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found neither --zoo nor --parent"):
        run_study(None, make_lens_set(160), SETTINGS, tmp_path / "study", plan=PLAN, device="cpu")
    with pytest.raises(UsageError, match="found 'zoo', a name of the study's own"):
        parents_of(replace(PLAN, parents=("zoo",)), None)


def test_the_grid_is_chosen_by_loss_and_read_again(tmp_path: Path) -> None:
    trained = [
        module.TrainedPoint(GridPoint(rate, 8), tmp_path / f"rate-{rate}", loss)
        for rate, loss in ((0.3, 0.5), (1.0, 0.2), (3.0, 0.9))
    ]
    assert choose_point(trained, tmp_path) == (GridPoint(1.0, 8), tmp_path / "rate-1.0")
    assert read_choice(tmp_path) == (GridPoint(1.0, 8), tmp_path / "rate-1.0")


def test_every_arm_predicts_the_same_held_out_images_but_the_leaking_one(finished: tuple[Path, list[str]]) -> None:
    table = pd.read_parquet(finished[0] / "predictions.parquet")
    images = make_lens_set(160).table
    for (strategy, repetition, _), rows in table.groupby(["strategy", "repetition", "fraction"]):
        parts = study_parts(make_lens_set(160), SETTINGS.split.fractions, repetition=repetition)
        held_out = set(images["id"][(parts == "test") & images["lens"].notna().to_numpy()])
        assert (set(rows["id"]) == held_out) == (strategy != LEAKING_SPLIT)
    assert set(table["strategy"]) == {*(strategy.name for strategy in STRATEGIES), FLAVOR_STRATEGY, LEAKING_SPLIT}


def test_only_the_leaking_split_trains_on_fields_that_it_is_judged_on(finished: tuple[Path, list[str]]) -> None:
    folder = finished[0]
    for name, leaks in ((REFERENCE_STRATEGY, False), (LEAKING_SPLIT, True)):
        (job,) = (
            one
            for one in study_jobs(PLAN, ("zoo",), COLUMNS)
            if (one.name, one.repetition, one.fraction) == (name, 0, 1.0)
        )
        split = pd.read_parquet(read_choice(folder / job.folder)[1] / "split.parquet")
        field = split["keys"].map(lambda keys: keys[0])
        trained = set(field[(split["part"] == "train") & split["used"]])
        assert bool(trained & set(field[split["part"].isin(["validation", "test"])])) == leaks


def test_scores_of_a_real_study_are_means_over_repetitions_of_those_of_scikit_learn(
    finished: tuple[Path, list[str]],
) -> None:
    results = summarize_study(finished[0], n_resamples=50)
    assert len(results.comparisons) == 2 * len(list_questions(("zoo",), has_stages=True))
    assert results.flavors is not None
    assert results.leakage is not None
    table = pd.read_parquet(finished[0] / "predictions.parquet")
    for one in results.strategies:
        rows = table[
            (table["strategy"] == one.strategy) & (table["fraction"] == one.fraction) & (table["stage"] == one.stage)
        ]
        repeated = [own for _, own in rows.groupby("repetition")]
        assert len(repeated) == PLAN.repetitions
        by_repetition = [roc_auc_score(own["lens"], own["lens_probability"]) for own in repeated]
        assert one.figures["auroc"].value == pytest.approx(np.mean(by_repetition)), one.strategy
        assert sum(one.choices.values()) == PLAN.repetitions


def test_another_plan_in_the_same_folder_is_refused(finished: tuple[Path, list[str]]) -> None:
    with pytest.raises(UsageError, match="holds a study of another plan"):
        run_study(
            make_vote_set(40), make_lens_set(160), SETTINGS, finished[0], plan=StudyPlan(repetitions=1), device="cpu"
        )


def test_other_images_of_the_same_number_in_the_same_folder_are_refused(finished: tuple[Path, list[str]]) -> None:
    lenses = make_lens_set(160)
    lenses.table["id"] = [f"other{number}" for number in range(160)]
    with pytest.raises(UsageError, match="holds a study of another plan, settings or packs"):
        run_study(make_vote_set(40), lenses, SETTINGS, finished[0], plan=PLAN, device="cpu")


def test_a_stage_in_which_a_class_is_missing_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    lenses = make_lens_set(160)
    lenses.table.loc[lenses.table["stage"] == 2, "lens"] = 0.0
    with pytest.raises(InputError, match=r"stage 2 has 0 lenses among \d+ known cutouts in the part 'train'"):
        run_study(make_vote_set(40), lenses, SETTINGS, tmp_path / "study", plan=PLAN, device="cpu")
    assert not list(tmp_path.glob("study/*/*"))


def few_of_stage_2() -> pd.DataFrame:
    """A table of 200 cutouts, a field each, of which stage 2 has two lenses and ten others."""
    stage = np.where(np.arange(200) < 150, 1.0, 2.0)
    lens = np.where(np.arange(200) % 5 == 0, 1.0, 0.0)
    lens[150:] = np.nan
    lens[150:162] = [1.0, 1.0, *np.zeros(10)]
    return pd.DataFrame({"group": [f"field{number}" for number in range(200)], "lens": lens, "stage": stage})


def test_a_smaller_share_of_the_labels_is_within_the_larger_one() -> None:
    table = few_of_stage_2()
    parts = np.where(np.arange(200) % 4 < 3, "train", "test").astype(object)
    few, many, all_of_them = (keep_fraction(parts, table, share, seed=0) == "train" for share in (0.1, 0.5, 1.0))
    assert np.array_equal(all_of_them, parts == "train")
    assert not (few & ~many).any()
    known = table["lens"].notna().to_numpy()
    for stage in (1, 2):
        of_stage = known & (table["stage"] == stage).to_numpy()
        assert (many & of_stage).sum() == pytest.approx(0.5 * (all_of_them & of_stage).sum(), abs=1)


def test_the_smallest_share_keeps_lenses_and_others_of_both_stages() -> None:
    table = few_of_stage_2()
    parts = np.full(200, "train", dtype=object)
    kept = table[keep_fraction(parts, table, 0.02, seed=3) == "train"]
    assert kept.dropna().groupby(["stage", "lens"]).size().to_dict() == {(1, 0): 2, (1, 1): 1, (2, 0): 1, (2, 1): 1}


def test_a_share_of_stage_2_without_others_is_refused() -> None:
    table = few_of_stage_2()
    table.loc[(table["stage"] == 2) & (table["lens"] == 0), "lens"] = np.nan
    with pytest.raises(InputError, match="stage 2 has 1 lens among 1 known cutouts in the part 'train'"):
        keep_fraction(np.full(200, "train", dtype=object), table, 0.5, seed=0)


def test_labels_are_counted_and_few_lenses_are_remarked_on(finished: tuple[Path, list[str]]) -> None:
    results = summarize_study(finished[0], n_resamples=50)
    images = make_lens_set(160).table
    parts = study_parts(make_lens_set(160), SETTINGS.split.fractions, repetition=0)
    learned = images[(parts == "train") & (images["stage"] == 1).to_numpy()]["lens"].dropna()
    (one,) = (
        strategy
        for strategy in results.strategies
        if (strategy.strategy, strategy.stage, strategy.fraction) == (REFERENCE_STRATEGY, 1, 1.0)
    )
    assert (one.labels, one.label_lenses) == (len(learned), int(learned.sum()))
    few = {strategy.fraction for strategy in results.strategies if strategy.label_lenses < 10}
    assert few
    assert all(
        any(f"at {100 * share:g} % of the labels: trained on" in text for text in results.remarks) for share in few
    )


def test_images_that_look_like_galaxies_of_the_zoo_pack_are_left_out_with_a_remark(tmp_path: Path) -> None:
    zoo, lenses = make_vote_set(40), make_lens_set(160)
    lenses = replace(lenses, table=lenses.table.drop(columns=["stage", "flavor", "flavor_label"]))
    assert leave_out_shared(zoo, lenses)[1] == 0
    group = lenses.table["group"].iloc[3]
    size = int((lenses.table["group"] == group).sum())
    table = lenses.table.copy()
    table.loc[3, "id"] = zoo.table["id"].iloc[5]
    linked = replace(lenses, table=table)
    kept, left_out = leave_out_shared(zoo, linked)
    assert left_out == size
    assert group not in set(kept.table["group"])
    plan = replace(PLAN, repetitions=1, fractions=(1.0,), rates=(1.0,), with_controls=False)
    run_study(zoo, linked, SETTINGS, tmp_path / "study", plan=plan, device="cpu")
    results = summarize_study(tmp_path / "study", n_resamples=20)
    assert any(f"{size} images were left out" in remark for remark in results.remarks)
    with pytest.raises(InputError, match="are linked with galaxies of --zoo"):
        leave_out_shared(zoo, replace(linked, table=table.assign(group="one field")))
