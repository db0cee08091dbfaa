from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from small_sets import TINY_CHANGES, make_lens_set, make_vote_set, write_pngs

import convnet_galaxies as cg
from convnet_galaxies.data.pack import write_set
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import OutputExistsError, UsageError
from convnet_galaxies.predict.embeddings import write_embeddings
from convnet_galaxies.predict.explain import open_explainer
from convnet_galaxies.settings import read_changes

TINY = read_changes([*TINY_CHANGES, "train.epochs=1"])


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> cg.Run:
    return cg.train(make_vote_set(), tmp_path_factory.mktemp("library") / "zoo", changes=TINY, quiet=True)


@pytest.fixture(scope="module")
def lens(tmp_path_factory: pytest.TempPathFactory, zoo: cg.Run) -> cg.Run:
    path = tmp_path_factory.mktemp("library") / "lens"
    changes = {name: value for name, value in TINY.items() if not name.startswith("net.")}
    return cg.train(make_lens_set(), str(path), tasks="lens", start_from=zoo, changes=changes, quiet=True)


def test_import_loads_nothing_but_itself() -> None:
    asked = "import sys; before = set(sys.modules); import convnet_galaxies; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert not {name.split(".")[0] for name in loaded} & {"torch", "numpy", "pandas", "pydantic", "typer", "rich"}


def test_every_name_is_there_has_a_docstring_and_is_known_to_type_checkers() -> None:
    assert dir(cg) == sorted(cg.__all__)
    for name in cg.__all__:
        thing = getattr(cg, name)
        assert name == "__version__" or (thing.__doc__ and thing.__doc__[0].isupper()), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(cg, "no" + "thing")
    stub = ast.parse((Path(str(cg.__file__)).with_suffix(".pyi")).read_text("utf-8"))
    declared = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert declared == {*cg.__all__} - {"__version__"}


def test_images_are_read_packed_and_shown_from_text_paths(tmp_path) -> None:
    votes = make_vote_set(20, seed=1)
    write_pngs(votes, tmp_path / "images")
    records = cg.read_images(str(tmp_path / "images"))
    images = cg.pack(records, str(tmp_path / "a.pack"), preprocess=Preprocess(size_px=32))
    np.testing.assert_array_equal(images.images, votes.images)
    assert isinstance(cg.read_pack(str(tmp_path / "a.pack")), cg.ImageSet)
    page = cg.show_images(images, rows=[3, 0], captions=["<b>", "second"]).html()
    assert page.count("<img") == 2
    assert "&lt;b&gt;" in page
    assert cg.show_images(images).html().count("<img") == 12


def test_a_run_predicts_arrays_files_and_packs_alike(zoo, tmp_path) -> None:
    votes = make_vote_set(20, seed=1)
    write_pngs(votes, tmp_path / "images")
    from_set, from_array = zoo.predict(votes), zoo.predict(votes.images)
    from_files = zoo.predict(sorted((tmp_path / "images").iterdir()))
    assert list(from_set) == list(from_array) == list(from_files)
    for other in (from_array, from_files):
        np.testing.assert_array_equal(from_set.drop(columns="id"), other.drop(columns="id"))
    assert from_set["id"].tolist() == from_files["id"].tolist() == votes.table["id"].tolist()
    features = zoo.embed(votes)
    assert features.index.tolist() == votes.table["id"].tolist()
    np.testing.assert_array_equal(features, zoo.predictor(1).extract_features(votes.images))


def test_how_linear_files_were_read_goes_with_the_table(zoo, tmp_path) -> None:
    assert zoo.predict(make_vote_set(20, seed=1)).attrs["facts"] == []
    light = np.random.default_rng(0).normal(0, 1, (3, 40, 40)).astype(np.float32)
    light[:, 15:25, 12:28] += 30
    for number, band in enumerate("gri"):
        fits.writeto(tmp_path / f"a_{band}.fits", light[number])
    (fact,) = (text for text in zoo.predict(tmp_path).attrs["facts"] if "joined" in text)
    assert fact.startswith("3 files of one band each")


def test_choices_that_exclude_each_other_and_empty_lists_are_refused(zoo, tmp_path) -> None:
    write_pngs(make_vote_set(20, seed=1), tmp_path / "images")
    records = cg.read_images(tmp_path / "images")
    with pytest.raises(UsageError, match="both like and preprocess"):
        cg.pack(records, tmp_path / "a.pack", like=zoo, preprocess=Preprocess())
    with pytest.raises(cg.InputError, match="found an empty list"):
        zoo.predict([])


def test_what_is_amiss_with_images_becomes_a_warning(zoo) -> None:
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    with pytest.warns(cg.InputWarning, match="of a single value"):
        zoo.predict(pixels)


def test_a_run_starts_from_another_and_shows_itself(zoo, lens) -> None:
    assert lens.card.ancestry[0]["run"] == str(zoo.path)
    assert lens.card.net == zoo.card.net
    assert lens.settings.train.epochs == 1
    assert list(lens.metrics["epoch"]) == [1]
    assert "parameters" in lens._repr_html_()
    assert lens.plot()._repr_html_().startswith("<figure>")
    with pytest.raises(cg.InputError, match="no such"):
        cg.load("builtin:nothing")


