"""inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import Force, Json, Seed, remark, show_json
from convnet_galaxies.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this command to the app."""
    app.command()(inspect)


def inspect(
    source: Annotated[
        Path,
        typer.Argument(
            help="Pack, folder of a scan, table of predictions (with --images), or folder or zip of images."
        ),
    ],
    images: Annotated[
        Path | None, typer.Option(help="Pack, folder or zip that holds the images of a table of candidates.")
    ] = None,
    predictions: Annotated[Path | None, typer.Option(help="Predictions for a pack or for images, by id.")] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="Features by `predict --embeddings`: adds neighbours and sorting by similarity.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Run, or builtin:NAME: the single view shows what its lens probability rests on (key m)."),
    ] = None,
    samp: Annotated[
        bool,
        typer.Option("--samp", help="Link with TOPCAT, Aladin and DS9: send candidates, take what is picked there."),
    ] = False,
    database: Annotated[
        Path | None, typer.Option(help="Table of grades; default: SOURCE.grades.sqlite beside the source.")
    ] = None,
    blind: Annotated[
        bool,
        typer.Option("--blind/--no-blind", help="Hide scores, names and positions, shuffle, and mix in repeats."),
    ] = True,
    top: Annotated[int | None, typer.Option(min=1, help="Only so many candidates, the best ranked.")] = None,
    min_probability: Annotated[float | None, typer.Option(help="Lowest lens probability of a candidate.")] = None,
    mix: Annotated[
        list[Path] | None,
        typer.Option(
            help="Pack or folder of images with known answers (column lens; without it all are lenses), shown among "
            "the candidates. May be repeated."
        ),
    ] = None,
    mix_share: Annotated[float, typer.Option(help="Fraction of what is shown that comes from --mix.")] = 0.1,
    repeat_share: Annotated[
        float, typer.Option(help="Fraction of what is shown, in blind sessions, that repeats a candidate.")
    ] = 0.05,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="TOML file of grades, kinds and keys; see docs/using.md.")
    ] = None,
    seed: Seed = 0,
    host: Annotated[str, typer.Option(help="Address to listen on; others than 127.0.0.1 need --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any that is free.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CONVNET_GALAXIES_TOKEN", help="Secret in the page's address; default: another one at each start."
        ),
    ] = None,
    results: Annotated[
        bool, typer.Option("--results", help="Print the results of the grades so far instead of serving the page.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the grades per candidate to a CSV, Parquet, FITS or VOTable file instead."),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Look at candidates and grade them on a page of this machine, alone or with others.

    The command prints an address; open it in a browser. On another machine, forward its port first:
    `ssh -L 8765:127.0.0.1:8765 machine`. Each grade is on the disk when the page goes on. Stop with Ctrl-C and continue
    with the same command. SOURCE may also be the table of grades itself with --results or --export.

    Examples: `convnet-galaxies inspect lenses.pack --predictions lenses.csv --top 1500 --mix sims.pack`;
    `convnet-galaxies inspect lenses.pack --results`; `convnet-galaxies inspect lenses.pack --export grades.csv`
    """
    from convnet_galaxies.extras import require_extra
    from convnet_galaxies.paths import default_database, is_grade_book

    inputs = [source, images, predictions, embeddings, settings, *(mix or [])]
    check_paths(runs=[run], inputs=inputs, table=export, force=force)
    require_extra("inspect", "inspect", ("fastapi", "uvicorn", "krippendorff"))
    is_book = is_grade_book(source)
    path = source if is_book else database or default_database(source)
    if results or export is not None:
        _show_results(path, source, export, results=results, force=force, as_json=as_json)
        return
    if is_book:
        raise UsageError(f"{source}: is a table of grades, expected candidates", "give the candidates that it grades")
    if blind and (run is not None or samp):
        raise UsageError(
            "--run and --samp: would show positions and what the network thinks, and this session is blind",
            "add --no-blind, or leave them out",
        )
    from convnet_galaxies.data.grade_book import GradeBook
    from convnet_galaxies.inspection.extras import open_extras
    from convnet_galaxies.inspection.learner import Learner
    from convnet_galaxies.inspection.neighbours import Neighbours, read_features
    from convnet_galaxies.inspection.open_source import open_source
    from convnet_galaxies.inspection.scheme import read_scheme
    from convnet_galaxies.inspection.serve import check_place, serve
    from convnet_galaxies.inspection.session import Session, SessionOptions

    check_place(host, port, token)
    scheme = read_scheme(settings)
    opened = open_source(source, images=images, predictions=predictions)
    features = None if embeddings is None else read_features(embeddings, opened.table["id"])
    session = Session(
        opened,
        GradeBook(path),
        SessionOptions(blind, seed, top, min_probability, mix_share, repeat_share),
        scheme,
        [open_source(one) for one in mix or []],
        None if features is None else Neighbours(features),
        None if features is None else Learner(features, opened.table.get("group")),
    )
    del features  # 150 MB for 100,000 candidates, which nothing needs any more
    for text in session.remarks:
        remark(text)
    typer.echo(f"{len(session.showings):,} images; grades go to {path}")
    extras = open_extras(session, run=run, samp=samp, announce=lambda text: remark(f"SAMP: {text}"))
    options = {"host": host, "port": port, "token": token, "extras": extras}
    serve(session, **options, announce=lambda address: typer.echo(f"Open {address}"))  # type: ignore[arg-type]


def _show_results(path: Path, source: Path, export: Path | None, *, results: bool, force: bool, as_json: bool) -> None:
    from convnet_galaxies.data.tables import is_table, write_table
    from convnet_galaxies.inspection.results import export_candidates, fill_table, read_results, results_page
    from convnet_galaxies.inspection.sources import read_candidates

    if export is not None:
        table = export_candidates(path)
        if source != path and source.is_file() and is_table(source):
            table = fill_table(read_candidates(source), table)
        write_table(export, table, force=force)
        if not (results and as_json):
            typer.echo(f"{export}: grades of {int(table['grade'].notna().sum()):,} candidates")
    if results:
        found = read_results(path)
        show_json({"graders": found.graders, "alpha": found.alpha}) if as_json else typer.echo(
            results_page(found).text()
        )
