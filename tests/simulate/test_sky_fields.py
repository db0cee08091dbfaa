from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.simulate.bright_stars import saturate
from convnet_galaxies.simulate.camera import Camera, linear_to_composite, to_mag
from convnet_galaxies.simulate.field import draw_field, draw_pointing, render_objects
from convnet_galaxies.simulate.injection import inject, inject_lens, inject_lens_gri
from convnet_galaxies.simulate.lens import LENS_FLAVORS
from convnet_galaxies.simulate.red_galaxies import find_red_galaxies
from convnet_galaxies.simulate.sky_population import SkyObject
from convnet_galaxies.simulate.survey import draw_tile, plan_survey, simulate_survey, tile_contents, tile_light

KINDS = {"elliptical", "spiral", "ring", "merger", "star", "irregular", "satellite trail"}
RED = SkyObject(70.3, 66.8, 19.6, 1.6, 0.6, "elliptical", 0.4, 4.0, 0.7, 0.5)


def field_of(seed: int, size_px: int = 440) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return draw_field(draw_pointing(rng, size_px=size_px), rng)


def picture(*objects: SkyObject, size_px: int = 140, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    light = render_objects(list(objects), (size_px, size_px), Camera())
    sigma = np.array(Camera().sky_sigma_counts)[:, None, None]
    return (light + sigma * rng.standard_normal(light.shape)).astype(np.float32)


def test_same_seed_same_bytes_and_another_seed_another_field() -> None:
    first, again, other = (linear_to_composite(field_of(seed, size_px=200)) for seed in (4, 4, 5))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert first.shape == (200, 200, 3)


def test_objects_of_a_field_are_of_known_kinds_and_inside_the_margin() -> None:
    pointing = draw_pointing(np.random.default_rng(8))
    assert {o.kind for o in pointing.objects} <= KINDS
    assert all(-30 <= o.x_px <= 470 or o.group >= 0 or o.kind == "satellite trail" for o in pointing.objects)
    assert all((o.einstein_radius_arcsec > 0) == (o.kind == "elliptical") for o in pointing.objects)
    gri = draw_field(pointing, np.random.default_rng(9))
    assert gri.dtype == np.float32
    assert gri.shape == (3, 440, 440)
    assert pointing.hosts()
    assert all(host.kind == "elliptical" and 20 <= host.x_px < 420 for host in pointing.hosts())


def test_a_moved_object_differs_in_its_place_alone() -> None:
    assert RED.moved(-3.5, 4.0) == replace(RED, x_px=RED.x_px - 3.5, y_px=RED.y_px + 4.0)


def test_a_field_is_drawn_the_same_whenever_it_is_drawn() -> None:
    pointing = draw_pointing(np.random.default_rng(3), size_px=160)
    first = draw_field(pointing, np.random.default_rng(4))
    draw_field(draw_pointing(np.random.default_rng(5), size_px=160), np.random.default_rng(6))
    assert draw_field(pointing, np.random.default_rng(4)).tobytes() == first.tobytes()


def test_a_star_whose_bleeding_ends_before_the_field_leaves_it_alone() -> None:
    for seed in range(20):
        gri = np.zeros((3, 120, 120), np.float32)
        # 13 mag bleeds over 84 rows at most.
        saturate(gri, [SkyObject(60.0, -90.0, 13.0, 0.5, 0.2, "star", detail_seed=seed)], (6000.0, 6000.0, 6000.0))
        assert not gri.any()


def test_half_of_a_composite_is_black_sky_as_in_the_real_ones() -> None:
    shares = [(linear_to_composite(field_of(seed)) == 0).mean() for seed in range(4)]
    assert 0.44 < np.median(shares) < 0.56


@pytest.mark.parametrize("kind", ["elliptical", "spiral", "ring", "merger", "irregular", "star"])
def test_every_kind_of_object_has_the_magnitude_of_its_row(kind: str) -> None:
    o = SkyObject(150.4, 149.7, 20.0, 0.6, 0.3, kind, 0.3, 0.0 if kind == "star" else 5.0, 0.8, 0.7, detail_seed=3)
    light = render_objects([o], (300, 300), Camera())
    np.testing.assert_allclose(to_mag(light.sum(axis=(1, 2))), [20.6, 20.0, 19.7], atol=0.02)


def test_red_galaxies_are_found_where_they_are_and_blue_ones_and_stars_are_not() -> None:
    blue = replace(RED, x_px=30.0, y_px=100.0, g_r=0.4, r_i=0.2, kind="spiral")
    star = SkyObject(105.0, 30.0, 20.5, 1.45, 1.0, "star")
    found = find_red_galaxies(picture(RED, blue, star), np.array(Camera().sky_sigma_counts))
    assert len(found) == 1
    assert np.hypot(found[0].x_px - RED.x_px, found[0].y_px - RED.y_px) < 0.5
    assert found[0].g_r == pytest.approx(1.6, abs=0.15)
    assert found[0].redshift == pytest.approx(0.4, abs=0.08)
    assert found[0].angle_rad == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("flavor", LENS_FLAVORS)
def test_injection_changes_only_what_the_light_reaches(flavor: str) -> None:
    rgb = linear_to_composite(picture(RED))
    before = rgb.copy()
    pixels, mask, truth = inject_lens(rgb, np.random.default_rng(1), flavor)  # type: ignore[misc]
    assert (rgb == before).all()
    changed = (pixels != rgb).any(axis=2)
    assert changed[mask].all()
    assert not changed[:10, :10].any()
    assert truth["flavor"] == flavor
    assert np.hypot(truth["x_px"] - RED.x_px, truth["y_px"] - RED.y_px) < 1
    again = inject_lens(rgb, np.random.default_rng(1), flavor)
    assert again is not None
    assert again[0].tobytes() == pixels.tobytes()


def test_injected_light_never_darkens_what_was_white() -> None:
    white = replace(RED, x_px=88.0, y_px=66.0, r_mag=15.5, kind="star", radius_px=0.0, detail_seed=2)
    rgb = linear_to_composite(picture(RED, white))
    injected = inject_lens(rgb, np.random.default_rng(2), "lensed galaxy")
    assert injected is not None
    assert (injected[0][rgb == 255] == 255).all()


def test_empty_sky_gets_no_lens() -> None:
    empty = picture(size_px=128)
    assert inject_lens_gri(empty, Camera(), np.random.default_rng(0), "lensed galaxy") is None
    assert inject_lens(linear_to_composite(empty), np.random.default_rng(0), "lensed quasar") is None


def test_injection_into_a_folder_writes_masks_and_truth_twice_the_same(tmp_path: Path) -> None:
    fields = tmp_path / "fields"
    fields.mkdir()
    Image.fromarray(linear_to_composite(picture(RED))).save(fields / "one.png")
    Image.fromarray(linear_to_composite(picture(size_px=100))).save(fields / "empty.png")
    cube = picture(RED, seed=1) * 10 ** (0.4 * (27.0 - 30.0)) + 5
    header = fits.Header([("MAGZERO", 27.0)])
    fits.PrimaryHDU(cube.astype(np.float32), header).writeto(fields / "two.fits")
    table = inject(fields, tmp_path / "out", 4, 3).table
    inject(fields, tmp_path / "again", 4, 3)
    for path in sorted((tmp_path / "out").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "out")).read_bytes()
    assert set(table["field"]) == {"one.png", "two.fits"}
    assert set(table["flavor"]) == set(LENS_FLAVORS)
    for row in table.itertuples():
        path = tmp_path / "out" / "images" / row.image
        if path.suffix == ".png":
            alpha = np.asarray(Image.open(path))[..., 3]
            assert 0 < (alpha == 255).mean() < 0.5
        else:
            mask = fits.getdata(tmp_path / "out" / "truth_masks" / path.name)
            assert mask.any()
            with fits.open(path) as hdus:
                added = np.stack([hdu.data for hdu in hdus[1:]]) - cube
                assert added.sum() > 0
                assert (added[:, mask == 1].sum(axis=0) > 0).mean() > 0.9
                assert [hdu.header["MAGZERO"] for hdu in hdus[1:]] == [27.0] * 3


