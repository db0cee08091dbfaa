from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_fits import bands, image, labels, save, sky, tan_wcs, to_bytes
from PIL import Image

from convnet_galaxies.data.band_files import read_image
from convnet_galaxies.data.image_files import find_images
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.errors import BadImageError, InputError


def fill(folder: Path, *names: str, told: bool = False, **cards) -> Path:
    """Files of these names, each with its own noise; told: with FILTER where the name ends with a band."""
    for seed, name in enumerate(names):
        own = {"FILTER": Path(name).name.split(".")[0][-1]} if told else {}
        save(folder / name, sky(seed), primary={**cards, **own})
    return folder


def joined(folder: Path) -> dict[str, list[str]]:
    """Names of the images, each with the files that it is read from."""
    return {file.stem: [part.name for part in file.parts] for file in find_images(folder).files}


def test_names_that_differ_in_their_band_alone_are_one_image(tmp_path: Path) -> None:
    fill(tmp_path, *(f"J024{k}-2847_{band}.fits" for k in (3, 4) for band in "gri"))
    assert joined(tmp_path) == {
        name: [f"{name}_{band}.fits" for band in "irg"] for name in ("J0243-2847", "J0244-2847")
    }
    found = find_images(tmp_path)
    assert found.joined == ("6 files of one band each (or its mask or weight) were joined into 2 images",)
    one = read_image(found.files[0])
    assert (bands(one), labels(one)) == ("i r g", [f"J0243-2847_{band}.fits" for band in "irg"])
    np.testing.assert_array_equal(one.planes[2].values, sky(0)[::-1])


@pytest.mark.parametrize(
    ("names", "image_name"),
    [
        (["des/DES0219_r2583p01_g.fits.fz", "des/DES0219_r2583p01_r.fits.fz"], "DES0219_r2583p01"),
        (["CFIS.123.456.u.fits", "CFIS.123.456.r.fits"], "CFIS.123.456"),
        (["calexp-HSC-G-8523-55.fits", "calexp-HSC-R-8523-55.fits"], "calexp-HSC-8523-55"),
        (["a/hst_9822_acs_f606w_drz.fits", "a/hst_9822_acs_f814w_drz.fits"], "hst_9822_acs_drz"),
        (["frame-g-006122-6-0140.fits.bz2", "frame-r-006122-6-0140.fits.bz2"], "frame-006122-6-0140"),
        (["x_gband.FITS", "x_rband.FITS"], "x"),
        (["g/ngc1.fits", "r/ngc1.fits"], "ngc1"),
        (["Band1/imageSDSS_R-12.fits", "Band2/imageSDSS_I-12.fits", "Band3/imageSDSS_G-12.fits"], "imageSDSS-12"),
        (["band_g/obj 7.fits", "band_i/obj 7.fits"], "obj 7"),
        (["J0243/g.fits", "J0243/r.fits", "J0243/i.fits"], "J0243"),
        (["J0243/stack_g.fits", "J0243/stack_r.fits"], "stack"),
    ],
)
def test_layouts_of_surveys_are_joined_and_named_without_the_band(tmp_path: Path, names, image_name) -> None:
    fill(tmp_path / "in", *names)
    found = joined(tmp_path / "in")
    assert list(found) == [image_name]
    assert len(found[image_name]) == len(names)


def test_a_folder_per_object_holds_one_image_each_beside_previews_and_psfs(tmp_path: Path) -> None:
    for name in ("J0001", "J0002"):
        fill(tmp_path / name, "g.fits", "r.fits", "i.fits")
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name / "preview.png")
    save(tmp_path / "J0001" / "psf_g.fits", sky(side=9))
    found = joined(tmp_path)
    assert found["J0002"] == ["i.fits", "r.fits", "g.fits"]
    assert [name for name in found["J0001"] if "psf" not in name] == ["i.fits", "r.fits", "g.fits"]
    first = next(file for file in find_images(tmp_path).files if file.stem == "J0001")
    assert bands(read_image(first)) == "i r g"


@pytest.mark.parametrize(
    "names",
    [
        ["a.fits", "b.fits", "g.fits", "i.fits"],
        ["g.fits", "i.fits", "x.fits", "NGC1.fits"],
        ["NGC1.fits", "NGC2.fits", "NGC3.fits", "g.fits", "r.fits"],
        ["galaxy_I.fits", "galaxy_II.fits", "galaxy_III.fits", "galaxy_IV.fits", "galaxy_V.fits"],
        ["field_A.fits", "field_B.fits", "field_V.fits"],
        ["halo1_x.fits", "halo1_y.fits", "halo1_z.fits"],
        ["Y/1.fits", "N/1.fits", "R/1.fits"],
        ["u_1.fits", "g_2.fits", "r_3.fits"],
        ["J0243_g.fits", "K0243_r.fits"],
        ["m31_g.fits", "m33_r.fits"],
    ],
)
def test_letters_that_name_objects_join_nothing(tmp_path: Path, names: list[str]) -> None:
    fill(tmp_path, *names)
    assert sorted(file.name for file in find_images(tmp_path).files) == sorted(Path(name).name for name in names)
    assert find_images(tmp_path).joined == ()


