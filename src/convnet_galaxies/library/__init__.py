"""Functions and classes for notebooks; ``import convnet_galaxies as cg`` offers every name."""
