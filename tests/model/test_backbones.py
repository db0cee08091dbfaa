from __future__ import annotations

import typing

import pytest
import torch
from torch import nn

from convnet_galaxies.model.backbones import build_backbone
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.model.plain_net import PlainNet
from convnet_galaxies.settings import NetSettings

NAMES = typing.get_args(NetSettings.model_fields["backbone"].annotation)

PARAMETERS = {  # of the encoders; published for 3 bands (timm's models without their classifiers)
    "resnet18": 11_176_512,
    "resnet34": 21_284_672,
    "resnet50": 23_508_032,
    "convnext_nano": 14_952_560,
    "convnext_tiny": 27_820_128,
}


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_parts_hold_every_parameter_exactly_once_and_in_order(name) -> None:
    with torch.device("meta"):  # shapes alone
        net = build_backbone(NetSettings(backbone=name), 3)
    in_stages = [id(parameter) for stage in net.list_stages() for parameter in stage.parameters()]
    assert len(in_stages) == len(set(in_stages))
    assert in_stages == [id(parameter) for parameter in net.parameters()]
    buffers = [id(buffer) for stage in net.list_stages() for buffer in stage.buffers()]
    assert buffers == [id(buffer) for buffer in net.buffers()]


@pytest.mark.parametrize("name", PARAMETERS)
def test_encoders_have_the_published_number_of_parameters(name) -> None:
    with torch.device("meta"):
        assert count(build_backbone(NetSettings(backbone=name), 3)) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "bands"),
    [("symmetric", 1), ("symmetric", 5), ("plain", 1), ("plain", 5), ("resnet18", 5), ("convnext_atto", 1)],
)
def test_any_number_of_bands_gives_features_of_the_stated_size(name, bands) -> None:
    settings = NetSettings(backbone=name, widths=(8, 16), depths=(1, 2), patch_px=2, input_px=32)
    net = build_backbone(settings, bands).eval()
    with torch.inference_mode():
        features = net(torch.randn(2, bands, 32, 32))
    assert features.shape == (2, net.features)
    assert features.dtype == torch.float32


@pytest.mark.parametrize("name", ["convnext_atto", "plain", "symmetric"])
def test_backbone_kept_in_bf16_answers_nearly_as_in_float32(name) -> None:
    torch.manual_seed(0)
    net = build_backbone(NetSettings(backbone=name, patch_px=2, input_px=32), 3).eval()
    images = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        exact = net(images)
        rough = net.to(torch.bfloat16)(images.to(torch.bfloat16))
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("input_px", [18, 22, 26, 34, 36, 38, 50])
def test_plain_net_takes_every_size_that_its_patches_divide(input_px) -> None:
    net = PlainNet(3, 2, (4, 4, 4), (1, 1, 1)).eval()
    with torch.inference_mode():
        assert net(torch.randn(1, 3, input_px, input_px)).shape == (1, 4)


def test_plain_block_without_shortcut_weights_begins_as_the_identity() -> None:
    net = PlainNet(3, 1, (6,), (2,)).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(net.blocks(net.stem(images)), net.stem(images))


def test_input_may_be_of_another_size_than_that_of_training() -> None:
    net = PlainNet(3, 2, (4, 8), (1, 1)).eval()
    with torch.inference_mode():
        assert net(torch.randn(1, 3, 32, 32)).shape == net(torch.randn(1, 3, 64, 64)).shape


def test_heads_share_one_backbone_and_answer_in_their_shapes() -> None:
    settings = NetSettings(widths=(8,), depths=(1,), patch_px=2, input_px=32)
    net = GalaxyNet(settings, bands=3, classes={"votes": (), "lens": (), "flavor": ("a", "b")}).eval()
    with torch.inference_mode():
        shapes = {task: tuple(output.shape) for task, output in net(torch.randn(5, 3, 32, 32)).items()}
    assert shapes == {"votes": (5, 37), "lens": (5,), "flavor": (5, 2)}
