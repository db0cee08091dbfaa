from __future__ import annotations

import json

import pytest

from convnet_galaxies.data.tables import read_table
from convnet_galaxies.predict.embeddings import read_embeddings


@pytest.fixture(scope="module")
def features(world, tmp_path_factory, request):
    from convnet_galaxies.predict.predictor import Predictor
    from convnet_galaxies.predict.stream import predict_file

    path = tmp_path_factory.mktemp("features") / "features.parquet"
    predict_file(Predictor(world / "zoo", device="cpu"), world / "zoo.pack", path.with_name("v.csv"), embeddings=path)
    return path


def test_predict_writes_embeddings_from_which_similar_finds_neighbours(run, world, tmp_path) -> None:
    done = run(
        "predict", world / "zoo", world / "zoo.pack", "-o", tmp_path / "v.csv", "--embeddings", tmp_path / "f.parquet"
    )
    assert done.code == 0
    ids = read_embeddings(tmp_path / "f.parquet").ids
    done = run("similar", world / "zoo", tmp_path / "f.parquet", "--to", ids[3], "-n", 4, "--json")
    rows = json.loads(done.out)
    assert len(rows) == 4
    assert ids[3] not in {row["id"] for row in rows}
    straight = json.loads(
        run("similar", world / "zoo", world / "zoo.pack", "--to", ids[3], "-n", 4, "--json", "--quiet").out
    )
    assert [row["id"] for row in straight] == [row["id"] for row in rows]


def test_similar_and_unusual_write_tables(run, world, features, tmp_path) -> None:
    ids = read_embeddings(features).ids
    assert run("similar", world / "zoo", features, "--to", ids[0], "-o", tmp_path / "s.csv").code == 0
    assert list(read_table(tmp_path / "s.csv")) == ["id", "similarity"]
    done = run("unusual", world / "zoo", features, "-n", 3)
    assert done.out.split()[:2] == ["id", "isolation"]
    assert len(done.out.splitlines()) == 4


def test_embeddings_of_another_run_and_unknown_ids_are_refused(run, world, features) -> None:
    done = run("similar", world / "lens", features, "--to", "x")
    assert done.code == 1
    assert "holds features of the weights" in done.err
    assert "found no image 'x'" in run("similar", world / "zoo", features, "--to", "x").err


def test_map_draws_a_sample_with_the_labels_of_the_pack(run, world, tmp_path) -> None:
    done = run("map", world / "lens", world / "lens.pack", "-o", tmp_path / "map.html", "-n", 20, "--json", "-q")
    assert json.loads(done.out)["images"] == 20
    page = (tmp_path / "map.html").read_text("utf-8")
    assert "label: lens" in page
    assert "lens_probability" in page
