"""zooniverse: classification exports to votes, clicks and a weighed crowd."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnet_galaxies.cli import subject_set_commands
from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import Force, Json, Quiet, progress_bar, remark, show_json

if TYPE_CHECKING:
    from convnet_galaxies.data.panoptes.classifications import Classifications, ExportOptions
    from convnet_galaxies.data.panoptes.workflow import Workflow

zooniverse_app = typer.Typer(
    no_args_is_help=True, help="Subject sets for Zooniverse; and its classification exports: votes, clicks, weights."
)


class AnonymousChoice(StrEnum):
    """Who classifications of one not-logged-in name are by."""

    SAME = "same"
    EACH = "each"
    DROP = "drop"


class KeepChoice(StrEnum):
    """Kinds of classifications that usually do not count."""

    TESTS = "tests"
    GOLD = "gold"


class PixelsChoice(StrEnum):
    """Pixels of marks."""

    NATURAL = "natural"
    CLIENT = "client"


class MethodChoice(StrEnum):
    """Ways of SWAP."""

    OFFLINE = "offline"
    ONLINE = "online"


Export = Annotated[Path, typer.Argument(help="Classification export of Zooniverse: CSV, also .gz or .bz2.")]
WorkflowOption = Annotated[
    str | None, typer.Option("--workflow", metavar="ID|NAME", help="Workflow; needed where the export has several.")
]
VersionsOption = Annotated[
    list[str] | None,
    typer.Option("--version", metavar="V", help="Only this version: 12 for all of 12.x, or 12.34. Repeat."),
]
WorkflowTable = Annotated[
    Path | None,
    typer.Option("--workflow-table", help="Zooniverse's workflow export: its tasks, and texts of numbered answers."),
]
NamesOption = Annotated[
    Path | None, typer.Option("--names", help="TOML file with the names of questions and answers, per task.")
]
AnonymousOption = Annotated[
    AnonymousChoice,
    typer.Option(help="Count one not-logged-in name as the same person, each time as another, or not at all."),
]
KeepOption = Annotated[
    list[KeepChoice] | None,
    typer.Option("--keep", help="Count also tests before the project was live, or gold-standard ones. Repeat."),
]
IdOption = Annotated[
    str | None,
    typer.Option("--id", metavar="NAME", help="Metadata that is the id of a subject; default: Zooniverse's number."),
]
SaltOption = Annotated[
    str | None,
    typer.Option(help="Text that makes hashes of volunteers agree between exports; default: a new one, not kept."),
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="key.csv of `zooniverse subjects`: gives subjects their own names again.")
]
KeepNames = Annotated[bool, typer.Option("--keep-names", help="Write names of volunteers instead of hashes.")]
PixelsOption = Annotated[
    PixelsChoice, typer.Option(help="Pixels of marks: those of the image, or of the volunteer's screen.")
]
FrameOption = Annotated[
    int, typer.Option(min=-1, help="Image of a subject on which marks count, from 0; -1 for all.", show_default=True)
]
TableOutput = Annotated[Path, typer.Option("-o", "--output", help="Table to write: CSV, Parquet, FITS or VOTable.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    subject_set_commands.register(zooniverse_app)
    app.add_typer(zooniverse_app, name="zooniverse")


@zooniverse_app.command()
def votes(
    export: Export,
    output: TableOutput,
    workflow: WorkflowOption = None,
    version: VersionsOption = None,
    workflow_table: WorkflowTable = None,
    names: NamesOption = None,
    tree: Annotated[
        str | None,
        typer.Option(help="Decision tree whose columns the table gets: its name, such as euclid, or a file."),
    ] = None,
    anonymous: AnonymousOption = AnonymousChoice.SAME,
    keep: KeepOption = None,
    id_name: IdOption = None,
    key: KeyOption = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Count the votes for each answer, per subject: columns {question}_{answer}, as catalogues of Galaxy Zoo have them.

    Of a volunteer's classifications of one subject the first counts. What is left out is counted by reason. With
    --tree, a task is the question that has its name (see --names), or the only one that has its answers.

    Example: `convnet-galaxies zooniverse votes classifications.csv.gz --workflow 6122 --id id -o votes.csv`

    Example: `convnet-galaxies zooniverse votes export.csv --names tasks.toml --tree euclid -o votes.csv`
    """
    check_paths(inputs=[export, workflow_table, names, key], table=output, force=force)
    from convnet_galaxies.data.panoptes.tables import count_votes
    from convnet_galaxies.data.tables import write_table
    from convnet_galaxies.decision_tree import read_tree
    from convnet_galaxies.paths import name_some

    questions = None if tree is None else read_tree(tree)

    options = _options(workflow, version, anonymous, keep, id_name)
    found, known = _read(export, options, workflow_table, names, key, quiet=quiet)
    table = count_votes(found, known, questions)
    if left_out := table.attrs.pop("left_out", []):
        remark(f"questions that the tree does not have, left out: {name_some(left_out)}", quiet=quiet)
    write_table(output, table, force=force)
    _show(found, {"path": output, "subjects": len(table)}, f"{output}: {len(table):,} subjects", quiet, as_json)


