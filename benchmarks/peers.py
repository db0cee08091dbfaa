"""Run peers as processes that wait for their turn, in environments of their own.

Lightning's Trainer, timm and Cutana are not dependencies of this project. They are installed in separate virtual
environments (.venv-peers, .venv-cutana beside that of the project), which use the packages of the running one and add
the missing ones. Where one cannot be made (no network), the scripts use the replacement that they name in their output.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = {"peers": ("lightning", "timm"), "cutana": ("cutana",)}
ANSWER = "SECONDS "


@cache
def find_peer_python(name: str = "peers", *, make: bool = True) -> tuple[str, str]:
    """The interpreter of one of ENVIRONMENTS, and a remark, empty when it has the packages.

    make: build the environment when it is not there.
    """
    python = HERE.parent / f".venv-{name}" / "bin" / "python"
    if not python.exists():
        if not make:
            return sys.executable, "no environment for peers"
        try:
            _make_environment(python, ENVIRONMENTS[name])
        except (subprocess.CalledProcessError, OSError) as error:
            python.unlink(missing_ok=True)
            print(f"the environment for peers cannot be made: {error}", file=sys.stderr)
            return sys.executable, "the environment for peers cannot be made"
    return str(python), ""


def _make_environment(python: Path, packages: Sequence[str]) -> None:
    environment = python.parent.parent
    print(f"making {environment} with {' and '.join(packages)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (folder,) = (environment / "lib").glob("python*/site-packages")
    # addsitedir also follows the link that an editable installation leaves there; a mere path would not.
    seen = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (folder / "packages_of_the_project.pth").write_text(seen)
    constraints = environment / "constraints.txt"
    constraints.write_text(f"torch=={version('torch')}\nnumpy=={version('numpy')}\n")
    install = ["install", "--quiet", "--disable-pip-version-check", "-c", constraints, *packages]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True, stdout=sys.stderr)


class Peer:
    """A script in another process that works one turn for each line it is sent and answers with its seconds.

    remark: what the script says about itself before its first turn (which library it runs on).
    """

    def __init__(self, script: str, arguments: Sequence[object], *, python: str = sys.executable) -> None:
        self.process = subprocess.Popen(
            [python, HERE / script, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.remark = self._read("REMARK ")

    def __call__(self) -> float:
        """One turn; returns the seconds that it took."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self._read(ANSWER))

    def _read(self, prefix: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(prefix):
                return line.removeprefix(prefix).strip()
        raise RuntimeError(f"a peer ended with exit code {self.process.wait()}; see its message above")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def wait_for_turn() -> bool:
    """In the peer's process: block until the next turn; False when there is none."""
    return sys.stdin.readline().strip() == "go"


def answer(seconds: float) -> None:
    """In the peer's process: say how long the turn took."""
    print(f"{ANSWER}{seconds}", flush=True)


def tolerate_torchvision() -> None:
    """In the peer's process: make `import torchvision` work where its operators were built for another torch.

    It then fails while it registers the shapes of operators that are missing. Lightning and timm import it, but use no
    operator of it here, so empty declarations are enough.
    """
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            library.define(f"{operator}() -> ()")
    _kept.append(library)  # a library that is forgotten takes its declarations with it


_kept: list[object] = []
