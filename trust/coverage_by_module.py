"""Compare the coverage of each module with the least that is allowed, and list those below it.

Reads what coverage measured, in its own JSON. The least of all modules together is `fail_under` of pyproject.toml.

    python trust/coverage_by_module.py coverage.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEAST = 85.0
"""Percent of the lines and branches of one module."""


def modules_below(report: dict, least: float = LEAST) -> list[tuple[str, float, list[int]]]:
    """Return the modules below a share, lowest first, with percent covered and the lines that no test runs.

    report: as `coverage json` writes it, with branches.
    """
    found = [
        (name, float(one["summary"]["percent_covered"]), list(one["missing_lines"]))
        for name, one in report["files"].items()
    ]
    return sorted((one for one in found if one[1] < least), key=lambda one: one[1])


def main(path: Path) -> int:
    """Print total and modules below; returns 1 when there are any."""
    report = json.loads(path.read_text("utf-8"))
    if not report["meta"]["branch_coverage"] or not report["files"]:
        print(f"{path}: found {len(report['files'])} modules, expected modules with branches measured", file=sys.stderr)
        return 1
    below = modules_below(report)
    for name, percent, lines in below:
        print(f"{name}: {percent:.1f} % of lines and branches, expected {LEAST:g} %; lines {lines}", file=sys.stderr)
    total = report["totals"]["percent_covered"]
    lowest, name = min((one["summary"]["percent_covered"], name) for name, one in report["files"].items())
    print(f"{total:.2f} % of lines and branches in {len(report['files'])} modules; lowest {lowest:.1f} %, {name}")
    return int(bool(below))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
