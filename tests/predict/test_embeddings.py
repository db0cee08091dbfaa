from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_sets import ROUNDING

from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import BadImageError, InputError, OutputExistsError, UsageError
from convnet_galaxies.predict.embeddings import (
    Embeddings,
    embed_source,
    fingerprint_weights,
    read_embeddings,
    read_facts,
    write_embeddings,
)
from convnet_galaxies.predict.neighbours import find_neighbours, rank_unusual
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_file


@pytest.fixture(scope="module")
def zoo(world) -> Predictor:
    return Predictor(world / "zoo", device="cpu", precision="fp32", batch=16)


@pytest.fixture(scope="module")
def embeddings(zoo, world) -> Embeddings:
    return embed_source(zoo, world / "images.pack")


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".fits"])
def test_predict_writes_the_features_of_the_same_images_beside_the_predictions(zoo, world, tmp_path, ending) -> None:
    path = tmp_path / "features.parquet"
    predict_file(zoo, world / "images", tmp_path / f"votes{ending}", embeddings=path)
    found = read_embeddings(path, run=world / "zoo")
    pack = read_pack(world / "images.pack")
    assert found.ids == tuple(pack.table["id"])
    np.testing.assert_allclose(found.features, zoo.extract_features(pack.images), atol=16 * ROUNDING)
    assert found.features.dtype == np.float32
    assert (found.run, found.views) == (str(world / "zoo"), 1)
    assert {one.name for one in tmp_path.iterdir()} == {"features.parquet", f"votes{ending}"}


def test_any_reader_of_parquet_finds_ids_features_and_the_hash_of_the_weights(zoo, world, tmp_path) -> None:
    predict_file(zoo, world / "images.pack", tmp_path / "v.csv", embeddings=tmp_path / "f.parquet")
    table = pq.read_table(tmp_path / "f.parquet")
    assert table.column_names == ["id", "features"]
    facts = json.loads(table.schema.metadata[b"convnet_galaxies.embeddings"])
    assert facts["weights_sha256"] == fingerprint_weights(world / "zoo")
    assert facts["features"] == len(table["features"][0].as_py())


def test_files_come_back_as_they_were_written(embeddings, tmp_path) -> None:
    write_embeddings(tmp_path / "f.parquet", embeddings)
    found = read_embeddings(tmp_path / "f.parquet")
    np.testing.assert_array_equal(found.features, embeddings.features)
    assert found.ids == embeddings.ids
    with pytest.raises(OutputExistsError, match="already exists"):
        write_embeddings(tmp_path / "f.parquet", embeddings)


def test_nothing_is_left_of_either_file_when_an_image_is_bad(zoo, world, tmp_path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted((world / "images").iterdir())[:3]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    with pytest.raises(BadImageError, match="broken"):
        predict_file(zoo, folder, tmp_path / "v.csv", embeddings=tmp_path / "f.parquet")
    assert [one.name for one in tmp_path.iterdir()] == ["images"]
    predict_file(zoo, folder, tmp_path / "v.csv", embeddings=tmp_path / "f.parquet", skip_bad=True)
    assert len(read_embeddings(tmp_path / "f.parquet")) == 3


def test_one_file_for_both_is_refused(zoo, world, tmp_path) -> None:
    with pytest.raises(UsageError, match="one file for predictions and features"):
        predict_file(zoo, world / "images", tmp_path / "v.parquet", embeddings=tmp_path / "v.parquet")


def test_features_of_other_weights_are_refused(embeddings, world, tmp_path) -> None:
    write_embeddings(tmp_path / "f.parquet", embeddings)
    with pytest.raises(InputError, match="holds features of the weights"):
        read_embeddings(tmp_path / "f.parquet", run=world / "lens")


def test_other_files_are_no_embeddings(world, tmp_path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    assert read_facts(tmp_path / "a.parquet") is None
    assert read_facts(world / "images.pack") is None
    with pytest.raises(InputError, match="is no file of embeddings"):
        read_embeddings(tmp_path / "a.parquet")


def test_a_cut_off_file_is_an_error_for_users(embeddings, tmp_path) -> None:
    path = tmp_path / "f.parquet"
    write_embeddings(path, embeddings)
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)  # the footer, which names the columns, is whole
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be read"):
        read_embeddings(path)


@pytest.mark.parametrize("source", ["images", "images.pack"])
def test_a_sample_of_a_folder_is_drawn_by_the_seed_and_keeps_order_and_names(zoo, world, source) -> None:
    everything = embed_source(zoo, world / source)
    some = [embed_source(zoo, world / source, number=9, seed=seed) for seed in (0, 0, 1)]
    assert some[0].ids == some[1].ids != some[2].ids
    rows = [everything.ids.index(name) for name in some[0].ids]
    assert rows == sorted(rows)
    assert len(rows) == 9
    np.testing.assert_allclose(some[0].features, everything.features[rows], atol=16 * ROUNDING)
    assert embed_source(zoo, world / source, number=1000).ids == everything.ids


def test_the_neighbours_of_an_image_begin_with_its_copy_and_never_hold_itself(embeddings) -> None:
    features = embeddings.features.copy()
    features[11] = features[4] * 1.7
    found = find_neighbours(
        Embeddings(embeddings.ids, features, embeddings.run, "", 1), [embeddings.ids[4]], number=100
    )
    assert found["id"][0] == embeddings.ids[11]
    assert found["similarity"][0] == pytest.approx(1, abs=1e-6)
    assert embeddings.ids[4] not in set(found["id"])
    assert len(found) == len(embeddings) - 1


def test_an_unknown_id_is_refused_with_ids_that_are_there(embeddings) -> None:
    with pytest.raises(InputError, match=f"no image 'x' among 37, expected an id such as {embeddings.ids[0]}"):
        find_neighbours(embeddings, ["x"])
    with pytest.raises(UsageError, match="found no id"):
        find_neighbours(embeddings, [])


def test_a_run_without_familiarity_ranks_by_isolation(embeddings, world) -> None:
    found = rank_unusual(embeddings, world / "zoo", number=5)
    assert list(found) == ["id", "isolation"]
    assert (np.diff(found["isolation"]) <= 0).all()
    with pytest.raises(InputError, match="has no familiarity"):
        rank_unusual(embeddings, world / "zoo", by="familiarity")


def test_the_least_familiar_come_first() -> None:
    predictor = Predictor("builtin:zoo", device="cpu", precision="fp32", views=1)
    side = predictor.preprocess.size_px
    pixels = np.random.default_rng(0).integers(0, 255, (6, side, side, 3), dtype=np.uint8)
    pixels[:5] = np.random.default_rng(1).normal(20, 4, (5, side, side, 1)).clip(0, 255)
    table = pd.DataFrame({"id": list("abcdef"), "group": list("abcdef")})
    images = ImageSet(pixels, table, predictor.preprocess)
    found = rank_unusual(embed_source(predictor, images), "builtin:zoo")
    expected = dict(zip(table["id"], predictor.predict_set(images).familiarity, strict=True))
    assert found["id"][0] == min(expected, key=lambda name: expected[name])
    np.testing.assert_allclose(found["familiarity"], [expected[name] for name in found["id"]], rtol=1e-3)
