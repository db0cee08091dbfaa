from __future__ import annotations

import errno
import json
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data import decoding, output
from convnet_galaxies.data.describe import describe
from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import pack_is_current, read_pack, write_pack, write_set
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageFile, Records
from convnet_galaxies.data.space_warps import read_space_warps
from convnet_galaxies.errors import BadImageError, InputError, OutputExistsError

SMALL = Preprocess(crop_px=24, size_px=12)


def test_pack_holds_the_pixels_and_table_of_its_records_in_order(zoo: Path, tmp_path: Path) -> None:
    records = read_galaxy_zoo(zoo)
    summary = write_pack(records, SMALL, tmp_path / "zoo.pack")
    pack = read_pack(tmp_path / "zoo.pack")
    assert records.files is not None
    expected = [SMALL.decode(file.read(), file.name) for file in records.files]
    np.testing.assert_array_equal(pack.images, expected)
    pd.testing.assert_frame_equal(pack.table.drop(columns="pixel_hash"), records.table)
    assert (pack.preprocess, pack.kind, pack.link_columns) == (SMALL, "galaxy-zoo", ("GalaxyID",))
    assert (summary.images, summary.shape, summary.size_bytes, summary.unchanged) == (6, (12, 12, 3), 6 * 432, False)


def test_images_of_a_pack_are_mapped_and_cannot_be_changed(image_folder: Path, tmp_path: Path) -> None:
    write_pack(read_image_folder(image_folder), SMALL, tmp_path / "a.pack")
    images = read_pack(tmp_path / "a.pack").images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_same_source_and_settings_give_the_same_bytes_for_any_number_of_workers(zoo: Path, tmp_path: Path) -> None:
    records = read_galaxy_zoo(zoo)
    for workers in (1, 3):
        write_pack(records, SMALL, tmp_path / f"{workers}.pack", workers=workers)
    for name in ("images.npy", "table.parquet", "pack.json"):
        assert (tmp_path / "1.pack" / name).read_bytes() == (tmp_path / "3.pack" / name).read_bytes()


def test_alpha_of_training_cutouts_reaches_no_pack(tmp_path: Path) -> None:
    from PIL import Image

    colours = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    images = []
    for opaque in (0, 1):
        folder = tmp_path / f"data{opaque}"
        (folder / "cutouts_good").mkdir(parents=True)
        alpha = np.full((96, 96, 1), 255 * opaque, np.uint8)
        Image.fromarray(np.concatenate([colours, alpha], axis=2)).save(folder / "cutouts_good" / "1_ASW01.png")
        catalog = "truth,alpha,ZooID,cutoutname\nLENS,1,ASW01,1_ASW01.png\n"
        (folder / "cluster_catalog.csv").write_text(catalog)
        write_pack(read_space_warps(folder), Preprocess(size_px=96), tmp_path / f"{opaque}.pack")
        images.append(read_pack(tmp_path / f"{opaque}.pack").images)
    np.testing.assert_array_equal(*images)
    np.testing.assert_array_equal(images[0][0], colours)


