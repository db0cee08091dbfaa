"""Which precision is chosen, on any processor."""

from __future__ import annotations

import pytest
import torch

from convnet_galaxies.model import device
from convnet_galaxies.model.device import choose_precision, has_native_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(("avx512", "amx"), [(False, False), (True, False), (False, True), (True, True)])
def test_bf16_is_native_with_instructions_of_avx512_or_amx(monkeypatch, avx512: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert has_native_bf16(CPU) == (avx512 or amx)


@pytest.mark.parametrize("native", [True, False])
def test_auto_takes_bf16_where_it_is_native_and_whatever_is_asked_for_is_taken(monkeypatch, native: bool) -> None:
    monkeypatch.setattr(device, "has_native_bf16", lambda _: native)
    assert choose_precision("auto", CPU) == ("bf16" if native else "fp32")
    assert [choose_precision(asked, CPU) for asked in ("bf16", "fp32")] == ["bf16", "fp32"]
