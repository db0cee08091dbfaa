"""Settings of a run, some of which are inherited from its parent run."""

from __future__ import annotations

import os

from convnet_galaxies.errors import UsageError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.settings import INHERITED, Changes, Settings, load_settings, read_changes


def choose_settings(
    path: StrPath | None = None,
    changes: Changes = (),
    *,
    seed: int | None = None,
    parent: StrPath | None = None,
    base: Settings | None = None,
) -> Settings:
    """Return the settings of a training; the network comes from the parent where the settings leave it open.

    path, changes, base: see load_settings. seed: overrides theirs. parent: run, or ``builtin:NAME``.
    Raises InputError for wrong settings and UsageError for a change of what the parent decides.
    """
    wanted = read_changes(changes) | ({} if seed is None else {"seed": seed})
    if parent is None:
        return load_settings(path, wanted, base)
    net = read_card(parent).net
    # A plain net of single pixels takes any input; the parent's net comes back, and the input fits itself to it.
    free = net.model_copy(update={"backbone": "plain", "patch_px": 1})
    chosen = load_settings(path, wanted, (base or Settings()).model_copy(update={"net": free}))
    for name in INHERITED:
        own, found = getattr(chosen.net, name), getattr(net, name)
        if own != found and f"net.{name}" in wanted:
            raise UsageError(
                f"--set net.{name}: would change nothing, since the network comes from {os.fspath(parent)}, where it "
                f"is {found}",
                f"leave out --set net.{name}, or train from scratch without --from",
            )
    return chosen
