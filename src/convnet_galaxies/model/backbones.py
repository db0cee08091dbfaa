"""The door to all backbones, ours and the well-known ones."""

from __future__ import annotations

from convnet_galaxies.model.backbone import Backbone
from convnet_galaxies.model.plain_net import PlainNet
from convnet_galaxies.model.symmetric_net import SymmetricNet
from convnet_galaxies.settings import NetSettings


def build_backbone(settings: NetSettings, bands: int) -> Backbone:
    """Return an untrained backbone, or one with the encoder weights that the settings name."""
    # Nets with timm's names live in files of their own and are loaded only when asked for.
    if settings.backbone in ("symmetric", "plain"):
        ours = SymmetricNet if settings.backbone == "symmetric" else PlainNet
        return ours(bands, settings.patch_px, settings.widths, settings.depths)
    if settings.backbone.startswith("resnet"):
        from convnet_galaxies.model.resnet import build_resnet

        net: Backbone = build_resnet(settings.backbone, bands)
    else:
        from convnet_galaxies.model.convnext import build_convnext

        net = build_convnext(settings.backbone, bands)
    if settings.encoder_weights is not None:
        from convnet_galaxies.model.encoder_file import load_encoder

        load_encoder(net, settings.encoder_weights)
    return net
