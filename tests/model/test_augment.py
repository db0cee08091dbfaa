from __future__ import annotations

import numpy as np
import pytest
import torch

from convnet_galaxies.model.augment import (
    PIXEL_MEAN,
    PIXEL_STD,
    draw_gains,
    draw_warps,
    fixed_view,
    fixed_warps,
    normalise,
    random_views,
    warp_batch,
)
from convnet_galaxies.settings import AugmentSettings

SIDE = 12
IDENTITY = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
STILL = AugmentSettings(rotate=False, flip=False, shift_fraction=0, zoom=1, stretch=1, brightness=0, colour=0)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).integers(0, 256, (3, SIDE, SIDE, 2), dtype=np.uint8))


def compose(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The map [2, 3] that applies first, then second, to coordinates."""
    last = torch.tensor([[0.0, 0.0, 1.0]])
    return (torch.cat([second, last]) @ torch.cat([first, last]))[:2]


def test_identity_view_is_the_central_crop_exactly(pixels) -> None:
    view = fixed_view(pixels, IDENTITY, view_px=8, output_px=8)
    crop = pixels[:, 2:10, 2:10].permute(0, 3, 1, 2).float()
    assert torch.equal(view, normalise(crop.clone()))


def test_identity_warp_is_the_central_crop(pixels) -> None:
    found = warp_batch(pixels, IDENTITY.expand(3, 2, 3), view_px=8, output_px=8)
    torch.testing.assert_close(found, pixels[:, 2:10, 2:10].permute(0, 3, 1, 2).float(), atol=1e-3, rtol=0)


def test_one_view_is_the_image_as_it_is() -> None:
    assert torch.equal(fixed_warps(1), IDENTITY[None])


@pytest.mark.parametrize("views", [8, 16])
def test_views_are_distinct_and_closed_under_quarter_turns(views) -> None:
    warps = fixed_warps(views)
    assert warps.shape == (views, 2, 3)
    assert len(torch.unique(warps.flatten(1).round(decimals=4), dim=0)) == views
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    for warp in warps:
        turned = torch.cat([quarter[:, :2] @ warp[:, :2], warp[:, 2:]], dim=1)
        assert (warps - turned).abs().amax((1, 2)).min() < 1e-6


@pytest.mark.parametrize("views", [8, 16])
def test_half_of_the_views_are_mirrored_and_none_is_shifted_or_stretched(views) -> None:
    warps = fixed_warps(views)
    determinant = torch.linalg.det(warps[:, :, :2])
    assert int((determinant < 0).sum()) == views // 2
    singular = torch.linalg.svdvals(warps[:, :, :2])
    torch.testing.assert_close(singular[:, 0], singular[:, 1])
    assert torch.equal(warps[:, :, 2], torch.zeros(views, 2))


def test_rotation_warp_moves_a_known_pixel_to_where_it_belongs() -> None:
    image = torch.zeros(1, SIDE, SIDE, 1, dtype=torch.uint8)
    image[0, 2, 9, 0] = 200
    # A quarter turn that reads x from -y and y from x: what stands at (x, y) is seen at (y, -x).
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    found = warp_batch(image, quarter, view_px=SIDE, output_px=SIDE)[0, 0]
    y, x = divmod(int(found.argmax()), SIDE)
    assert (y, x) == (SIDE - 1 - 9, 2)
    assert found[y, x] == pytest.approx(200, abs=0.01)


def test_warping_twice_equals_warping_by_the_product() -> None:
    y, x = np.mgrid[:64, :64]
    smooth = 120 + 100 * np.sin(x / 9) * np.cos(y / 7)
    image = torch.from_numpy(smooth.round().astype(np.uint8))[None, ..., None]
    generator = torch.Generator().manual_seed(0)
    first, second = draw_warps(2, AugmentSettings(zoom=1.1, shift_fraction=0.02), generator)
    once = warp_batch(image, compose(second, first)[None], view_px=64, output_px=64)
    middle = warp_batch(image, first[None], view_px=64, output_px=64).round().to(torch.uint8).permute(0, 2, 3, 1)
    twice = warp_batch(middle, second[None], view_px=64, output_px=64)
    centre = slice(20, 44)
    assert (once - twice)[..., centre, centre].abs().max() < 3


def test_shift_of_one_pixel_moves_the_image_by_one_pixel(pixels) -> None:
    shift = torch.tensor([[1.0, 0.0, 2 / SIDE], [0.0, 1.0, 0.0]])
    found = warp_batch(pixels, shift.expand(3, 2, 3), view_px=SIDE, output_px=SIDE)
    torch.testing.assert_close(found[..., :-1], pixels.permute(0, 3, 1, 2).float()[..., 1:], atol=1e-2, rtol=0)
    assert (found[..., -1] == 0).all()


def test_outside_of_the_image_is_zero() -> None:
    white = torch.full((1, SIDE, SIDE, 1), 255, dtype=torch.uint8)
    found = warp_batch(white, IDENTITY[None], view_px=3 * SIDE, output_px=3 * SIDE)[0, 0]
    inner = slice(SIDE, 2 * SIDE)
    assert (found[inner, inner] > 254).all()
    found[inner, inner] = 0
    assert found.abs().max() < 0.01


def test_shrinking_by_the_warp_keeps_the_mean_of_a_smooth_image() -> None:
    y, x = np.mgrid[:48, :48]
    image = torch.from_numpy((x + 2 * y).astype(np.uint8))[None, ..., None]
    found = warp_batch(image, IDENTITY[None], view_px=48, output_px=24)
    assert found.mean() == pytest.approx(image.float().mean().item(), abs=0.1)


def test_drawn_warps_stay_within_the_settings() -> None:
    wanted = AugmentSettings(shift_fraction=0.05, zoom=1.3, stretch=1.2)
    warps = draw_warps(2000, wanted, torch.Generator().manual_seed(1))
    sizes = torch.linalg.svdvals(warps[:, :, :2])
    area = sizes.prod(1).sqrt()
    assert area.max() <= 1.3 + 1e-4
    assert area.min() >= 1 / 1.3 - 1e-4
    assert (sizes[:, 0] / sizes[:, 1]).max() <= 1.2 + 1e-4
    assert warps[:, :, 2].abs().max() <= 2 * 0.05
    flipped = (torch.linalg.det(warps[:, :, :2]) < 0).float().mean()
    assert 0.45 < flipped < 0.55


def test_settings_without_randomness_give_the_identity() -> None:
    warps = draw_warps(4, STILL, torch.Generator().manual_seed(1))
    torch.testing.assert_close(warps, IDENTITY.expand(4, 2, 3))
    assert torch.equal(draw_gains(4, 3, STILL, torch.Generator().manual_seed(0)), torch.ones(4, 3, 1, 1))


def test_same_seed_gives_the_same_bytes_and_another_seed_others(pixels) -> None:
    def views(seed: int) -> bytes:
        generator = torch.Generator().manual_seed(seed)
        return (
            random_views(pixels, AugmentSettings(), generator, view_px=10, output_px=8).contiguous().numpy().tobytes()
        )

    assert views(3) == views(3)
    assert views(3) != views(4)


def test_random_views_do_not_change_the_packed_pixels(pixels) -> None:
    before = pixels.clone()
    random_views(pixels, AugmentSettings(), torch.Generator().manual_seed(0), view_px=SIDE, output_px=SIDE)
    for warp in fixed_warps(8):
        fixed_view(pixels, warp, view_px=SIDE, output_px=SIDE)
    assert torch.equal(pixels, before)


def test_views_of_whole_images_keep_what_stands_at_the_middle_of_the_rim() -> None:
    side = 64
    pixels = torch.zeros(1, side, side, 1, dtype=torch.uint8)
    pixels[:, 1:3, side // 2 - 1 : side // 2 + 1] = 255

    def least_light(views: int, zoom_in: bool) -> float:
        seen = (fixed_view(pixels, warp, view_px=side, output_px=side) for warp in fixed_warps(views, zoom_in=zoom_in))
        return min((view * PIXEL_STD + PIXEL_MEAN).sum().item() for view in seen)

    for views in (8, 16):
        assert least_light(views, zoom_in=False) > 255 * 2
        assert least_light(views, zoom_in=True) == pytest.approx(0, abs=1)
