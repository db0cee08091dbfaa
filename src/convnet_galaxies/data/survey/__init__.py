"""Survey images as their pipelines write them: tiles, windows of pixels, positions."""
