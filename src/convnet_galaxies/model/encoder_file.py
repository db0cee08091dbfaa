"""Encoders made elsewhere (timm, Zoobot) from a local file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from convnet_galaxies.errors import InputError
from convnet_galaxies.model.torch_file import read_torch_file

PREFIXES = ("encoder.", "model.", "module.", "backbone.", "state_dict.")
_FIX = "give a .safetensors file or a file of tensors only"


def load_encoder(net: nn.Module, path: str | Path) -> None:
    """Fill a backbone from a ``.safetensors`` file or a torch state dict with timm's names.

    Prefixes of wrappers (``encoder.`` in Zoobot's) and classification layers are passed over; the first layer is
    averaged or repeated over the bands when their number differs. Raises InputError when names or shapes disagree.
    """
    path = Path(path)
    wanted = net.state_dict()
    found = {_strip(name): tensor for name, tensor in _read_state(path).items()}
    state = {}
    for name, tensor in wanted.items():
        if name not in found:
            if name.endswith("num_batches_tracked"):
                state[name] = tensor
                continue
            raise InputError(
                f"{path}: found no '{name}', expected the encoder of this backbone",
                "choose the net.backbone that the file holds",
            )
        state[name] = _fit_bands(found[name], tensor)
        if state[name].shape != tensor.shape:
            raise InputError(
                f"{path}: '{name}': found shape {tuple(found[name].shape)}, expected {tuple(tensor.shape)}",
                "choose the net.backbone that the file holds",
            )
    net.load_state_dict(state)


def _read_state(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be read as weights ({error})", _FIX) from None
    state = read_torch_file(path, "weights", _FIX)
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise InputError(f"{path}: found no state dict, expected names and tensors", "save the encoder's state_dict()")
    return state


def _strip(name: str) -> str:
    changed = True
    while changed:
        changed = False
        for prefix in PREFIXES:
            if name.startswith(prefix):
                name, changed = name.removeprefix(prefix), True
    return name


def _fit_bands(found: Tensor, wanted: Tensor) -> Tensor:
    if (
        found.ndim != 4
        or found.shape == wanted.shape
        or found.shape[0] != wanted.shape[0]
        or found.shape[2:] != wanted.shape[2:]
    ):
        return found
    mean = found.mean(1, keepdim=True)
    # The sum over the bands stays what it was, so that the first layer's outputs keep their size.
    return mean.expand_as(wanted) * (found.shape[1] / wanted.shape[1])
