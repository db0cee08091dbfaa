"""Measure the best speed of the processor, and what fraction of it each layer of the default network reaches.

Matrix products in bf16 and fp32 (several sizes, the best counts), copying of a large array, bare JPEG decoding; then
every convolution of the default network at its own shapes, forward and backward, in the precision of training, as a
fraction of the matrix peak measured in the same round.

    python benchmarks/bench_limits.py [--quick]
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from decoders import decode_with_simplejpeg, read_members
from galaxy_files import make_galaxy_files
from measuring import Options, Report, race, read_options
from torch import Tensor, nn

from convnet_galaxies.model.device import choose_precision, has_native_bf16
from convnet_galaxies.model.galaxy_net import GalaxyNet, to_channels_last
from convnet_galaxies.model.symmetric_net import expand_kernels
from convnet_galaxies.settings import Settings

SIZES = (1024, 2048, 4096)


def measure_machine(report: Report, options: Options) -> None:
    """Matrix products, copies, decoding."""
    sizes = (256,) if options.quick else SIZES
    # Large products in emulated bf16 take minutes, and are no faster.
    sizes_of = {torch.float32: sizes, torch.bfloat16: sizes if has_native_bf16(torch.device("cpu")) else sizes[:1]}
    number, megabytes = (32, 16) if options.quick else (1536, 512)
    contestants: dict[str, Callable[[], object]] = {}
    for dtype, chosen in sizes_of.items():
        for size in chosen:
            a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
            contestants[f"{dtype} {size}"] = lambda a=a, b=b: a @ b  # type: ignore[misc]
    source = torch.ones(megabytes << 18)
    target = torch.empty_like(source)
    jpegs = read_members(make_galaxy_files(number).archive)
    contestants["copy"] = lambda: target.copy_(source)
    contestants["decode"] = lambda: decode_with_simplejpeg(jpegs)
    times = race(contestants, options.rounds)
    for dtype, name in ((torch.bfloat16, "bf16"), (torch.float32, "fp32")):
        speeds = {size: 2 * size**3 / times[f"{dtype} {size}"] / 1e9 for size in sizes_of[dtype]}
        best = max(speeds, key=lambda size: float(np.median(speeds[size])))
        report.add(f"matrix product, {name}", speeds[best], "GFLOP/s", remark=f"best of {sizes_of[dtype]}: {best}")
    report.add("memory, copy", 2 * (megabytes / 1024) / times["copy"], "GiB/s", remark="read and written bytes")
    report.add("JPEG decoding, 424 px shrunk to 159 px or more", number / times["decode"], "images/s")


def find_layers(net: nn.Module, images: Tensor) -> list[tuple[str, nn.Conv2d, tuple[int, ...]]]:
    """Name, convolution and input shape of each layer, in order of use."""
    found: list[tuple[str, nn.Conv2d, tuple[int, ...]]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: found.append((name, module, tuple(inputs[0].shape)))
        )
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        net(images)
    for hook in hooks:
        hook.remove()
    return found


def measure_layers(report: Report, options: Options) -> None:
    """Each convolution of the default net."""
    settings = Settings()
    batch = 8 if options.quick else settings.train.batch
    side = settings.net.input_px
    net = GalaxyNet(settings.net, bands=3, classes={"votes": ()})
    expand_kernels(net)
    to_channels_last(net)
    precision = choose_precision("auto", torch.device("cpu"))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    size = 256 if options.quick else 2048
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    contestants: dict[str, Callable[[], object]] = {"peak": lambda: a @ b}
    flops: dict[str, float] = {}
    layers = find_layers(net.backbone, torch.zeros(batch, 3, side, side))
    for name, layer, shape in layers[: 2 if options.quick else None]:
        x = torch.randn(shape).to(dtype=dtype, memory_format=torch.channels_last).requires_grad_()
        kernel = layer.weight.detach().to(dtype).requires_grad_()

        def forward(x: Tensor = x, kernel: Tensor = kernel, layer: nn.Conv2d = layer) -> Tensor:
            return F.conv2d(x, kernel, stride=layer.stride, padding=layer.padding)

        y = forward()
        gradient = torch.randn_like(y)
        wanted = [x, kernel] if layer.in_channels != 3 * settings.net.patch_px**2 else [kernel]

        def backward(y: Tensor = y, wanted: list[Tensor] = wanted, gradient: Tensor = gradient) -> object:
            return torch.autograd.grad(y, wanted, gradient, retain_graph=True)

        text = f"{name}: {layer.in_channels} to {layer.out_channels} channels, {shape[2]} px, stride {layer.stride[0]}"
        once = 2.0 * y.numel() * kernel[0].numel()
        contestants[f"{text}, forward"], flops[f"{text}, forward"] = torch.no_grad()(forward), once
        contestants[f"{text}, backward"], flops[f"{text}, backward"] = backward, once * len(wanted)
    times = race(contestants, options.rounds)
    peak = 2 * size**3 / times["peak"] / 1e9
    report.add(f"{precision} matrix product in these rounds", peak, "GFLOP/s")
    for text, amount in flops.items():
        report.add(text, amount / times[text] / 1e9, "GFLOP/s", against="the matrix product", reference=peak)


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "limits", rounds=9)
    report = Report("limits", options)
    measure_machine(report, options)
    measure_layers(report, options)
    report.finish()


if __name__ == "__main__":
    main()
