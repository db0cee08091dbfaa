"""Random views of whole batches: rotation, flip, shift, zoom and stretch in one affine warp, then colour.

The warp reads the packed uint8 pixels once and resamples them once, at the size that the net wants; a crop and a
change of size are part of the same warp (after Dieleman et al. 2015, arXiv:1503.07077, section 6.3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from convnet_galaxies.model.looks import apply_looks, draw_looks
from convnet_galaxies.settings import AugmentSettings, Normalise

IMAGES_AT_ONCE = 16
"""Images that are warped at a time: what is made of them stays in a processor's cache; 128 take twice as long."""

PIXEL_MEAN, PIXEL_STD = 30.0, 45.0
"""Fixed normalisation of uint8 pixels, near the mean and scatter of SDSS and CFHTLS composites."""


OWN_SQUARE_PX, STEP_PX, LEAST_NOISE = 8, 3, 1.5
"""Of the normalisation by each image's own sky and noise; the least noise is that of rounding to 8 bits."""


def draw_warps(count: int, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Draw random affine maps from output to input, float32 [count, 2, 3], in units of half the viewed square.

    Rows give (x, y) of the input for (x, y, 1) of the output. shift_fraction counts in sides of the square.
    """

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle = uniform(0, 2 * math.pi) if settings.rotate else torch.zeros(count)
    zoom = torch.exp(uniform(-math.log(settings.zoom), math.log(settings.zoom)))
    stretch = torch.exp(uniform(-math.log(settings.stretch), math.log(settings.stretch)) / 2)
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0) if settings.flip else torch.ones(count)
    shift_x, shift_y = (uniform(-2, 2) * settings.shift_fraction for _ in range(2))
    cos, sin = torch.cos(angle), torch.sin(angle)
    across, along = flip * stretch / zoom, 1 / (stretch * zoom)
    top = torch.stack([cos * across, -sin * along, shift_x], dim=1)
    bottom = torch.stack([sin * across, cos * along, shift_y], dim=1)
    return torch.stack([top, bottom], dim=1)


ORBITS: dict[int, tuple[tuple[float, float, float], ...]] = {
    8: ((22.5, 1.0, 0.9), (67.5, -1.0, 1.25)),
    16: ((22.5, 1.0, 0.8), (67.5, -1.0, 0.93), (67.5, 1.0, 1.07), (22.5, -1.0, 1.25)),
}
"""Turn in degrees, flip and zoom from which four views each start, a quarter turn apart.

Views that differ in angle and zoom, as those of training do, err more independently than the eight symmetries of a
square: RMSE of the votes 0.0876 against 0.0889 (docs/experiments.md).
"""


QUARTERS = 4
"""So many views in a row of fixed_warps differ by quarter turns only."""


def fixed_warps(views: int, *, zoom_in: bool = True) -> Tensor:
    """Return affine maps of the fixed views of prediction, float32 [views, 2, 3].

    1 view: as it is. 8 and 16: see ORBITS; their mean is invariant under quarter turns of the image.
    zoom_in: False for networks trained on the whole image, whose edge a zoomed-in view would lose.
    """
    if views == 1:
        return torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    warps = []
    for turn, flip, wanted in ORBITS[views]:
        zoom = wanted if zoom_in else min(wanted, 1.0)
        for quarter in range(QUARTERS):
            angle = math.radians(turn + 90 * quarter)
            cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
            warps.append([[cos * flip, -sin, 0.0], [sin * flip, cos, 0.0]])
    return torch.tensor(warps)


def warp_batch(pixels: Tensor, warps: Tensor, *, view_px: float, output_px: int) -> Tensor:
    """Resample a batch bilinearly: uint8 [n, h, w, bands] to float32 [n, bands, output_px, output_px], still 0..255.

    warps: float32 [n, 2, 3] from output to input, 1 being half of view_px.
    view_px: side, in packed pixels, of the square that an identity warp shows; outside of the image is zero.
    """
    _, h, w, _ = pixels.shape
    images = pixels.float().permute(0, 3, 1, 2)
    scale = torch.tensor([view_px / w, view_px / h], device=pixels.device)
    warps = warps.to(pixels.device) * scale[None, :, None]
    centres = (torch.arange(output_px, device=pixels.device, dtype=torch.float32) * 2 + 1) / output_px - 1
    across, down = torch.addcmul(warps[:, :, 2:], warps[:, :, :1], centres), warps[:, :, 1:2] * centres  # [n, 2, px]
    # Added up once, since it is as large as the views, x and y apart, which takes a quarter of the time.
    grid = across[:, :, None, :] + down[:, :, :, None]  # [n, 2, y, x]
    return F.grid_sample(images, grid.permute(0, 2, 3, 1), mode="bilinear", padding_mode="zeros", align_corners=False)


def draw_gains(count: int, bands: int, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Draw random gains of each image and of each band, float32 [count, bands, 1, 1]."""
    brightness = torch.randn(count, 1, 1, 1, generator=generator) * settings.brightness
    colour = torch.randn(count, bands, 1, 1, generator=generator) * settings.colour
    return torch.exp(brightness + colour)


def normalise(images: Tensor, kind: Normalise = "fixed") -> Tensor:
    """Convert pixels 0..255 [n, bands, h, w] to the numbers that nets see, in place.

    kind: ``fixed``, or ``own``: each band loses its own sky, the median of squares of OWN_SQUARE_PX, and all are
    counted in the noise of the image, the median change over STEP_PX along every OWN_SQUARE_PX-th row. What stands out
    is compressed by a square root. Pixels that were cut at black or white have no change and do not count.
    """
    if kind == "fixed":
        return images.sub_(PIXEL_MEAN).mul_(1 / PIXEL_STD)
    light = images.float()
    squares = F.avg_pool2d(light, OWN_SQUARE_PX).flatten(2)
    rows = light[:, :, ::OWN_SQUARE_PX]
    steps = (rows[..., STEP_PX:] - rows[..., :-STEP_PX]).abs().flatten(1)
    noise = (
        torch.nanmedian(torch.where(steps > 0, steps, torch.nan), dim=1).values.nan_to_num_(0).clamp_min_(LEAST_NOISE)
    )
    light = (light - squares.median(dim=2).values[:, :, None, None]) / noise[:, None, None, None]
    light *= torch.rsqrt(light.abs().mul_(0.5).add_(1)) / 3
    return images.copy_(light)


def random_views(
    pixels: Tensor,
    settings: AugmentSettings,
    generator: torch.Generator,
    *,
    view_px: float,
    output_px: int,
    kind: Normalise = "fixed",
) -> Tensor:
    """Return one random view of each image: uint8 [n, h, w, bands] to normalised float32 [n, bands, px, px], channels
    last."""
    warps = draw_warps(len(pixels), settings, generator)
    gains = draw_gains(len(pixels), pixels.shape[3], settings, generator)
    looks = draw_looks(len(pixels), pixels.shape[3], settings.surveys, generator) if settings.surveys else None
    views = _new_views(pixels, output_px, torch.float32)
    for few in _few_at_a_time(len(pixels)):
        images = warp_batch(pixels[few], warps[few], view_px=view_px, output_px=output_px)
        if looks is not None:
            images = apply_looks(images, looks, few)
        views[few] = normalise(images.mul_(gains[few].to(images.device)), kind)
    return views


def fixed_view(
    pixels: Tensor,
    warp: Tensor,
    *,
    view_px: float,
    output_px: int,
    dtype: torch.dtype = torch.float32,
    kind: Normalise = "fixed",
) -> Tensor:
    """Return the same view of each image: uint8 [n, h, w, bands] to normalised dtype [n, bands, px, px], channels last.

    warp: one of fixed_warps, float32 [2, 3]. Where the image as it is fits whole pixels it is copied, not resampled.
    """
    n, h, w, _ = pixels.shape
    top, left = (h - output_px) / 2, (w - output_px) / 2
    whole = view_px == output_px and top == top // 1 >= 0 and left == left // 1 >= 0
    if whole and torch.equal(warp, warp.new_tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])):
        square = pixels[:, int(top) : int(top) + output_px, int(left) : int(left) + output_px]
        return normalise(square.permute(0, 3, 1, 2).to(dtype), kind)  # 0 to 255 are exact in bf16
    views = _new_views(pixels, output_px, dtype)
    for few in _few_at_a_time(n):
        some = pixels[few]
        warped = warp_batch(some, warp.expand(len(some), 2, 3), view_px=view_px, output_px=output_px)
        views[few] = normalise(warped, kind)
    return views


def _new_views(pixels: Tensor, output_px: int, dtype: torch.dtype) -> Tensor:
    n, _, _, bands = pixels.shape
    return torch.empty(
        (n, bands, output_px, output_px), dtype=dtype, device=pixels.device, memory_format=torch.channels_last
    )


def _few_at_a_time(n: int) -> Iterator[slice]:
    """Return even pieces of about IMAGES_AT_ONCE images."""
    pieces = max(1, round(n / IMAGES_AT_ONCE))
    ends = [n * piece // pieces for piece in range(pieces + 1)]
    return (slice(*pair) for pair in pairwise(ends))