def test_folders_without_usable_fields_are_refused(tmp_path: Path) -> None:
    (tmp_path / "fields").mkdir()
    with pytest.raises(InputError, match="no usable field among 0"):
        inject(tmp_path / "fields", tmp_path / "out", 1, 0)
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(tmp_path / "fields" / "black.png")
    (tmp_path / "fields" / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="no red galaxy"):
        inject(tmp_path / "fields", tmp_path / "out", 1, 0)
    with pytest.raises(InputError, match="number: found 0"):
        inject(tmp_path / "fields", tmp_path / "out", 0, 0)
    with pytest.raises(InputError, match="no such folder"):
        inject(tmp_path / "nowhere", tmp_path / "out", 1, 0)
    assert not (tmp_path / "out").exists()


def test_mosaic_is_a_whole_fits_file_whose_truth_has_sky_positions(tmp_path: Path) -> None:
    table = simulate_survey(tmp_path / "survey", 3, 7, size_px=(150, 220))
    simulate_survey(tmp_path / "again", 3, 7, size_px=(150, 220))
    simulate_survey(tmp_path / "bands", 3, 7, size_px=(150, 220), separate=True)
    whole = (tmp_path / "survey" / "mosaic.fits").read_bytes()
    assert whole == (tmp_path / "again" / "mosaic.fits").read_bytes()
    assert len(whole) % 2880 == 0
    with fits.open(tmp_path / "survey" / "mosaic.fits") as hdus:
        hdus.verify("exception")
        cube, wcs = hdus[0].data.copy(), WCS(hdus[0].header).celestial
        assert hdus[0].header["MAGZERO"] == 30
    assert cube.shape == (3, 150, 220)
    sky = wcs.pixel_to_world_values(table["x_px"], table["y_px"])
    np.testing.assert_allclose(sky, [table["ra_deg"], table["dec_deg"]], atol=1e-9)
    assert len(table) == 3
    assert ((table["x_px"] >= 0) & (table["x_px"] < 220) & (table["y_px"] < 150)).all()
    np.testing.assert_array_equal(fits.getdata(tmp_path / "bands" / "mosaic_r.fits"), cube[1])
    with pytest.raises(OutputExistsError, match="already exists"):
        simulate_survey(tmp_path / "survey", 3, 7, size_px=(150, 220))


