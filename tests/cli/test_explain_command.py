from __future__ import annotations

import json

import numpy as np
from astropy.io import fits
from PIL import Image

from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.inspection.tint import tint_map
from convnet_galaxies.predict.explain import open_explainer


def test_explain_draws_one_image_of_a_pack_and_prints_its_answer(run, world, tmp_path) -> None:
    name = read_pack(world / "lens.pack").table["id"][2]
    done = run("explain", world / "lens", world / "lens.pack", "--id", name, "-o", tmp_path / "map.png")
    assert done.code == 0, done.err
    assert f"lens_probability of {name}: log odds" in done.out
    with Image.open(tmp_path / "map.png") as drawn:
        assert drawn.width > 1.9 * drawn.height


def test_the_map_of_an_image_file_is_written_as_fits_with_the_first_row_at_the_bottom(run, world, tmp_path) -> None:
    image = sorted((world / "zoo_images").iterdir())[0]
    words = ("--target", "Class1.1", "--method", "occlusion", "--check", "--json")
    done = run("explain", world / "zoo", image, "-o", tmp_path / "map.fits", *words)
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert 0 <= facts["correlation_with_random_weights"] <= 1
    with Image.open(image) as picture:
        pixels = np.asarray(picture)
    expected = open_explainer(world / "zoo").explain(pixels, "Class1.1", method="occlusion")
    found, header = fits.getdata(tmp_path / "map.fits", header=True)
    np.testing.assert_array_equal(found[::-1], expected.map)
    assert (header["TARGET"], header["METHOD"]) == ("Class1.1", "occlusion")


def test_explain_asks_for_an_id_and_refuses_what_is_not_there(run, world, tmp_path) -> None:
    calls = {
        "expected one": (world / "lens.pack", "-o", tmp_path / "a.png"),
        "found no image 'x'": (world / "lens.pack", "--id", "x", "-o", tmp_path / "a.png"),
        "found no image 'y'": (world / "lens_images", "--id", "y", "-o", tmp_path / "a.png"),
        "found the ending '.gif'": (world / "lens.pack", "-o", tmp_path / "a.gif"),
    }
    for message, arguments in calls.items():
        done = run("explain", world / "lens", *arguments)
        assert done.code in (1, 2)
        assert message in done.err
    assert not list(tmp_path.iterdir())


def test_a_tint_is_vermilion_where_the_map_is_positive_and_clear_where_it_is_zero() -> None:
    attributions = np.zeros((60, 60))
    attributions[10:20, 10:20], attributions[40:50, 40:50] = 2, -2
    layer = tint_map(attributions)
    assert layer[15, 15].tolist() == [0xD5, 0x5E, 0x00, 235]
    assert layer[45, 45].tolist() == [0x00, 0x72, 0xB2, 235]
    assert layer[30, 30, 3] == 0