def test_scores_show_their_tables_and_drawings(zoo, lens) -> None:
    scored = lens.evaluate(make_lens_set(), part="heldout")
    assert scored.scores["lens"].overall["auroc"].value >= 0
    assert "AUROC" in scored._repr_html_()
    assert scored.plot()._repr_html_().count("<figure>") >= 2
    assert "RMSE" in zoo.evaluate(make_vote_set(), part="heldout")._repr_html_()


def test_runs_are_joined_calibrated_and_reported(lens, tmp_path) -> None:
    both = cg.ensemble([lens, lens.path], tmp_path / "both")
    assert both.card.members == 2
    others = make_lens_set(400, seed=9)
    calibrated = lens.calibrate(others, tmp_path / "calibrated", part="heldout")
    found = calibrated.card.calibration["lens"]
    known = others.table["lens"].notna()
    assert 0 < found.positives < found.images <= known.sum()
    assert isinstance(calibrated.predict(others.images[:3]), pd.DataFrame)
    summary = cg.report(lens, str(tmp_path / "report.html"))
    assert Path(summary.path).read_text("utf-8").startswith("<!DOCTYPE html>")


def test_lenses_of_an_unlabelled_pack_are_estimated(lens, tmp_path) -> None:
    images = make_lens_set(200, seed=9)
    images.table.loc[images.table.index >= 120, "lens"] = np.nan
    write_set(images, tmp_path / "lenses.pack")
    found = cg.estimate_lenses(lens, str(tmp_path / "lenses.pack"), str(tmp_path / "unknown"), views=1)
    assert found.n_unknown == images.table["lens"].isna().sum() >= 80
    assert f"among the {found.n_unknown} unlabelled images" in found._repr_html_()


def test_features_are_searched_alike_from_a_file_a_set_and_a_folder(zoo, tmp_path) -> None:
    votes = make_vote_set(20, seed=1)
    write_pngs(votes, tmp_path / "images")
    found = zoo.features(tmp_path / "images")
    assert sorted(found.ids) == sorted(votes.table["id"])
    write_embeddings(tmp_path / "f.parquet", found)
    stored = zoo.features(tmp_path / "f.parquet")
    np.testing.assert_array_equal(stored.features, found.features)
    name = found.ids[4]
    similar = zoo.similar(tmp_path / "images", name, number=5)
    pd.testing.assert_frame_equal(similar, zoo.similar(found, [name], number=5))
    pd.testing.assert_frame_equal(similar, zoo.similar(tmp_path / "f.parquet", name, number=5))
    roots = np.sign(found.features) * np.sqrt(np.abs(found.features))
    unit = roots / np.linalg.norm(roots, axis=1, keepdims=True)
    cosine = dict(zip(found.ids, unit @ unit[4], strict=True))
    expected = sorted((one for one in found.ids if one != name), key=lambda one: -cosine[one])[:5]
    assert similar["id"].tolist() == expected
    np.testing.assert_allclose(similar["similarity"], [cosine[one] for one in expected], rtol=1e-5)
    unusual = zoo.unusual(found, number=20)
    assert list(unusual) == ["id", "isolation"]
    assert unusual["isolation"].is_monotonic_decreasing
    pd.testing.assert_frame_equal(unusual, zoo.unusual(votes, by="isolation", number=20), rtol=1e-4)
    with pytest.raises(cg.InputError, match="found no image 'nothing'"):
        zoo.similar(found, "nothing")


def test_features_of_other_weights_are_refused(zoo, lens, tmp_path) -> None:
    write_embeddings(tmp_path / "f.parquet", zoo.features(make_vote_set(20, seed=1)))
    with pytest.raises(cg.InputError, match="holds features of the weights"):
        lens.features(tmp_path / "f.parquet")


def test_a_map_and_an_explanation_are_those_of_the_commands(lens, tmp_path) -> None:
    images = make_lens_set(40, seed=2)
    drawn = lens.map(images, tmp_path / "map.html", number=30)
    assert drawn.places.shape == (30, 2)
    assert set(drawn.table["id"]) < set(images.table["id"])
    assert drawn.table["id"].iloc[0] in (tmp_path / "map.html").read_text("utf-8")
    with pytest.raises(OutputExistsError):
        lens.map(images, tmp_path / "map.html", number=30)
    found = lens.explain(images.images[0], method="occlusion")
    np.testing.assert_array_equal(
        found.map, open_explainer(lens.path).explain(images.images[0], method="occlusion").map
    )
    assert found.target == "lens_probability"


def test_familiarity_that_is_learned_becomes_a_column_of_predictions(tmp_path) -> None:
    images = make_lens_set(400, seed=9)
    changed = cg.train(images, tmp_path / "lens", tasks="lens", changes=TINY, quiet=True)
    assert "familiarity" not in changed.predict(images.images[:3])
    learned = changed.learn_familiarity(images)
    assert learned.predict(images.images[:3])["familiarity"].between(0, 1).all()
    assert list(learned.unusual(images, number=2)) == ["id", "familiarity"]
