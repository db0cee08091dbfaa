"""Convolutional neural networks for astronomers who study images of galaxies."""

__version__ = "0.1.0"
