"""No code runs from an input: every call in the package that could make some is listed here, with the reason why it
may be there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch
from small_sets import make_vote_set, tiny

from convnet_galaxies.errors import InputError
from convnet_galaxies.model.encoder_file import load_encoder
from convnet_galaxies.training.fit import fit

SOURCE = Path(__file__).parents[1] / "src" / "convnet_galaxies"

DANGEROUS = re.compile(
    r"(?:builtins\.)?(?:eval|exec|compile|__import__)|(?:pickle|_pickle|cloudpickle|dill|marshal|shelve|joblib|yaml|code)"
    r"\..*|torch\.(?:load|hub\..*|jit\.load|package\..*|compile|utils\.cpp_extension\..*)|numpy\.(?:load|fromfile|loads)"
    r"|pandas\.(?:read_pickle|read_hdf|eval)|.*\.(?:read_pickle|read_hdf|query)|(?:subprocess|runpy|pty|ctypes)\..*"
    r"|os\.(?:system|popen|exec\w*|spawn\w*|posix_spawn\w*)|importlib\.(?:import_module|util\.spec_from\w*|machinery\..*)"
    r"|multiprocessing\.connection\..*|xmlrpc\..*|.*\.load_from_checkpoint"
)
"""Calls that make objects or code of bytes, start programs, or load libraries, by their full names."""

ALLOWED = {
    ("model/torch_file.py", "torch.load"): "weights_only",
    ("data/pack.py", "numpy.load"): "no pickles",
    ("data/output.py", "ctypes.CDLL"): "the system's own library, for renameat2",
    ("scan/known.py", ".query"): "a tree of positions, not a table",
    ("__init__.py", "importlib.import_module"): "names of our own modules",
    ("workers.py", "importlib.import_module"): "names of our own modules",
    ("simulate/libraries.py", "importlib.import_module"): "names in this file",
    ("inspection/samp.py", "importlib.import_module"): "names in this file",
    ("predict/explain.py", "importlib.import_module"): "names in this file",
}


def find_calls(text: str) -> list[tuple[str, ast.Call]]:
    """The dangerous calls of a source, by their full names, whatever they are imported as."""
    tree = ast.parse(text)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                names[one.asname or one.name.partition(".")[0]] = one.name if one.asname else one.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({one.asname or one.name: f"{node.module}.{one.name}" for one in node.names})

    def full_name(node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return names.get(node.id, node.id)
        return f"{full_name(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""

    calls = [(full_name(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [(name, call) for name, call in calls if DANGEROUS.fullmatch(name)]


def keyword(call: ast.Call, name: str) -> object:
    return next((ast.literal_eval(one.value) for one in call.keywords if one.arg == name), None)


def test_every_call_that_could_make_code_of_an_input_is_listed_and_restricted() -> None:
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        for name, call in find_calls(path.read_text("utf-8")):
            found.add((place, name))
            if name == "torch.load":
                assert keyword(call, "weights_only") is True, f"{place}:{call.lineno}"
            if name == "numpy.load":
                assert not keyword(call, "allow_pickle"), f"{place}:{call.lineno}"
            assert not keyword(call, "shell"), f"{place}:{call.lineno}"
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle as p\np.loads(data)",
        "from torch import load\nload(path)",
        "import torch\ntorch.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import pandas as pd\npd.read_pickle(path)",
        "eval(text)",
        "def f():\n    from yaml import load as read\n    read(text)",
        "import os\nos.system(text)",
        "from subprocess import run\nrun(text, shell=True)",
        "table.query(text)",
    ],
)
def test_such_a_call_would_be_found(text: str) -> None:
    assert len(find_calls(text)) == 1


class Intruder:
    """Its pickle makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_checkpoint_and_an_encoder_with_code_in_them_are_refused_and_the_code_does_not_run(tmp_path: Path) -> None:
    images, mark = make_vote_set(24), tmp_path / "ran"

    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(images, tiny("train.batch=8", "train.epochs=6"), tmp_path / "run", tasks=("votes",), progress=stop)
    torch.save({"identity": Intruder(mark)}, tmp_path / "run" / "resume.ckpt")
    with pytest.raises(InputError, match=r"resume\.ckpt: cannot be read"):
        fit(images, tiny("train.batch=8", "train.epochs=6"), tmp_path / "run", tasks=("votes",), resume=True)
    torch.save({"state_dict": Intruder(mark)}, tmp_path / "encoder.pt")
    with pytest.raises(InputError, match=r"encoder\.pt"):
        load_encoder(torch.nn.Linear(1, 1), tmp_path / "encoder.pt")
    assert not mark.exists()
    torch.load(tmp_path / "encoder.pt", weights_only=False)
    assert mark.exists()  # it would have run