def test_light_of_the_mosaic_runs_over_the_seams_of_its_tiles() -> None:
    plan = plan_survey(4, 5, 400, 600, tile_px=200)
    whole, _ = tile_light(plan, 0, 0, (400, 600))
    for row, column in ((0, 0), (1, 1), (1, 2)):
        tile, _ = tile_light(plan, 200 * row, 200 * column, (200, 200))
        expected = whole[:, 200 * row : 200 * row + 200, 200 * column : 200 * column + 200]
        np.testing.assert_allclose(tile, expected, atol=0.02, rtol=1e-3)
    assert sum(len(tile_contents(plan, r, c)[1]) for r in range(2) for c in range(3)) == 4
    assert draw_tile(plan, 1, 2).shape == (3, 200, 200)


@pytest.mark.parametrize(("number", "size", "message"), [(0, 400, "number: found 0"), (1, 20, "size: found 20 x 20")])
def test_surveys_that_cannot_be_are_refused(tmp_path: Path, number: int, size: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_survey(tmp_path / "survey", number, 0, size_px=size)


@pytest.mark.shared_data
def test_lenses_are_painted_into_most_real_fields(shared_data: Path) -> None:
    names = [
        p for p in sorted((shared_data / "space-warps/guide/fields").glob("*.png")) if not p.name.startswith("VICS82")
    ]
    rng, painted = np.random.default_rng(0), 0
    for path in names[::3]:
        injected = inject_lens(np.asarray(Image.open(path).convert("RGB")), rng, "lensed galaxy")
        painted += injected is not None and bool(injected[1].any())
    assert painted >= 0.7 * len(names[::3])
