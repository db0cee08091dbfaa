"""Interface of backbones."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn


class Backbone(nn.Module, ABC):
    """Images float [n, bands, h, w] to features float32 [n, features].

    symmetric: whether features stay the same when an image is turned by a quarter or mirrored.
    """

    features: int
    symmetric: bool = False

    @abstractmethod
    def list_stages(self) -> list[nn.Module]:
        """List the parts of the backbone from the input on, for freezing; together they hold all its parameters."""
