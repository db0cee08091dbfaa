"""What a scan is made of: its inputs, run and settings, which later sessions must agree with, and its shards."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from convnet_galaxies.data.output import as_plain, clear_up_below, new_file
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.paths import name_some
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.folder import RunFolder, run_path
from convnet_galaxies.scan.lock import LOCK, hold_folder
from convnet_galaxies.scan.shards import Reader, Shard

SCAN_FORMAT = 1
FACTS = "scan.json"
PLAN, TILES, POSITIONS = "plan.parquet", "tiles.parquet", "positions.arrow"
"""Beginning of the names of files that a plan cut short may leave."""


@dataclass(eq=False)
class Plan:
    """A scan that can begin, or go on.

    facts: JSON-like; ``run``, ``settings``, and ``inputs``, the files by name of their tile or source, each a list of
    (path, size in bytes, time of change in s). names: of each shard. reader: reads shards on any machine.
    make_shard: gives the shard of a number with its content.
    """

    facts: dict[str, Any]
    names: Sequence[str]
    reader: Reader
    make_shard: Callable[[int], Shard]

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Nothing has to be written beside the facts."""

    def load(self) -> Plan:
        """Return the plan itself."""
        return self

    @property
    def hash(self) -> str:
        """Hash of everything but sizes and times of files: a broken file may be replaced."""
        return hash_facts(self.facts)


class Prepared(Protocol):
    """What becomes a plan once its folder is claimed."""

    facts: dict[str, Any]

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Write what belongs to the plan beside its facts. progress: called with (done, all)."""

    def load(self) -> Plan:
        """Return the plan, also of an earlier session."""


def hash_facts(facts: dict[str, Any]) -> str:
    """Return 16 hex digits that tell plans apart (see Plan.hash)."""
    inputs = {name: [path for path, *_ in files] for name, files in facts["inputs"].items()}
    own = {"run": {**facts["run"], "name": ""}, "settings": facts["settings"], "inputs": inputs}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16]


def describe_run(predictor: Predictor) -> dict[str, Any]:
    """Return the facts of a run on which predictions depend: hashes of its files, views, precision, and grey if so."""
    folder = RunFolder(run_path(predictor.run))
    files = {"weights": folder.weights, "card": folder.card, "familiarity": folder.familiarity}
    hashes = {key: _hash_file(path) if path.is_file() else "" for key, path in files.items()}
    precision = "bf16" if predictor.dtype == torch.bfloat16 else "fp32"
    grey = {"grey": True} if predictor.grey else {}  # without it, scans of earlier versions go on
    return {"name": predictor.run, **hashes, "views": predictor.views, "precision": precision, **grey}


def describe_files(paths: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Return path, size and time of change of files; size -1 for one that is not there."""
    found = []
    for path in paths:
        try:
            about = path.stat()
            found.append((str(path.absolute()), about.st_size, int(about.st_mtime)))
        except OSError:
            found.append((str(path.absolute()), -1, 0))
    return found


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write the facts of a plan."""
    text = json.dumps({"format": SCAN_FORMAT, **as_plain(facts)}, indent=1, ensure_ascii=False)
    with new_file(folder / FACTS, force=True) as temporary:
        temporary.write_text(text + "\n", "utf-8")


def read_facts(folder: Path) -> dict[str, Any]:
    """Read the facts of the scan in a folder. Raises InputError where there is none."""
    path = folder / FACTS
    try:
        facts = json.loads(path.read_text("utf-8"))
        if facts.pop("format") != SCAN_FORMAT:
            raise InputError(f"{path}: found an unknown format, expected {SCAN_FORMAT}", "update convnet-galaxies")
        return dict(facts)
    except FileNotFoundError:
        raise InputError(f"{folder}: holds no scan (no {FACTS})", "give the folder that `scan -o` wrote") from None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: is no description of a scan ({error})", "restore the file, or scan anew") from None


def planned_precision(folder: Path | None) -> Literal["auto", "bf16", "fp32"]:
    """Return the precision in which the scan in a folder computes, ``auto`` where none was begun.

    The machine that makes the plan chooses it, and others may have no bf16 of their own.
    """
    if folder is None or not (folder / FACTS).is_file():
        return "auto"
    found = read_facts(folder)["run"].get("precision")
    return found if found in ("bf16", "fp32") else "auto"


def claim_folder(folder: Path, facts: dict[str, Any], prepare: Callable[[], None], *, wait_s: float = 0) -> list[str]:
    """Begin a scan in a folder, or go on with that of the same facts; return names of inputs that changed since.

    prepare: writes what else belongs to the plan, before its facts are written; not called when they are there.
    wait_s: time to wait for another process that does the same.
    Raises UsageError when the folder holds another scan or something else.
    """
    if not (folder / FACTS).exists() and folder.exists() and (not folder.is_dir() or _strangers(folder)):
        raise UsageError(f"{folder}: holds something else than a scan", "choose another output")
    folder.mkdir(parents=True, exist_ok=True)
    with hold_folder(folder, timeout_s=wait_s):
        clear_up_below(folder)
        if not (folder / FACTS).exists():
            prepare()
            write_facts(folder, facts)
            return []
        old = read_facts(folder)
        if differences := list(_compare(old, as_plain(facts))):
            raise UsageError(
                f"{folder}: holds another scan: found {'; '.join(differences)}",
                "choose another output, or give the same run, inputs and settings to go on",
            )
        before, now = old["inputs"], as_plain(facts)["inputs"]
        return [name for name in now if now[name] != before[name]]


def _strangers(folder: Path) -> list[str]:
    """Return names that no scan has which was killed before its facts were written, or whose plan is being made."""
    begun = "|".join(re.escape(name) for name in (FACTS, PLAN, TILES, POSITIONS))
    ours = re.compile(rf"{re.escape(LOCK)}|\.?(?:{begun})(?:\.(?:lock|unfinished.*))?")
    return [path.name for path in folder.iterdir() if not ours.fullmatch(path.name)]


def _compare(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Tell in what a plan differs from an earlier one; contents of files are not compared."""
    if old.get("kind") != new["kind"]:
        yield f"a {new['kind']} instead of a {old.get('kind')}"
    for key in ("weights", "card", "familiarity"):
        found, expected = new["run"][key] or "none", old["run"].get(key) or "none"
        if found != expected:
            yield f"{key} {found} of {new['run']['name']} instead of {expected} of {old['run'].get('name')}"
    for key in ("views", "precision"):
        if old["run"].get(key) != new["run"][key]:
            yield f"{key} {new['run'][key]} instead of {old['run'].get(key)}"
    if old["run"].get("grey") != new["run"].get("grey"):
        yield "in grey instead of in colour" if new["run"].get("grey") else "in colour instead of in grey"
    for key in dict.fromkeys([*old["settings"], *new["settings"]]):
        before, now = old["settings"].get(key), new["settings"].get(key)
        if before != now:
            yield f"{key} {_show(now)} instead of {_show(before)}"
    was, is_now = old["inputs"], new["inputs"]
    changed = [name for name in is_now if name in was and _paths(is_now[name]) != _paths(was[name])]
    for text, names in (
        ("more", [name for name in is_now if name not in was]),
        ("fewer", [name for name in was if name not in is_now]),
        ("of other files", changed),
    ):
        if names:
            yield f"{len(names):,} inputs {text} ({name_some(names, 3)})"


def _paths(files: Sequence[Sequence[Any]]) -> list[str]:
    return [file[0] for file in files]


def _show(value: Any) -> str:
    return "none" if value is None else ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
