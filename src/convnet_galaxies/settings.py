"""Settings of a run as small frozen models, read from one TOML file; unknown keys are refused."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.paths import StrPath

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class SettingsSection(BaseModel):
    """A table of the settings file; the text ``none`` switches a setting off, since TOML has no null."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _switch_off(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        off = {name for name, value in values.items() if isinstance(value, str) and value.strip().lower() == "none"}
        return {name: None if name in off else value for name, value in values.items()}


Normalise = Literal["fixed", "own"]
INHERITED = ("backbone", "widths", "depths", "patch_px")
"""Settings of a network that a child run inherits from its parent."""
FORMER_NAMES = {"field_px": "view_px"}
"""Former names of settings of a network; model cards, settings files and ``--set`` may still use them."""


def _rename_former(values: dict[str, Any]) -> dict[str, Any]:
    # A setting given under both names keeps the former one, which is then refused as unknown.
    renamed = {old: new for old, new in FORMER_NAMES.items() if new not in values}
    return {renamed.get(name, name): value for name, value in values.items()}


class NetSettings(SettingsSection):
    """The network. Sizes were chosen by accuracy reached in a given time (docs/experiments.md).

    backbone: ``symmetric`` (designed for CPUs; predictions do not change when an image is turned by 90 degrees or
        mirrored), ``plain`` (the same without symmetry), or ``resnet18``, ``resnet50``, ``convnext_nano``,
        ``convnext_tiny``.
    widths, depths: channels and blocks of each stage of symmetric and plain networks.
    patch_px: side of the squares that their first layer reduces to one pixel.
    input_px: side of the network input, in pixels.
    view_px: side, in pixels of the pack, of the central square that is resampled to input_px; None: input_px. Formerly
        ``field_px``.
    dropout: fraction of the features dropped before the heads.
    normalise: pixels to the numbers that the network sees: ``fixed``, or by each image's ``own`` sky and contrast.
    encoder_weights: file with a timm or Zoobot encoder (``.safetensors``, or a torch state dict) to start from.
    """

    backbone: Literal[
        "symmetric", "plain", "resnet18", "resnet34", "resnet50", "convnext_atto", "convnext_nano", "convnext_tiny"
    ] = "symmetric"
    widths: tuple[Annotated[int, Field(gt=0)], ...] = (32, 64, 128)
    depths: tuple[Annotated[int, Field(gt=0)], ...] = (1, 1, 1)
    patch_px: Annotated[int, Field(gt=0)] = 4
    input_px: Annotated[int, Field(ge=16)] = 64
    view_px: Positive | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    normalise: Normalise = "fixed"
    encoder_weights: str | None = None

    def view_px_of(self, size_px: int) -> float:
        """Return the side of the input square, in pixels of the pack; it exceeds the pack only if view_px does."""
        return float(min(self.input_px, size_px)) if self.view_px is None else self.view_px

    @property
    def input_step_px(self) -> int:
        """Number of which input_px must be a multiple: whole patches, and for symmetric networks even halving."""
        if self.backbone == "symmetric":
            return self.patch_px * 2 ** (len(self.widths) - 1)
        return self.patch_px if self.backbone == "plain" else 1

    @model_validator(mode="before")
    @classmethod
    def _take_former_names(cls, values: Any) -> Any:
        return _rename_former(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _stages_agree(self) -> NetSettings:
        if len(self.widths) != len(self.depths):
            raise ValueError(f"widths has {len(self.widths)} stages and depths {len(self.depths)}; they must agree")
        return self

    @model_validator(mode="after")
    def _backbone_can_be_built(self) -> NetSettings:
        step = self.input_step_px
        if self.input_px % step:
            raise ValueError(
                f"input_px is {self.input_px}, expected a multiple of {step} px for these patches and stages"
            )
        if self.backbone == "symmetric" and any(width % 8 for width in self.widths):
            raise ValueError(f"widths are {self.widths}, expected multiples of 8 for the backbone symmetric")
        if self.backbone in ("symmetric", "plain") and self.encoder_weights is not None:
            raise ValueError(f"encoder_weights needs a resnet or convnext, found the backbone {self.backbone}")
        if self.backbone.startswith("convnext") and self.input_px < 32:
            raise ValueError(f"input_px is {self.input_px}, expected at least 32 for {self.backbone}")
        return self


class AugmentSettings(SettingsSection):
    """Random views in training.

    shift_fraction: largest shift in sides of the viewed square.
    zoom, stretch: largest factors of size and of the ratio of the axes, log-uniform both ways; 1 is none.
    brightness, colour: scatter in natural log units of each image's and each band's gain.
    surveys: share of the views that look as if another survey had taken them (see model/looks.py).
    """

    rotate: bool = True
    flip: bool = True
    shift_fraction: Fraction = 0.05
    zoom: Annotated[float, Field(ge=1)] = 1.35
    stretch: Annotated[float, Field(ge=1)] = 1.1
    brightness: Annotated[float, Field(ge=0)] = 0.15
    colour: Annotated[float, Field(ge=0)] = 0.07
    surveys: Fraction = 0.0


class TrainSettings(SettingsSection):
    """The training itself.

    epochs: passes over the training images.
    batch: images per step.
    learning_rate: peak value after the warm-up; decays to zero on a cosine.
    warmup: fraction of the steps in which the rate rises.
    average: decay time of the exponential moving average (EMA) of the weights, as a fraction of all steps. The averaged
        weights are validated and saved; None: no average.
    frozen_epochs: first epochs in which an inherited backbone is frozen.
    frozen_stages: number of its first stages that stay frozen.
    backbone_rate: learning rate of an inherited backbone, as a fraction of that of the heads; 1 was at least as good as
        0.3 wherever both were measured (docs/experiments.md).
    validate_every: epochs between validations; the last epoch is always validated.
    types: number of morphology types (k-means of the votes) for the task ``types``.
    graded_repeats: times that a training image whose label is a grade is shown per epoch; few grades would be lost
        among many simulated images.
    head: ``trained`` by gradient descent together with the backbone, or fitted by ``ridge`` regression on the features
        of an inherited backbone that stays as it is: for a few labels (see training/ridge_head.py).
    precision: ``auto`` selects bf16 if the processor or GPU has it natively.
    """

    epochs: Annotated[int, Field(gt=0)] = 80
    batch: Annotated[int, Field(gt=0)] = 128
    learning_rate: Positive = 0.004
    weight_decay: Annotated[float, Field(ge=0)] = 0.03
    warmup: Fraction = 0.05
    average: Annotated[float, Field(gt=0, lt=1)] | None = 0.03
    frozen_epochs: Annotated[int, Field(ge=0)] = 0
    frozen_stages: Annotated[int, Field(ge=0)] = 0
    backbone_rate: Annotated[float, Field(gt=0)] = 1.0
    validate_every: Annotated[int, Field(gt=0)] = 1
    types: Annotated[int, Field(gt=1)] = 20
    graded_repeats: Annotated[int, Field(gt=0, le=100)] = 1
    head: Literal["trained", "ridge"] = "trained"
    precision: Literal["auto", "bf16", "fp32"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nodes(cls, values: Any) -> Any:
        # A setting that nobody used; the files of older runs have it.
        return (
            {name: value for name, value in values.items() if name != "nodes"} if isinstance(values, dict) else values
        )


class SplitSettings(SettingsSection):
    """Fractions of the images in each part; whole groups only."""

    train: Fraction = 0.8
    validation: Fraction = 0.1
    test: Fraction = 0.1

    @model_validator(mode="after")
    def _adds_to_one(self) -> SplitSettings:
        if abs(self.train + self.validation + self.test - 1) > 1e-6 or self.train == 0:
            raise ValueError(
                f"train + validation + test is {self.train + self.validation + self.test:g}; "
                "it must be 1, with train above 0"
            )
        return self

    @property
    def fractions(self) -> tuple[float, float, float]:
        """Fractions of train, validation and test."""
        return self.train, self.validation, self.test


class Settings(SettingsSection):
    """All settings of a run; equal settings, data and seed give equal weights on one machine."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    net: NetSettings = NetSettings()
    augment: AugmentSettings = AugmentSettings()
    train: TrainSettings = TrainSettings()
    split: SplitSettings = SplitSettings()


Changes: TypeAlias = Sequence[str] | Mapping[str, Any]
"""Changes of settings: texts like ``train.epochs=12``, or names and values."""


def load_settings(path: StrPath | None = None, changes: Changes = (), base: Settings | None = None) -> Settings:
    """Return the settings of a TOML file on top of a base, with changes on top of both.

    changes: texts like ``train.epochs=12``, or a mapping like ``{"train.epochs": 12}``. Values in texts are TOML
        (``net.widths=[32, 64]``), else plain text; ``none``, or None, switches off.
    Raises InputError for a missing or broken file and for unknown keys or wrong values.
    """
    path = None if path is None else Path(path)
    tree = _to_tree(base or Settings())
    where = "settings"
    if path is not None:
        where = str(path)
        try:
            _merge(tree, tomllib.loads(path.read_text("utf-8")))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})", "give an existing TOML file") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: found no valid TOML ({error})", "see settings/*.toml for examples") from None
    for name, value in read_changes(changes).items():
        *tables, key = name.split(".")
        branch: dict[str, Any] = {key: value}
        for table in reversed(tables):
            branch = {table: branch}
        _merge(tree, branch)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        if first["type"] == "value_error":  # settings that do not go together; the message names them
            reason = str(first["ctx"]["error"])
        elif first["type"] == "extra_forbidden":
            reason = "there is no such setting"
        else:
            reason = f"found {first['input']!r}, {first['msg'][0].lower()}{first['msg'][1:]}"
        raise InputError(
            f"{where}: {place}: {reason}", "see docs/using.md for the names and the allowed values"
        ) from None


def read_changes(changes: Changes) -> dict[str, Any]:
    """Return the values of changes by the names of the settings. Raises UsageError for a text without a name."""
    if isinstance(changes, Mapping):
        return {name: "none" if value is None else value for name, value in changes.items()}
    found: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name:
            raise UsageError(f"--set: found '{change}', expected NAME=VALUE", "write e.g. --set train.epochs=12")
        try:
            found[name.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.strip()] = text
    return found


def write_settings(settings: Settings) -> str:
    """Return all settings as TOML text; settings that are switched off are ``none``."""
    import tomli_w

    return tomli_w.dumps(_name_none(_to_tree(settings)))


def identify_settings(settings: Settings) -> str:
    """Return the settings as text to compare with those of an unfinished run, also of one begun under former names, or
    before a setting was there that is left at its default."""
    text = write_settings(settings).replace("\nview_px = ", "\nfield_px = ")
    for later in ("graded_repeats = 1", 'head = "trained"', 'normalise = "fixed"', "surveys = 0.0"):
        text = text.replace(f"\n{later}\n", "\n")
    return text


def _to_tree(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json")


def _name_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _name_none(inner) for name, inner in value.items()}
    return "none" if value is None else value


def _merge(tree: dict[str, Any], branch: dict[str, Any]) -> None:
    for key, value in _rename_former(branch).items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value
