"""``python -m convnet_galaxies`` is the command ``convnet-galaxies``."""

from convnet_galaxies.cli import main

if __name__ == "__main__":
    main()
