"""What a classification export holds: workflows and versions, tasks and answers, and what would not count."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from convnet_galaxies.blocks import Table
from convnet_galaxies.data.panoptes.blocks import read_blocks
from convnet_galaxies.data.panoptes.classifications import Classifications, ExportOptions, read_classifications
from convnet_galaxies.data.panoptes.people import ANONYMOUS
from convnet_galaxies.paths import name_some

MOST_VERSIONS, MOST_ANSWERS = 6, 12


def describe_export(path: Path) -> tuple[list[str], list[Table]]:
    """Return facts and tables about an export; of several workflows, that with most rows is read.

    Raises InputError for a damaged file and where no row counts.
    """
    workflows, versions = _count_workflows(path)
    chosen = max(workflows, key=lambda one: workflows[one]) if workflows else ("", "")
    found = read_classifications(path, ExportOptions(workflow=chosen[0] or None, keep_names=True))
    rows = [
        (number, name, count, name_some([one for one, _ in versions[number].most_common()], MOST_VERSIONS))
        for (number, name), count in workflows.most_common()
    ]
    time = found.rows["time"].dropna()
    anonymous = found.rows["volunteer"].astype("str").str.startswith(ANONYMOUS.decode()).to_numpy()
    lines = [
        f"classifications of workflow {chosen[0]}: {len(found.rows):,} that count, of {len(found.subjects):,} subjects "
        f"by {found.rows['volunteer'].nunique():,} volunteers ({anonymous.mean():.0%} not logged in)",
        *([f"made from {time.min():%Y-%m-%d} to {time.max():%Y-%m-%d}"] if len(time) else []),
        f"{int((found.subjects['retired'] != '').sum()):,} subjects are retired",
        *found.summary()[1:],
    ]
    tables = [
        Table("workflows", ("workflow", "name", "rows", "versions"), tuple(rows)),
        Table("tasks", ("task", "classifications", "answers"), tuple(_list_tasks(found))),
    ]
    return lines, tables


def _count_workflows(path: Path) -> tuple[Counter[tuple[str, str]], dict[str, Counter[str]]]:
    """Count rows by number and name of the workflow, and by version of each."""
    workflows: Counter[tuple[str, str]] = Counter()
    versions: dict[str, Counter[str]] = {}
    for block in read_blocks(path, note_broken=lambda: None):
        ids = block["workflow_id"].to_pylist()
        names = block["workflow_name"].to_pylist() if "workflow_name" in block else [b""] * len(ids)
        own = block["workflow_version"].to_pylist() if "workflow_version" in block else [b""] * len(ids)
        for triple, count in Counter(zip(ids, names, own, strict=True)).items():
            number, name, version = (one.decode("utf-8", "replace") for one in triple)
            workflows[number, name] += count
            versions.setdefault(number, Counter())[version] += count
    return workflows, versions


def _list_tasks(found: Classifications) -> list[tuple[str, int, str]]:
    answers, rows = found.answers, []
    counts = answers.groupby(["question", "answer"], observed=True).size()
    for question in answers["question"].cat.categories:
        own = answers["question"] == question
        if own.any():
            each = counts.loc[question].sort_values(ascending=False)
            listed = name_some([f"{name} {count:,}" for name, count in each.items()], MOST_ANSWERS)
            rows.append((str(question), int(answers["row"][own].nunique()), listed))
    for question in found.looks["question"].unique():
        looked = found.looks["row"][found.looks["question"] == question].nunique()
        rows.append((str(question), int(looked), f"{len(found.marks):,} marks in all drawing tasks"))
    return sorted(rows, key=lambda row: (len(row[0]), row[0]))
