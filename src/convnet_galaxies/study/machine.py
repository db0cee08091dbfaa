"""Classify a machine as fast or slow, the same in every run."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from convnet_galaxies.data.decoding import count_processors
from convnet_galaxies.model.device import Device, choose_device, has_native_bf16

# Processors that claim bf16 multiply in it about twice as fast as in fp32, emulations at most as fast.
GAIN_OF_NATIVE_BF16 = 1.3
# Two processors with bf16, or four without, count as fast.
FAST_PROCESSORS = 4.0
# The fastest of five once failed to tell bf16 beside other work; twenty take 60 ms.
ROUNDS = 20


@dataclass(frozen=True)
class Machine:
    """Hardware: GPU, number of processors, and whether bf16 is faster than fp32."""

    gpu: bool
    processors: int
    bf16: bool

    @property
    def is_fast(self) -> bool:
        """Return whether the full demo takes a few minutes here."""
        return self.gpu or self.processors * (2 if self.bf16 else 1) >= FAST_PROCESSORS

    def __str__(self) -> str:
        if self.gpu:
            return "a GPU"
        processors = "1 processor" if self.processors == 1 else f"{self.processors} processors"
        return f"{processors} with{'' if self.bf16 else 'out'} bf16 arithmetic"


def look_at_machine(device: Device = "auto") -> Machine:
    """Describe this machine. Only ratios within one measurement are used, so that other work on it changes nothing."""
    chosen = choose_device(device)
    # oneDNN can be told to do without an instruction set that the processor has.
    bf16 = has_native_bf16(torch.device("cpu")) and bf16_gain() > GAIN_OF_NATIVE_BF16
    return Machine(chosen.type == "cuda", count_processors(), bf16)


def bf16_gain() -> float:
    """Return the speed of a matrix product in bf16 over that in fp32, the fastest of several interleaved rounds."""
    seconds: dict[torch.dtype, list[float]] = {}
    matrices = {dtype: torch.ones(512, 512, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    for _ in range(ROUNDS + 1):  # the first prepares
        for dtype, matrix in matrices.items():
            start = time.perf_counter()
            torch.mm(matrix, matrix)
            seconds.setdefault(dtype, []).append(time.perf_counter() - start)
    return min(seconds[torch.float32][1:]) / min(seconds[torch.bfloat16][1:])
