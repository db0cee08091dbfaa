"""Settings for the demo and a study: some hundred to some thousand cutouts."""

from __future__ import annotations

from convnet_galaxies.settings import AugmentSettings, NetSettings, Settings, SplitSettings, TrainSettings

SMALL_SETTINGS = Settings(
    # The whole stamp is seen, as in settings/space_warps.toml: a cutout counts as a lens if painted light is anywhere
    # in it. Two blocks in the later stages have the better cross entropy (docs/experiments.md).
    net=NetSettings(depths=(1, 2, 2), input_px=96, view_px=96),
    augment=AugmentSettings(zoom=1.15, shift_fraction=0.02, brightness=0.1, colour=0.03),
    train=TrainSettings(batch=64, validate_every=5),
    split=SplitSettings(train=0.7, validation=0.1, test=0.2),
)
"""Smaller steps than the default, and a larger part held out, so that figures mean something."""

STUDY_SETTINGS = SMALL_SETTINGS.model_copy(update={"split": SplitSettings(train=0.6, validation=0.2, test=0.2)})
"""The validation part of a study chooses rate and epochs, and should not choose by chance."""
