"""Many FITS images are decoded by processes: the same bytes, messages and order as by threads, and nobody left."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from convnet_galaxies.data import decoding
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import BadImageError

NUMBER = 70
BROKEN = 50


@pytest.fixture(scope="module")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stamps of which two are broken, in different batches."""
    folder = tmp_path_factory.mktemp("stamps")
    rng = np.random.default_rng(0)
    for k in range(NUMBER):
        cube = rng.normal(0, 1, (3, 20, 20)).astype(np.float32)
        image: fits.PrimaryHDU | fits.CompImageHDU = fits.PrimaryHDU(cube)
        if k % 3 == 1:
            image = fits.CompImageHDU(cube)
        fits.HDUList([fits.PrimaryHDU(), image] if k % 3 == 1 else [image]).writeto(folder / f"s{k:02d}.fits")
    for k in (BROKEN, BROKEN + 3):
        (folder / f"s{k}.fits").write_bytes(b"SIMPLE  = no more than this")
    return folder


def pack(stamps: Path, output: Path, workers: int, **options: object) -> dict[str, bytes]:
    write_pack(read_image_folder(stamps), Preprocess(size_px=10), output, workers=workers, **options)  # type: ignore[arg-type]
    return {path.name: path.read_bytes() for path in output.iterdir()}


def test_processes_write_the_bytes_that_threads_write_and_leave_out_the_same_images(
    stamps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = pack(stamps, tmp_path / "threads", 1, skip_bad=True)
    started: list[int] = []
    worker_pool = decoding.worker_pool
    monkeypatch.setattr(decoding, "FITS_FOR_PROCESSES", NUMBER)
    monkeypatch.setattr(decoding, "worker_pool", lambda n, **rest: started.append(n) or worker_pool(n, **rest))
    steps: list[tuple[int, int]] = []
    processes = pack(stamps, tmp_path / "processes", 2, skip_bad=True, progress=lambda *step: steps.append(step))
    assert started == [2]
    assert processes == threads
    assert f"s{BROKEN}.fits".encode() in threads["pack.json"]
    assert f"s{BROKEN + 3}.fits".encode() in threads["pack.json"]
    assert steps == [(done, NUMBER) for done in (16, 32, 48, 64, 70)]
    assert multiprocessing.active_children() == []


def test_the_first_broken_image_is_named_whoever_decodes_it(
    stamps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadImageError) as by_threads:
        pack(stamps, tmp_path / "pack", 1)
    monkeypatch.setattr(decoding, "FITS_FOR_PROCESSES", 1)
    with pytest.raises(BadImageError) as by_processes:
        pack(stamps, tmp_path / "pack", 2)
    assert str(by_processes.value) == str(by_threads.value)
    assert f"s{BROKEN}.fits" in str(by_threads.value)
    assert not (tmp_path / "pack").exists()
    assert multiprocessing.active_children() == []


def test_an_interrupt_leaves_no_process_and_no_half_pack(
    stamps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decoding, "FITS_FOR_PROCESSES", 1)
    with pytest.raises(KeyboardInterrupt):
        pack(stamps, tmp_path / "pack", 2, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    assert multiprocessing.active_children() == []


def test_a_script_without_a_guard_for_its_main_part_runs_once(stamps: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from convnet_galaxies.data import decoding\n"
        "from convnet_galaxies.data.image_folder import read_image_folder\n"
        "from convnet_galaxies.data.pack import write_pack\n"
        "from convnet_galaxies.data.preprocess import Preprocess\n"
        "print('begun')\n"
        "decoding.FITS_FOR_PROCESSES = 1\n"
        f"records = read_image_folder(Path({str(stamps)!r}))\n"
        f"output = Path({str(tmp_path / 'pack')!r})\n"
        "print(write_pack(records, Preprocess(size_px=10), output, workers=2, skip_bad=True).images)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"begun\n{NUMBER - 2}\n", "")
