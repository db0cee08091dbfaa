from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from convnet_galaxies.errors import InputError
from convnet_galaxies.model.backbones import Backbone, build_backbone
from convnet_galaxies.model.encoder_file import load_encoder
from convnet_galaxies.settings import NetSettings

ATTO = NetSettings(backbone="convnext_atto")


@pytest.fixture(scope="module")
def encoder() -> Backbone:
    torch.manual_seed(4)
    net = build_backbone(ATTO, 3).eval()
    for name, parameter in net.named_parameters():
        if name.endswith("gamma"):
            parameter.data.uniform_(0.1, 1)  # at their first value blocks do nothing
    return net


def test_zoobot_file_with_prefix_and_head_gives_equal_outputs(encoder, tmp_path: Path) -> None:
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state["head.4.weight"], state["head.4.bias"] = torch.randn(34, 320), torch.randn(34)
    path = tmp_path / "zoobot.ckpt"
    torch.save({"state_dict": state, "epoch": 3}, path)
    loaded = build_backbone(ATTO.model_copy(update={"encoder_weights": str(path)}), 3).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(images), encoder(images))


def test_safetensors_and_torch_files_load_alike(encoder, tmp_path: Path) -> None:
    save_file(encoder.state_dict(), tmp_path / "a.safetensors")
    torch.save(encoder.state_dict(), tmp_path / "a.pth")
    nets = [build_backbone(ATTO, 3) for _ in range(2)]
    for net, name in zip(nets, ("a.safetensors", "a.pth"), strict=True):
        load_encoder(net, tmp_path / name)
    for one, other in zip(*(net.state_dict().values() for net in nets), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("bands", [1, 5])
def test_first_layer_answers_a_grey_image_alike_for_any_number_of_bands(encoder, tmp_path: Path, bands) -> None:
    torch.save(encoder.state_dict(), tmp_path / "a.pth")
    net = build_backbone(ATTO, bands).eval()
    load_encoder(net, tmp_path / "a.pth")
    grey = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        expected, found = encoder(grey.expand(1, 3, 64, 64)), net(grey.expand(1, bands, 64, 64))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_an_encoder_of_another_backbone_is_refused(encoder, tmp_path: Path) -> None:
    torch.save(encoder.state_dict(), tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"found no 'conv1\.weight', expected the encoder of this backbone"):
        load_encoder(build_backbone(NetSettings(backbone="resnet18"), 3), tmp_path / "a.pth")
    with torch.device("meta"):
        nano = build_backbone(NetSettings(backbone="convnext_nano"), 3)
    with pytest.raises(InputError, match=r"'stem.0.weight': found shape \(40, 3, 4, 4\), expected \(80, 3, 4, 4\)"):
        load_encoder(nano, tmp_path / "a.pth")


def _cut(path: Path) -> None:
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:1500])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("text.pth", lambda path: path.write_text("no weights here")),
        ("empty.pth", lambda path: path.write_bytes(b"")),
        ("cut.pth", _cut),
        ("page.safetensors", lambda path: path.write_text("<html>404</html>")),
        ("missing.pth", lambda path: None),
        ("folder.pth", lambda path: path.mkdir()),
        ("object.pth", lambda path: torch.save({"net": object}, path)),
    ],
)
def test_a_file_that_holds_no_weights_is_one_line_of_error(tmp_path: Path, name, make) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match=f"{name}: cannot be read as weights") as caught:
        load_encoder(torch.nn.Linear(2, 2), path)
    assert "\n" not in caught.value.message


def test_a_list_of_tensors_is_no_encoder(tmp_path: Path) -> None:
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    with pytest.raises(InputError, match="found no state dict"):
        load_encoder(torch.nn.Linear(2, 2), tmp_path / "list.pth")
