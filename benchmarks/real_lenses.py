"""Make the table of real lenses and non-lenses for cross-validation, from the developers' real images.

    python benchmarks/real_lenses.py ../shared/data/space-warps real.csv
    convnet-galaxies pack images ../shared/data/space-warps real.csv --label lens --crop 96 --skip-bad -o real.pack
    convnet-galaxies crossval real.pack -o folds --folds 5

Lenses are the known ones of the guide and the candidates that experts graded 2 or more, non-lenses the fields of the
guide without a lens (their central stamp) and the candidates graded below 1. Candidates between have no label.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd


def real_lenses(folder: Path) -> pd.DataFrame:
    """Columns file, lens (1, 0 or empty), kind, zooid, ra_deg, dec_deg; a row an image of the folder."""
    candidates = pd.read_csv(folder / "candidates.csv")
    grade = candidates["expert_grade"]
    candidates["lens"] = np.select([grade >= 2, grade < 1], [1.0, 0.0], np.nan)
    candidates["kind"] = "candidate"
    guide = pd.read_csv(folder / "guide" / "guide.csv")
    guide["file"] = guide["file"].map(lambda name: Path(name).name)
    guide["lens"] = (guide["truth"] == "LENS").astype(float)
    guide["kind"] = "guide " + guide["category"]
    # Lenses in whole fields do not stand at the centre, and VICS82 is another survey with other colours.
    in_field = guide["file"].isin({path.name for path in (folder / "guide" / "fields").iterdir()})
    unusable = (in_field & (guide["lens"] == 1)) | guide["file"].str.startswith("VICS82")
    guide.loc[unusable, "lens"] = np.nan
    return pd.concat([candidates, guide], ignore_index=True)[["file", "lens", "kind", "zooid", "ra_deg", "dec_deg"]]


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    table = real_lenses(arguments.folder)
    table.to_csv(arguments.output, index=False)
    print(f"{arguments.output}: {int((table['lens'] == 1).sum())} lenses, {int((table['lens'] == 0).sum())} others")


if __name__ == "__main__":
    main()
