from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_sets import without_pixels

from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.runs.folder import RunFolder, is_run, is_run_alone
from convnet_galaxies.runs.image_keys import link_keys
from convnet_galaxies.runs.split import hash_split, read_split, read_split_of, was_trained_on, write_split


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """An unfinished run with a file of each kind."""
    made = RunFolder(tmp_path / "run")
    made.create(force=False)
    made.settings.write_text("seed = 0\n")
    made.write_environment({"device": "cpu"})
    for path in (made.weights, made.metrics, made.split, made.checkpoint):
        path.write_text("x")
    return made


def test_a_run_is_refused_unless_forced_and_then_replaced_by_an_empty_folder(run: RunFolder) -> None:
    with pytest.raises(OutputExistsError, match="already exists"):
        run.create(force=False)
    assert run.metrics.is_file()
    (run.path / ".weights.safetensors.unfinished-1234").write_text("left over")
    run.create(force=True)
    assert list(run.path.iterdir()) == []


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    RunFolder(tmp_path).create(force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stranger", ["thesis.tex", "zoo.pack/images.npy", ".git/HEAD", "settings.toml.bak"])
def test_force_never_removes_a_run_that_holds_something_else(run: RunFolder, stranger) -> None:
    other = run.path / stranger
    other.parent.mkdir(exist_ok=True)
    other.write_text("precious")
    before = sorted(path.name for path in run.path.rglob("*"))
    with pytest.raises(InputError, match="which is no file of a run, so it is not replaced"):
        run.create(force=True)
    assert sorted(path.name for path in run.path.rglob("*")) == before


@pytest.mark.parametrize("name", ["settings.toml", "notes.txt", "environment.json"])
def test_force_never_removes_what_is_no_run(tmp_path: Path, name) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="is not a run, so it is not replaced"):
        RunFolder(tmp_path).create(force=True)
    assert (tmp_path / name).read_text() == "mine"


def test_force_does_not_replace_a_file_and_follows_a_link_to_a_run(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is not a run"):
        RunFolder(tmp_path / "file").create(force=True)
    (tmp_path / "link").symlink_to(run.path)
    RunFolder(tmp_path / "link").create(force=True)
    assert (tmp_path / "link").is_symlink()
    assert list(run.path.iterdir()) == []


def test_a_place_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be made"):
        RunFolder(tmp_path / "file" / "run").create(force=False)


def test_a_run_is_known_by_its_files(run: RunFolder, tmp_path: Path) -> None:
    assert is_run(run.path)
    assert not run.is_finished
    assert not is_run(tmp_path)
    assert not is_run(tmp_path / "nothing")


def test_metrics_are_one_table_and_are_cut_where_a_run_resumes(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for epoch in (1, 2, 3):
        run.append_metrics({"epoch": epoch, "train_loss": epoch / 3})
    run.keep_metrics_until(2)
    run.append_metrics({"epoch": 3, "train_loss": 0.5})
    table = pd.read_csv(run.metrics)
    assert table["epoch"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(table["train_loss"], [1 / 3, 2 / 3, 0.5], rtol=1e-5)


def test_split_survives_the_round_trip(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"id": ["a", "b"], "part": ["train", "test"], "used": [True, False], "keys": [["id=a", "x=1"], ["id=b"]]}
    )
    write_split(tmp_path / "split.parquet", table)
    found = read_split(tmp_path / "split.parquet")
    assert [list(keys) for keys in found.pop("keys")] == table.pop("keys").tolist()
    pd.testing.assert_frame_equal(found, table, check_dtype=False)


def test_a_damaged_or_missing_split_is_an_error_not_an_empty_one(run: RunFolder) -> None:
    run.card.write_text("{}")
    with pytest.raises(InputError, match=r"split\.parquet: cannot be read"):
        read_split_of(run.path)
    run.split.unlink()
    with pytest.raises(InputError, match=r"split\.parquet: cannot be read"):
        read_split_of(run.path)


def place(ra_deg: list[float], dec_deg: list[float]) -> pd.DataFrame:
    names = [f"p{row}" for row in range(len(ra_deg))]
    groups = [f"sky_group={name}" for name in names]
    return pd.DataFrame({"id": names, "group": groups, "sky_group": names, "ra_deg": ra_deg, "dec_deg": dec_deg})


@pytest.mark.parametrize("hashed", [False, True])
def test_a_neighbour_on_the_sky_is_recognised_in_another_pack(hashed) -> None:
    trained = place([10.0, 20.0, np.nan], [-5.0, 30.0, np.nan])
    split = pd.DataFrame({"id": trained["id"], "part": "train", "used": True, "origin": "this run"})
    split["keys"] = link_keys(without_pixels(trained, ("sky_group",)))
    assert split["keys"][2] == ["id=p2"]
    split = hash_split(split) if hashed else split
    other = place([10.01, 20.0, 10.0], [-5.005, 30.1, -5.1]).assign(id=["a", "b", "c"])  # 0.7, 6 and 6 arcmin away
    assert was_trained_on(without_pixels(other, ("sky_group",)), split).tolist() == [True, False, False]


def test_a_run_alone_is_one_that_holds_nothing_else(run: RunFolder) -> None:
    assert is_run_alone(run.path)
    run.familiarity.write_text("x")
    assert is_run_alone(run.path)
    (run.path / "notes.txt").write_text("mine")
    assert not is_run_alone(run.path)
