"""Both precisions on any processor: which one is chosen, and that a net trains in either."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from small_sets import tiny

from convnet_galaxies.train import device
from convnet_galaxies.train.device import choose_precision, has_native_bf16, make_fabric
from convnet_galaxies.train.fit import fit

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
    assert make_fabric("cpu", "auto")._precision.precision == ("bf16-mixed" if native else "32-true")


@pytest.mark.parametrize("native", [True, False])
def test_a_net_trains_in_the_precision_of_the_machine_and_keeps_its_weights_in_fp32(
    monkeypatch, vote_set, tmp_path: Path, native: bool
) -> None:
    monkeypatch.setattr(device, "has_native_bf16", lambda _: native)
    images = vote_set.select(np.arange(48))
    run = fit(images, tiny("train.epochs=2", "train.precision=auto"), tmp_path / "run", tasks=("votes",))
    assert json.loads(run.environment.read_text())["precision"] == ("bf16-mixed" if native else "32-true")
    assert all(tensor.dtype != torch.bfloat16 for tensor in load_file(run.weights).values())
    assert all(math.isfinite(loss) for loss in pd.read_csv(run.metrics)["train_loss"])
