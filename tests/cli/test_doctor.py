"""`doctor` with a clock that shows half a second for everything, so that its figures are known on every machine."""

from __future__ import annotations

import json

import pytest
import torch

from convnet_galaxies.model import device
from convnet_galaxies.training import doctor


@pytest.fixture(params=[False, True], ids=["bf16 emulated", "bf16 native"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the imitated processor has bf16; all that is measured takes 0.5 s, and without bf16 really runs once."""

    def take_half_a_second(measured, *_) -> list[float]:
        if not request.param:  # elsewhere bf16 would be emulated, which is slow
            measured()
        return [0.5, 0.5, 0.5]

    for module in (doctor, device):
        monkeypatch.setattr(module, "has_native_bf16", lambda _: request.param)
    monkeypatch.setattr(doctor, "_times", take_half_a_second)
    return request.param


def test_doctor_tells_what_is_used_and_how_long_the_challenge_takes(run, native: bool) -> None:
    result = run("doctor", "--device", "cpu", "--json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert (found["device"], found["gpu"], found["native_bf16"]) == ("cpu", None, native)
    assert found["precision"] == ("bf16" if native else "fp32")
    peak = 2 * 2048**3 / 1e9 / 0.5
    assert found["matmul_gflops"] == pytest.approx({"bf16": peak, "fp32": peak})
    assert found["net_mflop"] == pytest.approx(35, abs=1)  # as ARCHITECTURE.md has it
    assert (found["train_images_per_s"], found["predict_images_per_s"]) == (128 / 0.5, 256 / 0.5)
    assert found["epoch_minutes"] == pytest.approx(61_578 / 256 / 60)
    # A step is a pass forward and one backward of twice its arithmetic.
    assert found["utilisation"] == pytest.approx(3 * found["net_mflop"] * 1e6 * 256 / (peak * 1e9))


def test_doctor_tells_it_in_words(run, native: bool) -> None:
    lines = run("doctor", "--device", "cpu").out.splitlines()
    assert lines[0].endswith("bf16 native" if native else "bf16 emulated, so not used")
    assert lines[1:3] == [
        "GPU          none that torch can use",
        f"used         cpu in {'bf16' if native else 'fp32'}",
    ]
    assert lines[-1] == "Galaxy Zoo   4.0 minutes per epoch of 61,578 galaxies"


def test_doctor_refuses_a_device_that_is_not_there_or_unheard_of(run) -> None:
    result = run("doctor", "--device", "cuda")
    assert result.code != 0
    assert result.out == ""
    assert "--device cuda: torch finds no CUDA GPU here" in result.err
    assert "use --device auto" in result.err
    result = run("doctor", "--device", "abacus")
    assert result.code == 2
    assert "'abacus' is not one of" in result.err


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 3), (1.0, 3), (2.0, 4), (4.75, 10)])
def test_a_measurement_is_repeated_for_its_time_and_thrice_at_least_after_a_call_that_does_not_count(
    monkeypatch: pytest.MonkeyPatch, seconds: float, expected: int
) -> None:
    now, calls = 0.0, 0

    def measured() -> None:
        nonlocal now, calls
        now += 0.5 if calls else 100.0  # kernels are chosen in the first call
        calls += 1

    monkeypatch.setattr(doctor.time, "perf_counter", lambda: now)
    assert doctor._times(measured, torch.device("cpu"), seconds) == [0.5] * expected
    assert calls == expected + 1
