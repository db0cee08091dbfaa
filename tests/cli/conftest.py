"""The command line in this process, and a small world of packs and runs to call it on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_sets import SIDE_PX, make_lens_set, make_vote_set, tiny, write_pngs

from convnet_galaxies.cli import main
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.zip_files import close_archives
from convnet_galaxies.training.fit import fit


@dataclass(frozen=True)
class Result:
    """What a command gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """run("train", pack, "-o", path): call the command line; wide output, so that messages are not wrapped."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["convnet-galaxies", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "300")
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            close_archives()
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the packs zoo, lens, plain (no labels), small (16 px), grey; images; the runs zoo and lens."""
    folder = tmp_path_factory.mktemp("cli")
    votes, lenses = make_vote_set(64), make_lens_set(64)
    for name, images, options in (
        ("zoo", votes, {"table": True}),
        ("lens", lenses, {"table": True}),
        ("plain", votes, {"table": False}),
        ("small", votes, {"table": True, "size": 16}),
        ("grey", votes, {"table": True, "bands": 1}),
    ):
        source = write_pngs(images, folder / f"{name}_images")
        if options.get("bands") == 1:
            from PIL import Image

            for path in source.iterdir():
                with Image.open(path) as image:
                    grey = image.convert("L")
                grey.save(path)
        table = folder / f"{name}.csv"
        images.table.drop(columns="group").to_csv(table, index=False)
        records = read_image_folder(source, table if options["table"] else None)
        write_pack(
            records,
            Preprocess(size_px=options.get("size", SIDE_PX), bands=options.get("bands", 3)),
            folder / f"{name}.pack",
        )
    fit(votes, tiny("train.epochs=1"), folder / "zoo", tasks=("votes",))
    fit(lenses, tiny("train.epochs=1"), folder / "lens", tasks=("lens",))
    close_archives()
    return folder
