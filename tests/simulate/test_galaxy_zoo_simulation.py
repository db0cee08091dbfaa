"""Simulated Galaxy Zoo in Kaggle's files: formats, determinism, bad input."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.simulate.galaxy_zoo import FILES, _simulate_all, simulate_galaxy_zoo, simulate_one


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("zoo") / "sim"
    simulate_galaxy_zoo(output, number=40, seed=7, workers=1, test_fraction=0.25)
    return output


def test_files_are_kaggles_with_the_truth_beside_them(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == set(FILES)
    with zipfile.ZipFile(written / "images_training_rev1.zip") as archive:
        names = archive.namelist()
        assert len(names) == 30
        image = Image.open(io.BytesIO(archive.read(names[0])))
        assert names[0].startswith("images_training_rev1/")
    assert (image.format, image.size, image.mode) == ("JPEG", (424, 424), "RGB")
    assert image.quantization[0][:4] == [8, 6, 5, 8]  # quality 75, as in Kaggle's files
    solutions = pd.read_csv(written / "training_solutions_rev1.zip")
    assert list(solutions) == ["GalaxyID", *VOTE_COLUMNS]
    zeros = pd.read_csv(written / "all_zeros_benchmark.csv")
    assert list(zeros) == ["GalaxyID", *VOTE_COLUMNS]
    assert (zeros[list(VOTE_COLUMNS)] == 0).all(axis=None)
    with zipfile.ZipFile(written / "images_test_rev1.zip") as archive:
        assert [int(Path(name).stem) for name in archive.namelist()] == zeros["GalaxyID"].tolist()


def test_truth_and_sealed_votes_cover_every_galaxy_once(written: Path) -> None:
    truth = pd.read_csv(written / "truth.csv")
    sealed = pd.read_csv(written / "test_solutions_sealed.csv")
    solutions = pd.read_csv(written / "training_solutions_rev1.zip")
    assert truth["GalaxyID"].tolist() == [*solutions["GalaxyID"], *sealed["GalaxyID"]]
    assert (truth["part"] == "test").sum() == len(sealed) == 10


def test_reader_of_real_data_reads_simulated_data(written: Path) -> None:
    records = read_galaxy_zoo(written / "images_training_rev1.zip", written / "training_solutions_rev1.zip")
    solutions = pd.read_csv(written / "training_solutions_rev1.zip").set_index("GalaxyID")
    assert len(records) == 30
    expected = solutions.loc[records.table["id"].astype(int), list(VOTE_COLUMNS)]
    assert records.table[list(VOTE_COLUMNS)].to_numpy() == pytest.approx(expected.to_numpy())


def test_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    simulate_galaxy_zoo(again, number=40, seed=7, workers=2, test_fraction=0.25)
    for name in FILES:
        assert (again / name).read_bytes() == (written / name).read_bytes(), name


def test_other_seed_gives_other_galaxies(written: Path, tmp_path: Path) -> None:
    simulate_galaxy_zoo(tmp_path / "other", number=4, seed=8, workers=1)
    a = pd.read_csv(written / "truth.csv")["mag_r"][:3].to_numpy()
    b = pd.read_csv(tmp_path / "other" / "truth.csv")["mag_r"][:3].to_numpy()
    assert not np.isclose(a, b).any()


def test_more_galaxies_begin_with_the_same_ones(written: Path, tmp_path: Path) -> None:
    simulate_galaxy_zoo(tmp_path / "few", number=5, seed=7, workers=1, test_fraction=0)
    few = pd.read_csv(tmp_path / "few" / "truth.csv").drop(columns="part")
    pd.testing.assert_frame_equal(few, pd.read_csv(written / "truth.csv").drop(columns="part")[:5])


@pytest.mark.parametrize("number", [0, -3])
def test_number_below_one_is_refused(tmp_path: Path, number: int) -> None:
    with pytest.raises(InputError, match=f"found number {number}, expected at least 1"):
        simulate_galaxy_zoo(tmp_path / "sim", number=number, seed=0)


def test_existing_output_is_refused_unless_forced_and_foreign_files_are_never_removed(tmp_path: Path) -> None:
    output = tmp_path / "sim"
    simulate_galaxy_zoo(output, number=2, seed=0, workers=1)
    with pytest.raises(OutputExistsError, match="already exists"):
        simulate_galaxy_zoo(output, number=3, seed=0, workers=1)
    simulate_galaxy_zoo(output, number=3, seed=0, workers=1, force=True)
    assert len(pd.read_csv(output / "truth.csv")) == 3
    (output / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="is something else than what is to be written"):
        simulate_galaxy_zoo(output, number=3, seed=0, workers=1, force=True)
    assert (output / "mine.txt").read_text() == "keep"


def test_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt(f"at {done} of {total}")

    with pytest.raises(KeyboardInterrupt, match="at 3 of 10"):
        simulate_galaxy_zoo(tmp_path / "sim", number=10, seed=0, workers=1, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_no_galaxy_is_lost_or_shown_twice_when_chunks_wait_for_workers() -> None:
    """More chunks than may wait at once: 24 of one galaxy each, on two workers."""
    found = list(_simulate_all(24, 3, 2, chunk=1))
    assert [one.jpeg for one in found] == [simulate_one(index, 3).jpeg for index in range(24)]
