"""Every command that writes, with arguments that make it write something small, and those that write nothing.

`{w}` is the folder of trust/world.py, `{o}` the folder of the outputs. A command that is in neither list makes
`unlisted` return its name, and the test of this list fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import typer
from world import TINY_WORDS

from convnet_galaxies.cli import app
from convnet_galaxies.cli.reference import list_commands


@dataclass(frozen=True)
class Case:
    """A command that writes.

    words: the command and its arguments. goes_on: repeating it continues an output that a killed one left, which may
    therefore be there in part. copies: what must lie in the folder of the outputs before, by its place.
    varies: names of files within outputs that hold times or places, and differ from run to run.
    """

    words: str
    goes_on: bool = False
    copies: dict[str, str] = field(default_factory=dict)
    varies: tuple[str, ...] = ()

    @property
    def can_force(self) -> bool:
        """Whether it replaces an output under --force."""
        return not self.goes_on

    def arguments(self, world: object, place: object, *more: str) -> list[str]:
        """Return the words of the command line."""
        return [word.format(w=world, o=place) for word in self.words.split()] + list(more)


CROWD = "{w}/crowd/classifications.csv.gz --workflow 5678 --id id"

WRITES = {
    "train": Case(f"train {{w}}/zoo.pack -o {{o}}/run {TINY_WORDS} --set train.epochs=3", goes_on=True),
    "crossval": Case(f"crossval {{w}}/lens.pack -o {{o}}/folds --folds 2 {TINY_WORDS}", goes_on=True),
    "predict": Case("predict {w}/zoo {w}/images -o {o}/votes.csv --embeddings {o}/features.parquet"),
    "predict, into a folder": Case("predict {w}/zoo {w}/images -o {o}/votes", goes_on=True, varies=("scan.sqlite",)),
    "submit": Case("submit {w}/zoo {w}/challenge/images_test_rev1.zip -o {o}/submission.csv --views 1"),
    "mine": Case("mine {w}/lens {w}/images -o {o}/mined.pack --min-probability 0 --number 5"),
    "scan": Case(
        "scan {w}/survey {w}/tiles -o {o}/found --threshold 5 --missing 0.4", goes_on=True, varies=("scan.sqlite",)
    ),
    "export": Case("export {w}/found -o {o}/best.fits"),
    "export, regions": Case("export {w}/found -o {o}/best.reg"),
    "export, a pack": Case("export {w}/found -o {o}/best.pack"),
    "export, cutouts": Case("export {w}/found -o {o}/cutouts --top 3"),
    "ensemble": Case("ensemble {w}/lens {w}/second -o {o}/two"),
    "calibrate": Case("calibrate {w}/lens {w}/unseen.pack -o {o}/calibrated --views 1"),
    "familiarity": Case("familiarity {o}/run {w}/lens.pack", copies={"run": "{w}/lens"}),
    "explain": Case("explain {w}/lens {w}/lens.pack --id cutout3_ASW00001 -o {o}/map.png"),
    "explain, the map": Case("explain {w}/lens {w}/lens.pack --id cutout3_ASW00001 -o {o}/map.fits"),
    "similar": Case("similar {w}/lens {w}/features.parquet --to cutout3_ASW00001 -o {o}/alike.csv"),
    "unusual": Case("unusual {w}/lens {w}/features.parquet --by isolation -o {o}/rare.parquet"),
    "map": Case("map {w}/lens {w}/lens.pack -o {o}/map.html"),
    "cutouts": Case("cutouts {w}/space-warps/fields {w}/space-warps/markers.csv -o {o}/cut"),
    "study": Case(
        "study --parent {w}/zoo --lenses {w}/lens.pack -o {o}/study --repetitions 1 --label-fractions 1 --rates 1 "
        f"--lens-epochs 1 --fine-epochs 1 --no-controls {TINY_WORDS}",
        goes_on=True,
    ),
    "unknown": Case("unknown {w}/lens {w}/lens.pack -o {o}/unknown --views 1"),
    "report": Case("report {w}/lens --pack {w}/lens.pack -o {o}/report.html --views 1"),
    "inspect, the table": Case("inspect {w}/lens.pack --export {o}/grades.csv --database {w}/grades.sqlite"),
    "pack galaxy-zoo": Case("pack galaxy-zoo {w}/challenge -o {o}/zoo.pack --workers 1"),
    "pack space-warps": Case("pack space-warps {w}/space-warps -o {o}/lenses.pack --workers 1"),
    "pack images": Case("pack images {w}/images {w}/labels.csv --label is_lens -o {o}/mine.pack --size 32 --workers 1"),
    "pack votes": Case("pack votes {w}/images {w}/counts.csv --tree {w}/tree.toml -o {o}/rings.pack --workers 1"),
    "simulate galaxy-zoo": Case("simulate galaxy-zoo {o}/zoo --number 4 --workers 1"),
    "simulate space-warps": Case("simulate space-warps {o}/lenses --number 24 --workers 1"),
    "simulate injected-lenses": Case("simulate injected-lenses {w}/space-warps/fields {o}/injected --number 2"),
    "simulate survey": Case("simulate survey {o}/survey --number 2 --size 256"),
    "simulate survey, tiles": Case("simulate survey {o}/survey --number 2 --size 192 --tiles 1x2 --overlap 32"),
    "simulate zooniverse": Case("simulate zooniverse {o}/crowd --number 10 --volunteers 10 --looks 3"),
    "zooniverse votes": Case(f"zooniverse votes {CROWD} -o {{o}}/votes.csv"),
    "zooniverse clicks": Case(f"zooniverse clicks {CROWD} -o {{o}}/clicks.csv --salt s"),
    "zooniverse weigh": Case(
        f"zooniverse weigh {CROWD} --truth {{w}}/crowd/truth.csv --question T0 -o {{o}}/crowd.csv "
        "--volunteers {o}/people.csv --salt s"
    ),
    "zooniverse subjects": Case("zooniverse subjects {w}/images --dud {w}/others --dud-share 0.25 -o {o}/sets"),
}
"""By the name of the command, and after a comma what it writes where that has ways of its own."""

ELSEWHERE = {
    "demo": "a chain of other commands, each of whose outputs is whole or absent; it takes minutes",
    "inspect": "its server is killed between two grades in tests/inspection/test_in_browser.py",
}
"""Commands that write and are tested in another place, with the reason."""

READS = ("describe", "doctor", "evaluate")
"""Commands that write no file."""

WRITING_OPTIONS = {"output", "out", "force", "export", "embeddings", "database"}


def unlisted() -> list[str]:
    """Return the commands that no list has, and those that are listed as reading but have an option for an output."""
    listed = {name.partition(",")[0] for name in (*WRITES, *ELSEWHERE)}
    wrong = []
    for name, options in _commands():
        if name in READS:
            wrong += [name] if options & WRITING_OPTIONS else []
        elif name not in listed:
            wrong.append(name)
    return wrong


def _commands() -> Iterator[tuple[str, set[str]]]:
    for name, command in list_commands(typer.main.get_command(app), ""):
        yield name.strip(), {str(one.name) for one in command.params}
