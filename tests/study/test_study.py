"""A whole study with tiny nets: every strategy on one split, resumed where it was cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from small_sets import make_lens_set, make_vote_set, tiny

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.study import study as module
from convnet_galaxies.study.results import FLAVOR_STRATEGY, LEAKING_SPLIT, REFERENCE_STRATEGY, summarize_study
from convnet_galaxies.study.strategies import STRATEGIES, keep_fraction, study_parts
from convnet_galaxies.study.study import StudyPlan, run_study, study_jobs

SETTINGS = tiny("split.train=0.5", "split.validation=0.1", "split.test=0.4")
PLAN = StudyPlan(seeds=2, fractions=(0.5, 1.0), zoo_epochs=1, lens_epochs=1, fine_epochs=1, views=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A study that was cut off after five nets and went on; what was trained, in order."""
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
    assert {Path(path).relative_to(folder).as_posix() for path in trained if path != "cut off"} == {
        job.folder for job in study_jobs(PLAN)
    }


def test_every_arm_predicts_the_same_held_out_images_but_the_leaking_one(finished: tuple[Path, list[str]]) -> None:
    table = pd.read_parquet(finished[0] / "predictions.parquet")
    parts = study_parts(make_lens_set(160), SETTINGS.split.fractions, seed=module.SPLIT_SEED)
    images = make_lens_set(160).table
    held_out = set(images["id"][(parts != "train") & images["lens"].notna().to_numpy()])
    for (strategy, _, _), rows in table.groupby(["strategy", "seed", "fraction"]):
        assert (set(rows["id"]) == held_out) == (strategy != LEAKING_SPLIT)
    assert set(table["strategy"]) == {*(strategy.name for strategy in STRATEGIES), FLAVOR_STRATEGY, LEAKING_SPLIT}


def test_only_the_leaking_split_trains_on_fields_that_it_is_judged_on(finished: tuple[Path, list[str]]) -> None:
    folder = finished[0]
    for name, leaks in ((REFERENCE_STRATEGY, False), (LEAKING_SPLIT, True)):
        (job,) = (one for one in study_jobs(PLAN) if (one.name, one.seed, one.fraction) == (name, 0, 1.0))
        split = pd.read_parquet(folder / job.folder / "split.parquet")
        field = split["keys"].map(lambda keys: keys[0])
        trained = set(field[(split["part"] == "train") & split["used"]])
        assert bool(trained & set(field[split["part"].isin(["validation", "test"])])) == leaks


def test_scores_of_a_real_study_are_means_over_seeds_of_those_of_scikit_learn(finished: tuple[Path, list[str]]) -> None:
    results = summarize_study(finished[0], n_resamples=50)
    assert len(results.comparisons) == 12
    assert results.flavors is not None
    assert results.leakage is not None
    table = pd.read_parquet(finished[0] / "predictions.parquet")
    for one in results.strategies:
        rows = table[
            (table["strategy"] == one.strategy) & (table["fraction"] == one.fraction) & (table["stage"] == one.stage)
        ]
        of_seeds = [seed_rows for _, seed_rows in rows.groupby("seed")]
        assert len(of_seeds) == PLAN.seeds
        by_seed = [roc_auc_score(of_seed["lens"], of_seed["lens_probability"]) for of_seed in of_seeds]
        assert one.figures["auroc"].value == pytest.approx(np.mean(by_seed)), one.strategy


def test_another_plan_in_the_same_folder_is_refused(finished: tuple[Path, list[str]]) -> None:
    with pytest.raises(UsageError, match="holds a study of another plan"):
        run_study(make_vote_set(40), make_lens_set(160), SETTINGS, finished[0], plan=StudyPlan(seeds=1), device="cpu")


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
    parts = study_parts(make_lens_set(160), SETTINGS.split.fractions, seed=module.SPLIT_SEED)
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
