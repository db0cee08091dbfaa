from __future__ import annotations

import os
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from convnet_galaxies.data import zip_files
from convnet_galaxies.data.describe import describe
from convnet_galaxies.data.image_files import IMAGE_ENDINGS, find_images, index_images, list_images
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.records import ImageFile
from convnet_galaxies.data.zip_files import read_member
from convnet_galaxies.errors import BadImageError, InputError
from convnet_galaxies.paths import require_path


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


def test_links_lead_to_folders_within_the_input_alone_and_never_in_circles(image_folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(image_folder, outside)
    (image_folder / "deep").mkdir()
    (image_folder / "deep" / "back").symlink_to(image_folder)
    (image_folder / "out").symlink_to(outside)
    (image_folder / "file.png").symlink_to(outside / "a03.png")
    listing = find_images(image_folder)
    assert len(listing.files) == 13
    assert listing.passed_over["links to folders elsewhere"] == (1, ("out",))
    (tmp_path / "link").symlink_to(image_folder)  # the input itself may be a link
    assert len(list_images(tmp_path / "link")) == 13


def test_folder_of_links_to_folders_elsewhere_is_refused_with_what_to_give(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "tonight").symlink_to(image_folder)
    with pytest.raises(InputError, match="1 link to a folder elsewhere") as refused:
        list_images(tmp_path / "links")
    assert "give the folder that a link leads to" in refused.value.fix


@pytest.mark.parametrize("ending", IMAGE_ENDINGS)
def test_every_ending_is_listed_in_any_case_and_is_no_part_of_the_stem(tmp_path: Path, ending: str) -> None:
    for name in (f"J1234+05.6{ending}", f"B{ending.upper()}"):
        (tmp_path / name).write_bytes(b"x")
    assert [file.stem for file in list_images(tmp_path)] == ["B", "J1234+05.6"]
    assert ImageFile(Path("z.zip"), f"in/100008{ending}").stem == "100008"


def test_what_is_passed_over_in_a_folder_is_counted_by_reason(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    names = ("a.png", "b.gif", "c.GIF", "d.tar.gz", "e.fits.xz", "bare", ".f.png", "._a.png", ".DS_Store", "t.csv")
    for name in (*names, "README.md", "deep/g.xcf", ".git/h.png", "__MACOSX/._a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "lost").symlink_to(folder / "nowhere")
    (folder / "round").symlink_to(folder / "round")
    os.mkfifo(folder / "pipe.png")
    listing = find_images(folder)
    assert [file.name for file in listing.files] == ["a.png"]
    assert {reason: count for reason, (count, _) in listing.passed_over.items()} == {
        ".gif": 2,
        ".tar.gz": 1,
        ".fits.xz": 1,
        ".xcf": 1,
        "without an ending": 1,
        "hidden images": 1,
        "broken links": 2,
        "devices or pipes": 1,
        "hidden or of the system": 4,
        "tables and texts": 2,
    }
    assert listing.remarks[0].startswith(
        f"{folder}: passed over: 2 .gif, 2 broken links, 1 .fits.xz, 1 .tar.gz, 1 .xcf, "
    )
    assert listing.remarks[0].endswith(", 4 hidden or of the system, 2 tables and texts (such as .f.png, b.gif, bare)")


def test_tables_and_files_of_the_system_beside_images_give_no_remark(zoo: Path, image_folder: Path) -> None:
    (image_folder / "table.csv").write_text("id\na01\n")
    assert find_images(image_folder).remarks == ()
    assert "passed over: 1 table or text" in " ".join(describe(image_folder).lines)
    listing = find_images(zoo / "images_training_rev1.zip")
    assert listing.passed_over["hidden or of the system"][0] == 6
    assert listing.remarks == ()


def test_folder_that_may_not_be_read_is_counted(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image_folder / "locked").mkdir()
    scan = os.scandir

    def refuse(folder: str):  # a test may run as root, who may read everything
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "passed over: 1 folder that may not be read" in find_images(image_folder).remarks[0]


def test_members_of_a_zip_are_read_whatever_their_names(tmp_path: Path, image_bytes: Callable[..., bytes]) -> None:
    names = ("../a.png", "/abs/b.png", "C:\\dir\\c.png", "./d.png", "up/../../e.png", "one/f.png", "two\\f.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, image_bytes(number, "PNG"))
    files = index_images(list_images(tmp_path / "a.zip"))
    assert sorted(files) == ["a", "b", "c", "d", "e", "one/f", "two/f"]
    assert {file.read() for file in files.values()} == {image_bytes(number, "PNG") for number in range(len(names))}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_passed_over_in_a_zip_is_counted_by_reason(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("a.png", "b.gif", "in.zip", ".c.png", "__MACOSX/._a.png", "x/t.csv"):
            archive.writestr(name, b"old")
        archive.writestr("a.png", b"new")
        archive.writestr("folder.png/", b"")
    listing = find_images(tmp_path / "a.zip")
    assert [file.read() for file in listing.files] == [b"new"]
    assert {reason: count for reason, (count, _) in listing.passed_over.items()} == {
        ".gif": 1,
        ".zip": 1,
        "hidden images": 1,
        "older members of the same name": 1,
        "hidden or of the system": 1,
        "tables and texts": 1,
    }


def test_member_under_a_password_is_a_bad_image_that_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", b"secret")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[6] |= 1  # the flag in the member's own header
    data[data.index(b"PK\1\2") + 8] |= 1  # and in the directory
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BadImageError, match="is encrypted, password required") as error:
        list_images(tmp_path / "a.zip")[0].read()
    assert "unpack the zip with its password" in error.value.fix


def test_readers_and_describe_tell_what_was_passed_over(image_folder: Path, tmp_path: Path) -> None:
    (image_folder / "z.gif").write_bytes(b"GIF89a")
    expected = f"{image_folder}: passed over: 1 .gif (such as z.gif)"
    assert read_image_folder(image_folder).remarks == (expected,)
    assert describe(image_folder).problems == (expected,)
    table = tmp_path / "t.csv"
    table.write_text("id,lens\n" + "".join(f"a{n:02d},{n % 2}\n" for n in range(12)))
    assert read_image_folder(image_folder, table).remarks[0] == expected


def test_several_sources_give_one_sentence(image_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for folder in (image_folder, other):
        (folder / "z.gif").write_bytes(b"GIF89a")
    (other / "b.png").write_bytes(b"x")
    listing = find_images([image_folder, other])
    assert len(listing.files) == 13
    assert listing.remarks == (f"{image_folder}, {other}: passed over: 2 .gif (such as z.gif, z.gif)",)


def test_folder_of_other_endings_only_is_refused_with_their_counts(tmp_path: Path) -> None:
    for name in ("a.gif", "b.gif", "c.xcf"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"found no image but .* \(passed over: 2 \.gif, 1 \.xcf\), expected") as error:
        list_images(tmp_path)
    assert "convert the images to PNG" in error.value.fix


def test_packed_folder_is_to_be_unpacked(tmp_path: Path) -> None:
    tar = tmp_path / "images.tar.gz"
    tar.write_bytes(b"x")
    with pytest.raises(InputError, match=r"images\.tar\.gz: is not an image") as error:
        list_images(tar)
    assert "unpack it" in error.value.fix
    with pytest.raises(InputError, match=r"passed over: 1 \.tar\.gz") as error:
        list_images(tmp_path)
    assert "unpack images.tar.gz" in error.value.fix


def test_pattern_is_no_path(image_folder: Path) -> None:
    with pytest.raises(InputError, match=r"\*\.png is taken as a name, not as a pattern") as error:
        list_images(image_folder / "*.png")
    assert f"give the folder {image_folder}" in error.value.fix


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
