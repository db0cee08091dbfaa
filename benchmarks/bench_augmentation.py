"""Time random views of a batch against transforms of one image at a time, and against resampling alone.

Ours: random_views (rotation, flip, shift, zoom, stretch in one warp, colour, normalisation) of 128 packed galaxies of
108 px to 64 px, all threads. Pillow: rotate, crop with resize, flip, to tensor, colour and normalisation of the same
packed pixels, one image after the other on one thread, like a worker of a DataLoader. Lower limit: F.grid_sample alone,
on prepared float pixels and a prepared grid.

    python benchmarks/bench_augmentation.py [--quick]
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from galaxy_files import make_galaxy_files
from measuring import Report, race, read_options
from PIL import Image
from usual_way import jitter, random_view, to_tensor

from convnet_galaxies.model.augment import draw_warps, random_views
from convnet_galaxies.settings import Settings


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "augmentation", rounds=7)
    report = Report("augmentation", options)
    settings = Settings()
    repeats = 1 if options.quick else 20
    images = make_galaxy_files(32 if options.quick else 1536).pack()
    pixels = torch.from_numpy(np.array(images.images[: settings.train.batch]))
    number = len(pixels)
    side, output_px = settings.net.view_px_of(images.preprocess.size_px), settings.net.input_px
    generator = torch.Generator().manual_seed(0)
    floats = pixels.permute(0, 3, 1, 2).float().contiguous()
    warps = draw_warps(number, settings.augment, generator)
    grid = F.affine_grid(warps * (side / pixels.shape[1]), [number, 3, output_px, output_px], align_corners=False)

    def ours() -> None:
        for _ in range(repeats):
            random_views(pixels, settings.augment, generator, view_px=side, output_px=output_px)

    def one_by_one() -> None:
        views = [random_view(Image.fromarray(image), side, output_px) for image in pixels.numpy()]
        torch.stack([jitter(to_tensor(view)) for view in views])

    def floor() -> None:
        for _ in range(repeats):
            F.grid_sample(floats, grid, align_corners=False)

    times = race({"Pillow": one_by_one, "floor": floor, "ours": ours}, options.rounds)
    counts = {"Pillow": number, "floor": number * repeats, "ours": number * repeats}
    speeds = {name: counts[name] / seconds for name, seconds in times.items()}
    report.add("Pillow, one image at a time, one thread", speeds["Pillow"], "images/s")
    report.add("F.grid_sample alone", speeds["floor"], "images/s")
    report.add("random_views", speeds["ours"], "images/s", against="Pillow", reference=speeds["Pillow"])
    report.add("random_views", speeds["ours"], "images/s", against="F.grid_sample alone", reference=speeds["floor"])
    report.finish()


if __name__ == "__main__":
    main()
