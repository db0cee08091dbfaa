from __future__ import annotations

import threading
import zipfile
from pathlib import Path

import pytest

from convnet_galaxies.data import zip_files
from convnet_galaxies.data.archive import list_images, require_path
from convnet_galaxies.data.records import ImageFile
from convnet_galaxies.data.zip_files import read_member
from convnet_galaxies.errors import BadImageError, InputError


def test_images_are_found_at_any_depth_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.jpg", "deep/er/a.PNG", "c.fits.gz", "__MACOSX/._b.jpg", ".hidden.jpg", ".cache/d.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in list_images(tmp_path)] == ["b.jpg", "c.fits.gz", "a.PNG"]


def test_zip_and_its_unzipped_folder_list_the_same_images(zoo: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zoo / "images_training_rev1.zip") as archive:
        archive.extractall(tmp_path / "unzipped")
    packed = list_images(zoo / "images_training_rev1.zip")
    loose = list_images(tmp_path / "unzipped")
    assert [file.name for file in packed] == [file.name for file in loose]
    assert [file.read() for file in packed] == [file.read() for file in loose]


def test_list_of_sources_joins_them_and_names_each_file_once(image_folder: Path) -> None:
    one = image_folder / "a03.png"
    assert len(list_images([image_folder, one])) == 12


def test_linked_folders_are_followed_without_going_in_circles(image_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "to").symlink_to(image_folder)
    (image_folder / "back").symlink_to(other)
    assert len(list_images(other)) == 12


def test_stem_takes_fits_gz_as_one_ending() -> None:
    assert ImageFile(Path("x/J1234+05.6.fits.gz")).stem == "J1234+05.6"
    assert ImageFile(Path("z.zip"), "in/100008.jpg").stem == "100008"


def test_missing_path_tells_what_its_folder_holds(zoo: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist; the folder .* holds images_test_rev1.zip") as error:
        require_path(zoo / "images_trainin_rev1.zip")
    assert "images_training_rev1.zip" in error.value.fix


def test_missing_folder_is_named_rather_than_the_file_in_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: does not exist; the folder"):
        list_images(tmp_path / "nowhere" / "at" / "all.zip")


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "an empty file"), (b"<!DOCTYPE html><html>Sign in", "a web page"), (b"PK\x03\x04cut off", "11 bytes of")],
)
def test_broken_zip_says_what_it_looks_like(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"found {found}"):
        list_images(path)


def test_zip_without_images_names_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    with pytest.raises(InputError, match="found no image but nothing"):
        list_images(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("images_training_rev1.zip", b"")
    with pytest.raises(InputError, match=r"found no image but images_training_rev1\.zip") as error:
        list_images(tmp_path / "all.zip")
    assert "unzip it once" in error.value.fix


def test_folder_that_holds_only_zips_points_to_them(zoo: Path) -> None:
    with pytest.raises(InputError, match="found no image") as error:
        list_images(zoo)
    assert "images_test_rev1.zip" in error.value.fix


def test_damaged_member_is_a_bad_image(zoo: Path) -> None:
    path = zoo / "images_training_rev1.zip"
    file = list_images(path)[0]
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xd8\xff")
    data[place + 100] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BadImageError, match=r"cannot be read .*CRC"):
        file.read()


def test_missing_file_is_a_bad_image(tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match="cannot be read"):
        ImageFile(tmp_path / "gone.png").read()


def test_zip_directory_is_read_once_however_many_members_are_read(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Counted(zipfile.ZipFile):
        def __init__(self, *args, **kwargs) -> None:
            opened.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(zip_files.zipfile, "ZipFile", Counted)
    for file in list_images(zoo / "images_training_rev1.zip"):
        file.read()
    assert len(opened) == 1


def test_many_threads_read_the_right_bytes_while_archives_are_evicted(tmp_path: Path) -> None:
    paths = []
    for number in range(12):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in range(10):
                archive.writestr(f"{member}.png", f"{number}/{member}".encode() * 5000)
        paths.append(path)
    wrong: list[object] = []

    def work(start: int) -> None:
        try:
            for step in range(120):
                number, member = (start + step) % 12, step % 10
                if read_member(paths[number], f"{member}.png") != f"{number}/{member}".encode() * 5000:
                    wrong.append((number, member))
        except Exception as error:  # a thread's exception would be lost
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