def test_two_files_of_one_band_or_one_without_a_band_leave_all_apart(tmp_path: Path) -> None:
    fill(tmp_path / "twice", "x_g.fits", "x_r.fits", "x_r.fits.fz")
    fill(tmp_path / "cube", "x.fits", "x_g.fits", "x_r.fits")
    for folder in ("twice", "cube"):
        assert len(find_images(tmp_path / folder).files) == 3


def test_weights_and_masks_in_files_of_their_own_are_used_and_not_shown(tmp_path: Path) -> None:
    weight, mask = np.ones((40, 40), np.float32), np.zeros((40, 40), np.int16)
    weight[0, :5], mask[1, :5] = 0, 1
    values = sky()
    values[1, :5] = 0
    for band in "gr":
        save(tmp_path / f"KiDS_43.2_{band}_sci.fits", values)
        save(tmp_path / f"KiDS_43.2_{band}_wei.fits", weight if band == "g" else np.ones((40, 40), np.float32))
        save(tmp_path / f"KiDS_43.2_{band}_msk.fits", mask)
    assert list(joined(tmp_path)) == ["KiDS_43.2"]
    found = read_image(find_images(tmp_path).files[0])
    assert bands(found) == "r g"
    assert [np.argwhere(np.isnan(plane.values[::-1]))[:, 0].tolist() for plane in found.planes] == [
        [1] * 5,
        [0] * 5 + [1] * 5,
    ]


def test_decam_images_have_their_quality_and_weight_beside_them_packed_or_not(tmp_path: Path) -> None:
    weight = np.ones((40, 40), np.float32)
    weight[7, 7] = 0
    for kind, values in (("ooi", sky()), ("ood", np.zeros((40, 40), np.int16)), ("oow", weight)):
        save(
            tmp_path / f"c4d_140818_232043_{kind}_z_v2.fits.fz",
            image(values, tan_wcs(), "N12"),
            primary={"FILTER": "z"},
        )
    assert list(joined(tmp_path)) == ["c4d_140818_232043_v2"]
    found = read_image(find_images(tmp_path).files[0])
    assert bands(found) == "z"
    assert np.argwhere(np.isnan(found.planes[0].values[::-1])).tolist() == [[7, 7]]


def test_masks_without_an_image_are_counted_and_alone_refused(tmp_path: Path) -> None:
    fill(tmp_path, "a_msk.fits", "b_msk.fits", "c_wht.fits", "d_g.fits")
    found = find_images(tmp_path)
    assert [file.name for file in found.files] == ["d_g.fits"]
    assert found.joined == (
        "passed over: 2 mask files (by their names) without an image",
        "passed over: 1 weight file (by their names) without an image",
    )
    with pytest.raises(BadImageError, match="found a mask by its name"):
        read_image(find_images(tmp_path / "a_msk.fits").files[0])
    (tmp_path / "d_g.fits").unlink()
    with pytest.raises(InputError, match="found no image of the sky"):
        find_images(tmp_path)


@pytest.mark.parametrize("word", ["sky", "model", "noise", "exp", "bad", "stat"])
def test_words_that_stand_in_names_of_objects_make_no_mask_where_all_files_have_them(tmp_path: Path, word: str) -> None:
    fill(tmp_path, *(f"{word}_{k}.fits" for k in range(3)), f"{word}.fits")
    assert len(find_images(tmp_path).files) == 4


