"""Print the lowest version that pyproject.toml allows of each library, as pip takes it: the input of `make oldest`.

What these libraries depend on themselves is left to pip, which takes the newest that fits.

    python trust/floors.py > floors.txt && pip install -r floors.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
OWN = "convnet-galaxies"
LATER = "3.13"
FIRST_WHEELS = {
    "safetensors": "0.4.2",
    "numpy": "2.1.0",
    "pyarrow": "18.0.0",
    "Pillow": "10.4.0",
    "scipy": "1.14.1",
    "matplotlib": "3.9.2",
    "reproject": "0.14.1",
    "pydantic": "2.8.0",  # of its core
}
"""Of libraries whose floor came before Python LATER: the lowest version that has wheels for it."""


def read_floors(text: str) -> dict[str, str]:
    """Return the lowest version by name, of the dependencies and of every extra that dev takes.

    text: of pyproject.toml. Raises ValueError for a dependency that is not of the form name>=version.
    """
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"]]
    for line in extras["dev"]:
        if line.startswith(f"{OWN}["):
            wanted += [one for name in line[len(OWN) + 1 : -1].split(",") for one in extras[name]]
    floors = {}
    for line in wanted:
        if line.startswith(f"{OWN}["):
            continue
        found = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", line)
        if found is None:
            raise ValueError(f"{line}: expected name>=version")
        floors[found[1]] = found[2]
    return floors


def main() -> int:
    """Print name==version lines, for Pythons before and from LATER on where they differ."""
    for name, version in read_floors(PROJECT.read_text("utf-8")).items():
        if name in FIRST_WHEELS:
            print(f"{name}=={version}; python_version < '{LATER}'")
            print(f"{name}=={FIRST_WHEELS[name]}; python_version >= '{LATER}'")
        else:
            print(f"{name}=={version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
