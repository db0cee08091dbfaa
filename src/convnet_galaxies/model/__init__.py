"""Tensors to tensors: augmentation, backbones, heads, losses, weights."""