def test_members_of_a_zip_are_joined_as_files_are(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for seed, name in enumerate(("deep/x_g.fits", "deep/x_r.fits", "other/x_g.fits", "y/i.fits", "y/r.fits")):
            archive.writestr(name, to_bytes(sky(seed)))
    assert sorted(len(file.parts) for file in find_images(tmp_path / "in.zip").files) == [1, 2, 2]
    first = find_images(tmp_path / "in.zip").files[0]
    assert (first.stem, bands(read_image(first))) == ("x", "r g")


def test_a_header_that_contradicts_the_name_is_named(tmp_path: Path) -> None:
    save(tmp_path / "x_g.fits", sky(0), primary={"FILTER": "i"})
    save(tmp_path / "x_r.fits", sky(1), primary={"FILTER": "r"})
    with pytest.raises(BadImageError, match=r"x_g\.fits: found the band i in its header \(FILTER\), but g in its name"):
        read_image(find_images(tmp_path).files[0])


def test_bands_of_other_shape_or_sky_and_cubes_are_named(tmp_path: Path) -> None:
    save(tmp_path / "a_g.fits", sky(0, 30))
    save(tmp_path / "a_r.fits", sky(1, 40))
    with pytest.raises(BadImageError, match=r"a_g\.fits: found 30 x 30 px, expected 40 x 40 px as in a_r\.fits"):
        read_image(find_images(tmp_path).files[0])
    save(tmp_path / "b" / "b_g.fits", image(sky(0), tan_wcs()))
    save(tmp_path / "b" / "b_r.fits", image(sky(1), tan_wcs(ra_deg=31.0)))
    with pytest.raises(BadImageError, match=r"b_g\.fits: found another part of the sky than in b_r\.fits"):
        read_image(find_images(tmp_path / "b").files[0])
    save(tmp_path / "c" / "c_g.fits", np.stack([sky(0), sky(1)]))
    save(tmp_path / "c" / "c_r.fits", sky(1))
    with pytest.raises(BadImageError, match=r"c_g\.fits: found 2 bands, expected one"):
        read_image(find_images(tmp_path / "c").files[0])


def test_zero_points_of_joined_files_are_those_of_each(tmp_path: Path) -> None:
    for magnitude, band in ((30.0, "i"), (27.0, "r"), (25.0, "g")):
        save(tmp_path / f"x_{band}.fits", sky(1), primary={"MAGZERO": magnitude})
    found = read_image(find_images(tmp_path).files[0])
    assert [plane.zeropoint.mag for plane in found.planes if plane.zeropoint] == [30.0, 27.0, 25.0]


def test_order_of_names_and_of_the_listing_does_not_matter(tmp_path: Path) -> None:
    from convnet_galaxies.data.band_files import join_band_files
    from convnet_galaxies.data.image_file import ImageFile

    names = [f"x{k}_{band}.fits" for k in range(3) for band in "irg"]
    files = [ImageFile(tmp_path / name) for name in fill_names(tmp_path, names)]
    expected = {file.stem: file.parts for file in join_band_files(files)[0]}
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(files))
        found = join_band_files([files[k] for k in order])[0]
        assert {file.stem: file.parts for file in found} == expected


def fill_names(folder: Path, names: list[str]) -> list[str]:
    fill(folder, *names)
    return names


@pytest.mark.parametrize(
    ("columns", "extra"),
    [
        (("g_file", "r_file", "i_file"), {"name": ["one", "two"]}),
        (("file_g", "file_r", "file_i"), {}),
        (("g", "r", "i"), {}),
    ],
)
def test_a_table_with_a_column_of_files_per_band_joins_them(tmp_path: Path, columns, extra) -> None:
    names = {band: [f"cut{k}{band}.fits" for k in range(2)] for band in "gri"}
    fill(tmp_path / "in", *(name for pair in names.values() for name in pair))
    frame = pd.DataFrame({**extra, **dict(zip(columns, names.values(), strict=True)), "is_lens": [1, 0]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    records = read_image_folder(tmp_path / "in", tmp_path / "t.csv")
    assert records.files is not None
    assert len(records) == 2
    if extra:
        assert records.table["id"].tolist() == ["one", "two"]
    for row, file in enumerate(records.files):
        one = read_image(file)
        assert bands(one) == "i r g"
        assert labels(one) == [f"cut{row}{band}.fits" for band in "irg"]
    assert Preprocess(size_px=40).decode_file(records.files[0])[0].shape == (40, 40, 3)


def test_wide_fields_of_cfhtls_are_no_bands_unless_wise_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "cfhtls", "W1_001.fits", "W2_001.fits", "W1_002.fits")
    assert joined(tmp_path / "cfhtls") == {name: [f"{name}.fits"] for name in ("W1_001", "W1_002", "W2_001")}
    assert [one.band for one in find_images(tmp_path / "cfhtls").files] == [None, None, None]
    fill(tmp_path / "bands", *(f"W{field}_001_{band}.fits" for field in (1, 2) for band in "gr"))
    assert set(joined(tmp_path / "bands")) == {"W1_001", "W2_001"}
    fill(tmp_path / "wise", "unwise_001_W1.fits", "unwise_001_W2.fits")
    assert joined(tmp_path / "wise") == {"unwise_001": ["unwise_001_W2.fits", "unwise_001_W1.fits"]}
    fill(tmp_path / "both", "001_g.fits", "001_W1.fits")
    assert joined(tmp_path / "both") == {"001": ["001_W1.fits", "001_g.fits"]}
