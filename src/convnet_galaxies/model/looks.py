"""Random looks: the same sky as another survey, another stretch or another telescope would show it.

A network that is trained on one survey's pictures learns its stretch, its colours and its sharpness. Here each view is
drawn anew: from the picture back to nearly linear light, another gain, another stretch, other colours, fewer bands,
another seeing, more noise and sky (domain randomisation, Tobin et al. 2017, arXiv:1703.06907).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

UNBEND = (0.0, 3.5)
"""Range of k in sinh(k x) / sinh(k), which takes an asinh stretch back: 0 leaves a picture as it is."""
GAIN = (-1.0, 1.3)
"""Range of ln of the gain of linear light: from a deep stretch to one in which galaxies are saturated."""
OWN_SHARE, OWN_PEAK = 0.5, (-0.3, 1.4)
"""Share of views stretched by their own brightness, as pictures by percentiles are, and the range of ln of the peak of
their light, of white. In such pictures a faint object is as bright as any, but noisy."""
BEND = (-1.5, 3.7)
"""Range of ln k in asinh(k x) / asinh(k), the new stretch; half of the views stay linear."""
PEAK_SQUARE_PX = 4
COLOUR = 0.3
"""Scatter of ln of each band's gain."""
SKY, NOISE = 0.08, 0.06
"""Largest sky level and standard deviation of the noise, of white."""
BLUR_PX = 1.6
"""Largest standard deviation of the blur, in pixels of the view."""
ONE_BAND, TWO_BANDS = 0.25, 0.15
"""Shares of views that are grey, from one band or a mean of them, and of those with one band twice."""
BLOCK = 64
"""Images whose noise is drawn together."""


@dataclass(frozen=True)
class Looks:
    """What is drawn for each of n views of b bands; chosen: bool [n], the views that are changed at all.

    mix: float [n, b, b], new bands from old ones, gains included. peak: float [n], that of the light after the gain;
        0 where the gain is taken as it is. unbend, gain, bend, sky, noise, blur_px: float [n].
    seed: of the noise.
    """

    chosen: Tensor
    mix: Tensor
    unbend: Tensor
    gain: Tensor
    peak: Tensor
    bend: Tensor
    sky: Tensor
    noise: Tensor
    blur_px: Tensor
    seed: int


def draw_looks(count: int, bands: int, share: float, generator: torch.Generator) -> Looks:
    """Draw looks for a share (0 to 1) of so many views."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    def rarely(share: float, values: Tensor) -> Tensor:
        return torch.where(uniform(0, 1) < share, values, torch.zeros(count))

    chosen = uniform(0, 1) < share
    colour = torch.exp(torch.randn(count, bands, generator=generator) * COLOUR)
    mix = torch.diag_embed(colour)
    kind = uniform(0, 1)
    weights = torch.rand(count, bands, generator=generator) ** 3 + 1e-3  # often nearly one band
    grey = (weights / weights.sum(1, keepdim=True))[:, None, :].expand(count, bands, bands)
    lost = torch.randint(bands, (count,), generator=generator)
    taken = (lost + torch.randint(1, max(bands, 2), (count,), generator=generator)) % bands
    twice = torch.eye(bands).repeat(count, 1, 1)
    twice[torch.arange(count), lost] = twice[torch.arange(count), taken]
    mix = torch.where((kind < ONE_BAND)[:, None, None], grey, mix)
    mix = torch.where(((kind >= ONE_BAND) & (kind < ONE_BAND + TWO_BANDS))[:, None, None], mix @ twice, mix)
    return Looks(
        chosen,
        mix,
        uniform(*UNBEND),
        torch.exp(uniform(*GAIN)),
        rarely(OWN_SHARE, torch.exp(uniform(*OWN_PEAK))),
        torch.where(uniform(0, 1) < 0.5, torch.exp(uniform(*BEND)), torch.full((count,), 1e-2)),
        rarely(0.4, uniform(0, SKY)),
        rarely(0.5, uniform(0, NOISE)),
        rarely(0.4, uniform(0.3, BLUR_PX)),
        int(torch.randint(1 << 62, (1,), generator=generator)),
    )


def apply_looks(images: Tensor, looks: Looks, rows: slice) -> Tensor:
    """Return images, float32 [m, b, h, w] of 0 to 255, with the looks of rows of the batch; the others as they are."""
    where = torch.arange(len(looks.chosen))[rows][looks.chosen[rows]]
    if not len(where):
        return images
    inside = looks.chosen[rows]
    x = images[inside] / 255

    def of(values: Tensor) -> Tensor:
        return values[where][:, None, None, None]

    k = of(looks.unbend) + 1e-2
    x = torch.sinh(x * k) / torch.sinh(k)
    x = torch.einsum("nij,njhw->nihw", looks.mix[where], x)
    x = _blur(x, looks.blur_px[where])
    brightest = F.avg_pool2d(x.mean(1), PEAK_SQUARE_PX).flatten(1).amax(1).clamp_min_(0.5 / 255)
    peak = looks.peak[where]
    x = x * torch.where(peak > 0, peak / brightest, looks.gain[where])[:, None, None, None]
    k = of(looks.bend)
    x = (x * k).clamp_min_(0)
    x = torch.log(x + torch.sqrt(x.square() + 1)) / torch.asinh(k)  # torch's own asinh takes four times as long
    noise = torch.Generator().manual_seed(looks.seed + rows.start)
    x = x + of(looks.sky) + torch.randn(x.shape, generator=noise) * of(looks.noise)
    images[inside] = x.clamp_(0, 1).mul_(255)
    return images


def look_again(pixels: np.ndarray, *, seed: int) -> np.ndarray:
    """Images as random surveys would show them, uint8 [n, h, w, bands] as before."""
    looks = draw_looks(len(pixels), pixels.shape[3], 1.0, torch.Generator().manual_seed(seed))
    changed = np.empty_like(pixels)
    for start in range(0, len(pixels), BLOCK):
        rows = slice(start, min(start + BLOCK, len(pixels)))
        block = torch.from_numpy(pixels[rows]).permute(0, 3, 1, 2).float().contiguous()
        changed[rows] = apply_looks(block, looks, rows).permute(0, 2, 3, 1).numpy().astype(np.uint8)
    return changed


def _blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image [n, b, h, w] by a Gaussian of its own sigma in px (0: not)."""
    n, bands, h, w = x.shape
    reach = torch.arange(-4, 5, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (reach / sigma.clamp_min(0.05)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(bands, 0)
    x = x.reshape(1, n * bands, h, w)
    x = F.conv2d(F.pad(x, (4, 4, 0, 0), mode="replicate"), kernel[:, None, None, :], groups=n * bands)
    x = F.conv2d(F.pad(x, (0, 0, 4, 4), mode="replicate"), kernel[:, None, :, None], groups=n * bands)
    return x.reshape(n, bands, h, w)
