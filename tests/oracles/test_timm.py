"""Parameter names and outputs of our encoders against timm, with random weights copied over.

timm imports torchvision, which is often built for another torch than the one that is installed; only its image
transforms and some layers for other nets are used, so a stand-in takes its place where it cannot be imported.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
import warnings
from collections.abc import Iterator
from enum import Enum
from typing import Any

import pytest
import torch
from torch import nn

from convnet_galaxies.model.backbones import build_backbone
from convnet_galaxies.settings import NetSettings

pytestmark = pytest.mark.oracle

BACKBONES = ("resnet18", "resnet34", "resnet50", "convnext_atto", "convnext_nano", "convnext_tiny")


class StandIn(types.ModuleType):
    """A module in which every name is a class that does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "InterpolationMode":
            return Enum(
                name, {mode: mode.lower() for mode in ("NEAREST", "BILINEAR", "BICUBIC", "BOX", "HAMMING", "LANCZOS")}
            )
        return type(name, (nn.Module,), {})


class StandInFinder:
    """Finds ``torchvision`` and all modules below it."""

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__version__ = "0.0"  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def timm() -> Iterator[Any]:
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    finder = StandInFinder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what timm and its libraries warn of is not ours
        try:
            importlib.import_module("torchvision.transforms")
        except Exception:
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
            sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
        try:
            yield importlib.import_module("timm")
        finally:
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)  # type: ignore[arg-type]
                for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "timm")]:
                    del sys.modules[name]


@pytest.mark.parametrize("bands", [3, 5])
@pytest.mark.parametrize("name", BACKBONES)
def test_names_and_outputs_are_those_of_timm(timm, name, bands) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False, num_classes=0, in_chans=bands).eval()
    for key, tensor in theirs.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif key.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.1)
        elif key.endswith("gamma"):
            tensor.uniform_(0.1, 0.5)  # at their first value the blocks of ConvNeXt do nothing
    ours = build_backbone(NetSettings(backbone=name), bands).eval()
    ours.load_state_dict(theirs.state_dict())  # strict: every name and every shape
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for side_px in (64, 96):
        images = torch.randn(2, bands, side_px, side_px)
        with torch.inference_mode():
            expected, found = theirs(images), ours(images)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() <= 1e-4 * expected.abs().max().clamp_min(1)


@pytest.mark.parametrize("name", BACKBONES)
def test_new_nets_begin_with_weights_of_the_same_size_as_in_timm(timm, name) -> None:
    torch.manual_seed(0)
    theirs = dict(timm.create_model(name, pretrained=False, num_classes=0).named_parameters())
    ours = dict(build_backbone(NetSettings(backbone=name), 3).named_parameters())
    sizes = {key: (ours[key].std().item(), theirs[key].std().item()) for key in theirs if theirs[key].numel() > 1000}
    assert {key: size for key, size in sizes.items() if abs(size[0] - size[1]) > 0.2 * size[1]} == {}
    zeros = {key for key, parameter in theirs.items() if not parameter.any()}
    assert {key for key, parameter in ours.items() if not parameter.any()} == zeros
