"""Networks for prediction only: shared kernels written out, batch norms folded into the preceding convolutions."""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from convnet_galaxies.model.galaxy_net import NetType
from convnet_galaxies.model.symmetric_net import expand_kernels


def fold_norms(net: NetType) -> NetType:
    """Return a copy of a net in evaluation mode that gives the same predictions with fewer passes over memory.

    Folded are the pairs of neighbours (convolution, batch norm) in definition order, which in our nets is the
    order of use.
    """
    folded = copy.deepcopy(net)
    expand_kernels(folded)
    folded.eval()
    for module in list(folded.modules()):
        children = list(module.named_children())
        for (name, first), (next_name, second) in pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, next_name, nn.Identity())
    return folded
