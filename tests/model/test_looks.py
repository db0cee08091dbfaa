"""Random looks of other surveys, and the normalisation by an image's own sky and noise."""

import pytest
import torch

from convnet_galaxies.model.augment import fixed_view, fixed_warps, normalise, random_views
from convnet_galaxies.model.looks import apply_looks, draw_looks
from convnet_galaxies.settings import AugmentSettings

WHOLE = slice(0, 64)


def scene(count: int = 64, *, side: int = 40, noise: float = 6.0) -> torch.Tensor:
    """Images float32 [n, 3, side, side] of 0 to 255: a galaxy, redder than blue, on a noisy sky."""
    generator = torch.Generator().manual_seed(0)
    axis = torch.arange(side) - (side - 1) / 2
    light = torch.exp(-(axis[:, None] ** 2 + axis**2) / 40)
    bands = torch.tensor([150.0, 90.0, 50.0])[:, None, None] * light
    images = bands + 20 + noise * torch.randn(count, 3, side, side, generator=generator)
    return images.clamp(0, 255)


def test_a_share_of_zero_changes_nothing_and_one_changes_all() -> None:
    images = scene()
    for share, changed in ((0.0, 0), (1.0, 64)):
        looks = draw_looks(64, 3, share, torch.Generator().manual_seed(1))
        found = apply_looks(images.clone(), looks, WHOLE)
        assert int((found != images).flatten(1).any(1).sum()) == changed
        assert float(found.min()) >= 0
        assert float(found.max()) <= 255


def test_the_same_seed_gives_the_same_looks_whatever_the_block() -> None:
    images = scene()
    looks = draw_looks(64, 3, 0.7, torch.Generator().manual_seed(1))
    assert torch.equal(apply_looks(images.clone(), looks, WHOLE), apply_looks(images.clone(), looks, WHOLE))
    untouched = ~looks.chosen
    assert torch.equal(apply_looks(images.clone(), looks, WHOLE)[untouched], images[untouched])


def test_some_views_are_grey_and_some_have_lost_a_band() -> None:
    looks = draw_looks(2000, 3, 1.0, torch.Generator().manual_seed(2))
    kept = torch.linalg.matrix_rank(looks.mix)
    assert [round(float((kept == number).float().mean()), 1) for number in (1, 2, 3)] == [0.2, 0.1, 0.6]
    rows = looks.mix[kept == 1]
    assert torch.allclose(rows[:, 0], rows[:, 1])  # grey: every band is the same mean
    assert torch.allclose(rows.sum(2), torch.ones(len(rows), 3))


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_any_number_of_bands_is_taken(bands: int) -> None:
    images = scene()[:, :1].repeat(1, bands, 1, 1)
    looks = draw_looks(64, bands, 1.0, torch.Generator().manual_seed(3))
    assert torch.isfinite(apply_looks(images, looks, WHOLE)).all()


def test_training_views_have_the_looks_that_the_settings_ask_for() -> None:
    pixels = scene().permute(0, 2, 3, 1).to(torch.uint8).contiguous()
    fixed = {"rotate": False, "flip": False, "shift_fraction": 0, "zoom": 1, "stretch": 1, "brightness": 0, "colour": 0}
    views = [
        random_views(
            pixels,
            AugmentSettings.model_validate({**fixed, "surveys": share}),
            torch.Generator().manual_seed(0),
            view_px=40,
            output_px=40,
        )
        for share in (0.0, 0.5)
    ]
    changed = (views[0] != views[1]).flatten(1).any(1)
    assert 16 <= int(changed.sum()) <= 48


@pytest.mark.parametrize(("gain", "sky"), [(0.5, 0.0), (1.0, 30.0), (0.7, 10.0)])
def test_the_own_normalisation_does_not_depend_on_gain_and_sky(gain: float, sky: float) -> None:
    images = scene(8)
    plain = normalise(images.clone(), "own")
    changed = normalise(images * gain + sky, "own")
    assert float((plain - changed).abs().mean()) < 0.03 * float(plain.abs().mean())
    assert float((normalise(images.clone()) - normalise(images * gain + sky)).abs().mean()) > 0.1


def test_the_own_normalisation_of_black_and_of_one_value_is_finite() -> None:
    for value in (0.0, 255.0, 17.0):
        assert float(normalise(torch.full((2, 3, 40, 40), value), "own").abs().max()) == 0


def test_views_of_prediction_take_the_own_normalisation() -> None:
    pixels = scene(4).permute(0, 2, 3, 1).to(torch.uint8).contiguous()
    dim = (pixels.float() * 0.6 + 25).to(torch.uint8)
    bright, faint = (fixed_view(one, fixed_warps(8)[3], view_px=24, output_px=32, kind="own") for one in (pixels, dim))
    assert float((bright - faint).abs().mean()) < 0.1 * float(bright.abs().mean())
