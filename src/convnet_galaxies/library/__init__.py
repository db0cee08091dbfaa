"""What a notebook works with; ``import convnet_galaxies as cg`` offers every name of it."""
