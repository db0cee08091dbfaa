"""Choice of the processor that computes, and of its precision."""

from __future__ import annotations

from typing import Literal

import torch

from convnet_galaxies.errors import UsageError

Device = Literal["auto", "cpu", "cuda"]


def choose_device(device: Device) -> torch.device:
    """Choose the GPU when there is one and it is not refused, else the CPU. Raises UsageError for a GPU that is not
    there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA GPU here", "use --device auto, or install torch with CUDA")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def has_native_bf16(device: torch.device) -> bool:
    """Return whether bf16 is faster than fp32: arithmetic units of the processor, not an emulation."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def choose_precision(precision: Literal["auto", "bf16", "fp32"], device: torch.device) -> Literal["bf16", "fp32"]:
    """Choose bf16 where it is native and not refused, or asked for; else fp32."""
    if precision == "auto":
        return "bf16" if has_native_bf16(device) else "fp32"
    return precision
