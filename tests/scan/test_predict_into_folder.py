from __future__ import annotations

import shutil

import pandas as pd
import pytest

from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.errors import UsageError
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_file
from convnet_galaxies.scan.images import plan_images
from convnet_galaxies.scan.ledger import Ledger
from convnet_galaxies.scan.run import Part, Place
from convnet_galaxies.scan.session import work_through


def predict(predictor, source, output, *, part=Part(), reading=ReadOptions(), skip_bad=False, **options):  # noqa: B008
    plan, notes = plan_images(predictor, source, reading=reading, skip_bad=skip_bad, shard_images=15)
    return work_through(output, plan, predictor, notes=notes, part=part, **options)


def read(output, places=("shards",)) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(output / place) for place in places]).sort_values("id", ignore_index=True)


@pytest.fixture(scope="module")
def expected(world, predictor, tmp_path_factory) -> pd.DataFrame:
    output = tmp_path_factory.mktemp("folder") / "predictions"
    summary = predict(predictor, world / "images", output)
    assert (summary.images, summary.shards, summary.failures) == (50, 4, ())
    return read(output)


def test_a_folder_holds_what_a_file_does(world, predictor, tmp_path, expected) -> None:
    predict_file(predictor, world / "images", tmp_path / "all.csv")
    table = pd.read_csv(tmp_path / "all.csv", dtype={"id": str})
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=1e-5)


def test_pack_parts_and_cluster_give_the_same_bytes(world, predictor, tmp_path, expected) -> None:
    write_pack(read_image_folder(world / "images"), predictor.preprocess, tmp_path / "pack")
    predict(predictor, tmp_path / "pack", tmp_path / "of pack")
    for number in (1, 2, 3):
        predict(predictor, world / "images", tmp_path / "parts", part=Part(number, 3))
    predict(predictor, world / "images", tmp_path / "cluster", cluster="1")
    assert len(list((tmp_path / "parts" / "parts" / "2-of-3" / "shards").iterdir())) == 1
    for name, places in (
        ("of pack", ["shards"]),
        ("parts", [f"parts/{k}-of-3/shards" for k in (1, 2, 3)]),
        ("cluster", ["shards"]),
    ):
        pd.testing.assert_frame_equal(read(tmp_path / name, places), expected, check_exact=True)


def test_what_is_done_is_not_done_again_even_if_the_ledger_lacks_it(world, predictor, tmp_path) -> None:
    predict(predictor, world / "images", tmp_path / "out")
    place = Place(tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in place.shard(0).parent.iterdir()}
    place.shard(1).unlink()
    with Ledger(place.ledger) as ledger:  # as a kill between the file and its row leaves it
        ledger._database.execute("UPDATE shards SET state='pending', times=0 WHERE number=3")
    summary = predict(predictor, world / "images", tmp_path / "out")
    after = {path.name: path.stat().st_mtime_ns for path in place.shard(0).parent.iterdir()}
    assert [name for name in after if after[name] != before[name]] == ["000001.parquet"]
    assert (summary.images, summary.failures) == (50, ())


def test_grey_images_are_grey_on_a_cluster_as_well_and_are_not_mixed_with_colour(world, expected, tmp_path) -> None:
    grey = Predictor(world / "lens", device="cpu", batch=16, grey=True)
    predict(grey, world / "images", tmp_path / "here")
    predict(grey, world / "images", tmp_path / "cluster", cluster="1")
    found = read(tmp_path / "here")
    pd.testing.assert_frame_equal(read(tmp_path / "cluster"), found, check_exact=True)
    assert (found["lens_probability"] - expected["lens_probability"]).abs().max() > 1e-4
    with pytest.raises(UsageError, match="in colour instead of in grey"):
        predict(Predictor(world / "lens", device="cpu", batch=16), world / "images", tmp_path / "here")


def test_another_run_another_setting_and_other_images_are_refused(world, predictor, tmp_path) -> None:
    output = tmp_path / "out"
    predict(predictor, world / "images", output)
    other = Predictor(world / "other", device="cpu", batch=16)
    with pytest.raises(UsageError, match=r"weights .* of .*other instead of .* of .*lens"):
        predict(other, world / "images", output)
    with pytest.raises(UsageError, match=r"missing_share 0\.3 instead"):
        predict(predictor, world / "images", output, reading=ReadOptions(missing_share=0.3))
    shutil.copytree(world / "images", tmp_path / "images")
    with pytest.raises(UsageError, match="1 inputs more"):
        predict(predictor, tmp_path / "images", output)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else than a scan"):
        predict(predictor, world / "images", tmp_path / "full")


def test_a_broken_image_fails_its_shard_alone_which_is_tried_again(world, predictor, tmp_path, expected) -> None:
    source = tmp_path / "images"
    shutil.copytree(world / "images", source)
    name = sorted(path.name for path in source.iterdir())[20]
    whole = (source / name).read_bytes()
    (source / name).write_bytes(whole[:100])
    summary = predict(predictor, source, tmp_path / "out")
    assert summary.images == 35
    assert [failure.number for failure in summary.failures] == [1]
    assert name in summary.failures[0].error
    (source / name).write_bytes(whole)
    summary = predict(predictor, source, tmp_path / "out")
    assert (summary.images, summary.failures) == (50, ())
    pd.testing.assert_frame_equal(read(tmp_path / "out"), expected, check_exact=True)
    (source / name).write_bytes(whole[:100])
    summary = predict(predictor, source, tmp_path / "skipped", skip_bad=True)
    assert (summary.images, summary.failures, summary.n_left_out) == (49, (), 1)
    assert name in summary.left_out[0]
