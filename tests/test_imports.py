"""What a command loads before it begins, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter

import grimp
import numpy as np
import pytest
from PIL import Image

from convnet_galaxies import __version__


def test_prediction_loads_nothing_that_only_training_needs() -> None:
    asked = "import sys, convnet_galaxies.predict.stream, convnet_galaxies.predict.evaluation; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    roots = {name.split(".")[0] for name in loaded}
    assert "torch" in roots
    assert not roots & {"lightning_fabric", "sympy", "matplotlib", "galsim", "caustics", "quapy"}
    assert "torch._dynamo" not in loaded


def test_prediction_of_pictures_loads_no_reader_of_fits_and_nothing_of_readers_and_scores() -> None:
    asked = (
        "import sys, convnet_galaxies.predict.stream; from convnet_galaxies.predict.predictor import Predictor; "
        "Predictor('builtin:lens', with_familiarity=False); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"astropy", "scipy.special", "scipy.sparse", "scipy.stats", "sklearn", "tomli_w", "imagecodecs"} & set(
        loaded
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("predict", "--help"),
        ("train", "--help"),
        ("predict", "no-such-run", "images", "-o", "out.csv"),
        ("predict", "builtin:lens", "no-such-image.png", "-o", "out.csv"),
        ("predict", "builtin:lens", ".", "-o", "out.unknown"),
        ("evaluate", "builtin:lens", "no-such.pack"),
        ("train", "no-such.pack", "-o", "run"),
        ("train", "no-such.pack", "-o", "run", "--task", "no-such-task"),
        ("ensemble", "no-such-run", "-o", "joined"),
        ("unknown", "builtin:lens", "no-such.pack", "-o", "out"),
    ],
    ids=" ".join,
)
def test_help_and_wrong_paths_are_answered_without_any_heavy_library(arguments) -> None:
    script = (
        "import sys; from convnet_galaxies.cli import main\n"
        f"sys.argv[1:] = {list(arguments)!r}\n"
        "try: main()\n"
        "except SystemExit as end: print('code', end.code)\n"
        "print('loaded', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ("code 0" in done.stdout) == (arguments[-1] == "--help")
    loaded = done.stdout.rpartition("loaded ")[2].split()
    heavy = {"torch", "pandas", "numpy", "astropy", "pyarrow", "scipy", "sklearn", "matplotlib", "PIL"}
    assert not {name.split(".")[0] for name in loaded} & heavy


WITHOUT_SIMULATION = """
import sys
sys.modules["galsim"] = sys.modules["caustics"] = None  # what an environment without the extra looks like
from convnet_galaxies.cli import main
for words in WORDS:
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as end:
        print("EXIT", end.code or 0, *words[:2])
"""


def test_only_simulation_needs_the_extra_and_names_it_when_it_is_absent(tmp_path) -> None:
    for k in range(2):
        Image.fromarray(np.full((96, 96, 3), 40 * k, np.uint8)).save(tmp_path / f"{k}.png")
    predictions = tmp_path / "p.csv"
    usable = [
        ["--help"],
        ["simulate", "--help"],
        ["predict", "builtin:lens", str(tmp_path), "-o", str(predictions), "--views", "1"],
    ]
    refused = [
        *(["simulate", kind, str(tmp_path / kind)] for kind in ("galaxy-zoo", "space-warps", "survey")),
        ["simulate", "injected-lenses", str(tmp_path), str(tmp_path / "onto")],
        ["demo", "-o", str(tmp_path / "demo")],
    ]
    script = WITHOUT_SIMULATION.replace("WORDS", repr([*usable, *refused]))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    codes = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("EXIT")]
    assert codes == [0] * len(usable) + [1] * len(refused)
    assert len(predictions.read_text().splitlines()) == 3
    assert done.stderr.count("simulation: found no GalSim") == len(refused)
    assert done.stderr.count("pip install 'convnet-galaxies[simulate]'") == len(refused)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "p.csv"], "nothing was begun"


def test_no_module_imports_itself_in_a_circle_not_even_within_functions() -> None:
    graph = grimp.build_graph("convnet_galaxies", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert sum(map(len, imports.values())) > 500
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_the_package_runs_as_a_module() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "convnet_galaxies", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == __version__