def test_packing_again_says_that_nothing_changed_and_reads_no_image(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_pack(read_galaxy_zoo(zoo), SMALL, tmp_path / "zoo.pack")
    monkeypatch.setattr(ImageFile, "read", lambda _: pytest.fail("an image was read"))
    again = write_pack(read_galaxy_zoo(zoo), SMALL, tmp_path / "zoo.pack")
    assert again == replace(first, unchanged=True)


def test_pack_is_out_of_date_when_settings_table_or_an_image_change(
    image_folder: Path, tmp_path: Path, image_bytes: Callable[..., bytes]
) -> None:
    path = tmp_path / "a.pack"
    records = read_image_folder(image_folder)
    write_pack(records, SMALL, path)
    assert pack_is_current(records, SMALL, path)
    assert not pack_is_current(records, Preprocess(crop_px=24, size_px=11), path)
    assert not pack_is_current(replace(records, table=records.table.assign(extra=1)), SMALL, path)
    assert not pack_is_current(records.select(np.arange(11)), SMALL, path)
    change_later(image_folder / "a05.png", image_bytes(77, "PNG"))
    assert not pack_is_current(read_image_folder(image_folder), SMALL, path)
    with pytest.raises(OutputExistsError, match=r"a\.pack: already exists"):
        write_pack(read_image_folder(image_folder), SMALL, path)
    assert not write_pack(read_image_folder(image_folder), SMALL, path, force=True).unchanged
    np.testing.assert_array_equal(
        read_pack(path).images[5], SMALL.decode((image_folder / "a05.png").read_bytes(), "a05.png")
    )


def change_later(path: Path, content: bytes) -> None:
    """Write a file anew as if ten seconds had gone by, since some disks tell times to two seconds only."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**10))


def test_changed_member_of_a_zip_is_noticed_whatever_its_time(zoo: Path, tmp_path: Path) -> None:
    write_pack(read_galaxy_zoo(zoo), SMALL, tmp_path / "a.pack")
    source = zoo / "images_training_rev1.zip"
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name.endswith(".jpg")}
    members["images_training_rev1/100008.jpg"] = members["images_training_rev1/100023.jpg"]
    stamp = source.stat()
    with zipfile.ZipFile(source, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert not pack_is_current(read_galaxy_zoo(zoo), SMALL, tmp_path / "a.pack")


def test_broken_image_ends_packing_and_leaves_nothing(image_folder: Path, tmp_path: Path) -> None:
    broken = image_folder / "a07.png"
    broken.write_bytes(broken.read_bytes()[:60])
    (image_folder / "a09.png").write_bytes(b"")
    records = read_image_folder(image_folder)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadImageError, match=r"a07\.png: cannot be decoded") as error:
        write_pack(records, SMALL, tmp_path / "a.pack")
    assert "--skip-bad" in error.value.fix
    assert sorted(tmp_path.iterdir()) == before


def test_broken_images_are_left_out_and_listed_under_skip_bad(image_folder: Path, tmp_path: Path) -> None:
    for name in ("a00", "a07", "a11"):
        (image_folder / f"{name}.png").write_bytes(b"not an image")
    records = read_image_folder(image_folder)
    assert records.files is not None
    (image_folder / "a03.png").unlink()
    summary = write_pack(records, SMALL, tmp_path / "a.pack", skip_bad=True)
    pack = read_pack(tmp_path / "a.pack")
    kept = [row for row in range(12) if row not in (0, 3, 7, 11)]
    assert pack.table["id"].tolist() == [f"a{row:02d}" for row in kept]
    np.testing.assert_array_equal(pack.images, [SMALL.decode(records.files[row].read(), "x.png") for row in kept])
    assert [text.split(":")[0].rsplit("/", 1)[-1] for text in summary.skipped] == [
        f"a{row:02d}.png" for row in (0, 3, 7, 11)
    ]
    assert json.loads((tmp_path / "a.pack" / "pack.json").read_text())["skipped"] == list(summary.skipped)
    assert write_pack(records, SMALL, tmp_path / "a.pack", skip_bad=True).unchanged
    with pytest.raises(OutputExistsError, match="already exists"):
        write_pack(records, SMALL, tmp_path / "a.pack")


def test_source_of_which_no_image_can_be_decoded_is_refused(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of 12 images can be decoded; the first: .*found 3 bands, expected 5"):
        write_pack(read_image_folder(image_folder), Preprocess(size_px=8, bands=5), tmp_path / "a.pack", skip_bad=True)
    assert not (tmp_path / "a.pack").exists()


def test_catalogue_without_images_cannot_be_packed(tmp_path: Path) -> None:
    records = Records("space-warps", pd.DataFrame({"id": ["a"], "group": ["a"]}), None)
    with pytest.raises(InputError, match="the table was read without its images"):
        write_pack(records, SMALL, tmp_path / "a.pack")


def test_foreign_output_is_never_removed(image_folder: Path, tmp_path: Path) -> None:
    records = read_image_folder(image_folder)
    with pytest.raises(OutputExistsError, match="already exists"):
        write_pack(records, SMALL, image_folder)
    with pytest.raises(InputError, match="is not removed even with --force"):
        write_pack(records, SMALL, image_folder, force=True)
    pack = tmp_path / "a.pack"
    write_pack(records, SMALL, pack)
    (pack / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not removed even with --force"):
        write_pack(records, Preprocess(size_px=8), pack, force=True)
    assert (pack / "notes.txt").read_text() == "mine"
    assert len(list(image_folder.iterdir())) == 12


def test_full_disk_is_found_before_and_during_packing(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = read_image_folder(image_folder)
    before = sorted(tmp_path.iterdir())

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "_write_header", fail)
        with pytest.raises(InputError, match=r"a\.pack: the disk is full"):
            write_pack(records, SMALL, tmp_path / "a.pack")

    class Usage:
        free = 1000

    monkeypatch.setattr(output.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(InputError, match=r"a\.pack: needs 1 MB, found 0 MB free"):
        write_pack(records, SMALL, tmp_path / "a.pack")
    assert sorted(tmp_path.iterdir()) == before


def test_interrupted_packing_leaves_nothing_and_the_old_pack_stays(image_folder: Path, tmp_path: Path) -> None:
    records = read_image_folder(image_folder)
    write_pack(records, SMALL, tmp_path / "a.pack")
    old = read_pack(tmp_path / "a.pack").images.copy()
    before = sorted(tmp_path.iterdir())

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt(f"{done} of {total}")

    for name in ("a.pack", "b.pack"):
        with pytest.raises(KeyboardInterrupt, match="12 of 12"):
            write_pack(records, Preprocess(size_px=8), tmp_path / name, force=True, progress=interrupt)
    assert sorted(tmp_path.iterdir()) == before
    np.testing.assert_array_equal(read_pack(tmp_path / "a.pack").images, old)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_progress_counts_every_image_once(image_folder: Path, tmp_path: Path) -> None:
    (image_folder / "a04.png").write_bytes(b"")
    calls: list[tuple[int, int]] = []
    records = read_image_folder(image_folder)
    write_pack(
        records, SMALL, tmp_path / "a.pack", skip_bad=True, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == sorted(calls)
    assert calls[-1] == (12, 12)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda pack: (pack / "pack.json").unlink(), "is no pack, expected a folder with images.npy"),
        (lambda pack: (pack / "pack.json").write_text("{"), "the pack is damaged .pack.json"),
        (lambda pack: (pack / "pack.json").write_text('{"format": "other"}'), "something else than a pack"),
        (lambda pack: _change(pack, version=99), "found a pack of version 99, expected 1"),
        (lambda pack: _change(pack, preprocess={"size_px": 0}), "the pack is damaged"),
        (lambda pack: _change(pack, images=5), "images.npy holds uint8"),
        (lambda pack: _change(pack, link_columns=["field"]), "table.parquet holds 12 rows"),
        (lambda pack: (pack / "table.parquet").write_bytes(b"PAR1"), "the pack is damaged"),
        (lambda pack: os.truncate(pack / "images.npy", 900), "the pack is damaged"),
        (lambda pack: (pack / "images.npy").unlink(), "the pack is damaged"),
        (lambda pack: np.save(pack / "images.npy", np.zeros((12, 12, 12, 3))), "images.npy holds float64"),
    ],
)
def test_damaged_or_foreign_pack_is_one_clear_error(
    image_folder: Path, tmp_path: Path, damage: Callable[[Path], object], found: str
) -> None:
    pack = tmp_path / "a.pack"
    write_pack(read_image_folder(image_folder), SMALL, pack)
    damage(pack)
    with pytest.raises(InputError, match=found):
        read_pack(pack)


def _change(pack: Path, **changes: object) -> None:
    path = pack / "pack.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_path_that_is_no_pack_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"zoo\.pack: does not exist"):
        read_pack(tmp_path / "zoo.pack")


def test_real_images_pack_as_they_decode(shared_data: Path, tmp_path: Path) -> None:
    records = read_galaxy_zoo(shared_data / "galaxy-zoo").select(np.arange(0, 6292, 100))
    preprocess = Preprocess(crop_px=288, size_px=108)
    write_pack(records, preprocess, tmp_path / "zoo.pack")
    pack = read_pack(tmp_path / "zoo.pack")
    assert records.files is not None
    assert len(pack) == 63
    np.testing.assert_array_equal(pack.images[-1], preprocess.decode(records.files[-1].read(), "x.jpg"))
    centre = pack.images[:, 44:64, 44:64].mean()
    edge = pack.images[:, :10].mean()
    assert centre > 3 * edge


def test_copies_under_other_names_are_one_group_of_a_pack_and_are_told(image_folder: Path, tmp_path: Path) -> None:
    write_pack(read_image_folder(image_folder), SMALL, tmp_path / "without.pack")
    without = read_pack(tmp_path / "without.pack").table
    assert without["group"].is_unique
    assert not any("pixels of another" in text for text in read_summary(tmp_path / "without.pack"))
    original = sorted(image_folder.rglob("*.*"))[0]
    copy = original.with_name(f"zz_copy{original.suffix}")
    copy.write_bytes(original.read_bytes())
    write_pack(read_image_folder(image_folder), SMALL, tmp_path / "with.pack")
    table = read_pack(tmp_path / "with.pack").table.set_index("id")
    assert len(table) == len(without) + 1
    twins = table[table["pixel_hash"] == table.loc[find_id(table, "zz_copy"), "pixel_hash"]]
    assert (len(twins), twins["group"].nunique()) == (2, 1)
    assert table["group"].nunique() == len(without)
    assert "1 images have the pixels of another one, and count as one group with it" in read_summary(
        tmp_path / "with.pack"
    )


def read_summary(path: Path) -> list[str]:
    return json.loads((path / "pack.json").read_text())["remarks"]


def find_id(table: pd.DataFrame, part: str) -> str:
    return next(name for name in table.index if part in name)


def test_a_changed_byte_of_a_pack_is_found_by_its_hash_alone(tmp_path: Path) -> None:
    from small_sets import make_lens_set

    path = tmp_path / "a.pack"
    write_set(make_lens_set(8), path)
    assert not describe(path, verify=True).problems
    data = bytearray((path / "images.npy").read_bytes())
    data[-5] ^= 1
    (path / "images.npy").write_bytes(data)
    assert not describe(path).problems
    (problem,) = describe(path, verify=True).problems
    assert problem.startswith("images.npy: found the SHA-256")
    description = json.loads((path / "pack.json").read_text())
    del description["sha256"]
    (path / "pack.json").write_text(json.dumps(description))
    assert "a pack of before, which has no hashes" in describe(path, verify=True).lines