@zooniverse_app.command()
def clicks(
    export: Export,
    output: TableOutput,
    workflow: WorkflowOption = None,
    version: VersionsOption = None,
    workflow_table: WorkflowTable = None,
    anonymous: AnonymousOption = AnonymousChoice.SAME,
    keep: KeepOption = None,
    id_name: IdOption = None,
    pixels: PixelsOption = PixelsChoice.NATURAL,
    frame: FrameOption = 0,
    salt: SaltOption = None,
    keep_names: KeepNames = False,
    key: KeyOption = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List the marks of volunteers as clicks, one per row, for `cutouts`.

    Example: `convnet-galaxies zooniverse clicks classifications.csv --id id -o markers.csv`, then
    `convnet-galaxies cutouts fields markers.csv -o data`
    """
    check_paths(inputs=[export, workflow_table, key], table=output, force=force)
    from convnet_galaxies.data.panoptes.tables import list_markers
    from convnet_galaxies.data.tables import write_table

    options = _options(workflow, version, anonymous, keep, id_name, salt, keep_names, pixels, frame)
    found, _ = _read(export, options, workflow_table, None, key, quiet=quiet)
    table = list_markers(found)
    write_table(output, table, force=force)
    subjects = table["ZooID"].nunique()
    counts = {"path": output, "clicks": len(table), "subjects": subjects}
    _show(found, counts, f"{output}: {len(table):,} clicks on {subjects:,} subjects", quiet, as_json)


@zooniverse_app.command()
def weigh(
    export: Export,
    truth: Annotated[
        Path,
        typer.Option("--truth", help="Training subjects: id, lens (1 or 0), x_px, y_px; or key.csv of `subjects`."),
    ],
    output: TableOutput,
    volunteers: Annotated[
        Path | None, typer.Option("--volunteers", help="Table of the volunteers' skills to write, with intervals.")
    ] = None,
    question: Annotated[
        str | None, typer.Option(help="Question (task) that was asked; default: the drawing task, any mark is a lens.")
    ] = None,
    lens_answer: Annotated[
        list[str] | None, typer.Option(metavar="A", help="Answer that means a lens; default: yes. Repeat.")
    ] = None,
    method: Annotated[
        MethodChoice, typer.Option(help="SWAP over all answers (offline), or in order of time (online).")
    ] = MethodChoice.OFFLINE,
    prior: Annotated[
        float | None, typer.Option(help="Fraction of lenses among the other subjects; default: estimated.")
    ] = None,
    hit_px: Annotated[
        float, typer.Option(min=0, help="A mark this near to a training lens has found it, where x_px, y_px are given.")
    ] = 30.0,
    workflow: WorkflowOption = None,
    version: VersionsOption = None,
    workflow_table: WorkflowTable = None,
    names: NamesOption = None,
    anonymous: AnonymousOption = AnonymousChoice.SAME,
    keep: KeepOption = None,
    id_name: IdOption = None,
    pixels: PixelsOption = PixelsChoice.NATURAL,
    frame: FrameOption = 0,
    salt: SaltOption = None,
    keep_names: KeepNames = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Weigh the crowd (SWAP): learn each volunteer's skill on training subjects, and give each subject a probability.

    The table has id and crowd_probability, and serves as grades: `unknown --grades`.

    Example: `convnet-galaxies zooniverse weigh export.csv --truth truth.csv --question T0 --id id -o crowd.csv`
    """
    check_paths(inputs=[export, truth, workflow_table, names], table=output, force=force)
    check_paths(table=volunteers, force=force)
    from convnet_galaxies.data.tables import write_table
    from convnet_galaxies.study.crowd import read_truth, weigh_crowd

    known_truth = read_truth(truth)
    options = _options(workflow, version, anonymous, keep, id_name, salt, keep_names, pixels, frame)
    found, _ = _read(export, options, workflow_table, names, None, quiet=quiet)
    weighed = weigh_crowd(
        found,
        known_truth,
        question=question,
        lens_answers=lens_answer or ("yes",),
        method=method.value,
        prior=prior,
        hit_px=hit_px,
    )
    write_table(output, weighed.subjects, force=force)
    if volunteers is not None:
        write_table(volunteers, weighed.volunteers, force=force)
    counts = {
        "path": output,
        "subjects": len(weighed.subjects),
        "volunteers": len(weighed.volunteers),
        "prior": weighed.offline.prior,
        "dependence": weighed.offline.dependence,
        "auroc_of_hidden_training": weighed.held_out,
    }
    _show(
        found, counts, "\n".join([*weighed.summary(), f"{output}: {len(weighed.subjects):,} subjects"]), quiet, as_json
    )


def _options(
    workflow: str | None,
    version: Sequence[str] | None,
    anonymous: AnonymousChoice,
    keep: Sequence[KeepChoice] | None,
    id_name: str | None,
    salt: str | None = None,
    keep_names: bool = False,
    pixels: PixelsChoice = PixelsChoice.NATURAL,
    frame: int = 0,
) -> ExportOptions:
    from convnet_galaxies.data.panoptes.classifications import ExportOptions

    return ExportOptions(
        workflow=workflow,
        versions=tuple(version or ()),
        anonymous=anonymous.value,
        keep=tuple(one.value for one in keep or ()),
        id_name=id_name,
        pixels=pixels.value,
        frame=None if frame < 0 else frame,
        salt=salt,
        keep_names=keep_names,
    )


def _read(
    export: Path,
    options: ExportOptions,
    workflow_table: Path | None,
    names: Path | None,
    key: Path | None,
    *,
    quiet: bool,
) -> tuple[Classifications, Workflow]:
    from convnet_galaxies.data.panoptes.classifications import read_classifications, rename_subjects
    from convnet_galaxies.data.panoptes.subjects import read_key
    from convnet_galaxies.data.panoptes.workflow import read_workflow

    known = read_workflow(workflow_table, names, options.workflow)
    with progress_bar("Reading classifications", quiet=quiet) as update:
        found = read_classifications(export, options, workflow=known, progress=update)
    if key is not None:
        found = rename_subjects(found, read_key(key))
    for text in found.summary():
        remark(text, quiet=quiet)
    return found, known


def _show(found: Classifications, counts: dict[str, object], text: str, quiet: bool, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                **counts,
                "classifications_read": found.read,
                "classifications": len(found.rows),
                "left_out": found.left_out,
                "passed_over": found.passed_over,
                "remarks": found.remarks,
            }
        )
    else:
        typer.echo(text)
