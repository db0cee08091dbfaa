from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from small_sets import TINY_OPTIONS as TINY

from convnet_galaxies import __version__
from convnet_galaxies.cli import app
from convnet_galaxies.decision_tree import VOTE_COLUMNS


def walk(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    commands = getattr(command, "commands", None)
    if commands is None:
        yield name
    for child_name, child in (commands or {}).items():
        if not child.hidden:  # former names
            yield from walk(child, (*name, child_name))


COMMANDS = sorted(walk(typer.main.get_command(app)))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_has_an_example_that_calls_it(run, command) -> None:
    result = run(*command, "--help")
    assert result.code == 0
    assert "Example" in result.out
    assert f"convnet-galaxies {' '.join(command)} " in " ".join(result.out.split())


def test_help_lists_every_command_and_version_is_printed(run) -> None:
    out = run("--help").out
    assert all(command[0] in out for command in COMMANDS)
    assert run("--version").out.strip() == __version__


def test_whole_line_from_files_to_submission(run, world, tmp_path) -> None:
    pack, zoo, lens = tmp_path / "z.pack", tmp_path / "zoo", tmp_path / "lens"
    result = run("pack", "images", world / "zoo_images", world / "zoo.csv", "-o", pack, "--size", 32)
    assert (result.code, result.out) == (0, f"{pack}: 64 images of 32 x 32 px, 3 bands, 0 MB\n")
    assert (
        "nothing changed"
        in run("pack", "images", world / "zoo_images", world / "zoo.csv", "-o", pack, "--size", 32).out
    )
    result = run("train", pack, "-o", zoo, *TINY)
    assert result.code == 0
    assert result.out.startswith(f"{zoo}: 1 epochs in ")
    assert "validation rmse 0." in result.out
    assert "RMSE" in run("evaluate", zoo, pack, "--breakdown", "question").out
    result = run("train", world / "lens.pack", "-o", lens, "--from", zoo, "--stage", 1, "--set", "train.epochs=1")
    assert result.code == 0, result.err
    assert f"descends from {zoo} (votes)" in run("describe", lens).out
    assert run("predict", zoo, world / "zoo_images", "-o", tmp_path / "v.csv", "--views", 8).out.endswith(
        ": 64 images\n"
    )
    assert list(pd.read_csv(tmp_path / "v.csv")) == ["id", *VOTE_COLUMNS]
    assert run("submit", zoo, world / "zoo_images", "-o", tmp_path / "s.csv").code == 0
    assert list(pd.read_csv(tmp_path / "s.csv")) == ["GalaxyID", *VOTE_COLUMNS]


def test_json_is_one_document_on_standard_output_and_nothing_else(run, world, tmp_path) -> None:
    pack = tmp_path / "p.pack"
    packed = json.loads(run("pack", "images", world / "zoo_images", "-o", pack, "--size", 32, "--json").out)
    assert (packed["images"], packed["shape"], packed["unchanged"]) == (64, [32, 32, 3], False)
    trained = json.loads(run("train", world / "lens.pack", "-o", tmp_path / "run", *TINY, "--json").out)
    assert trained["run"] == str(tmp_path / "run")
    assert trained["metrics"]["epoch"] == [1]
    described = json.loads(run("describe", tmp_path / "run", "--json").out)
    assert described["kind"] == "run"
    predicted = json.loads(run("predict", tmp_path / "run", pack, "-o", tmp_path / "p.fits", "--json").out)
    assert predicted == {"images": 64, "skipped": [], "warnings": [], "facts": []}
    scored = json.loads(run("evaluate", world / "zoo", world / "zoo.pack", "--json").out)
    assert scored["images"] > 0
    assert scored["scores"]["votes"]["rmse"]["low"] <= scored["scores"]["votes"]["rmse"]["value"]


def test_a_child_sees_images_as_its_parent_did_unless_told_otherwise(run, world, tmp_path) -> None:
    common = ("train", world / "lens.pack", "--from", world / "zoo", "--set", "train.epochs=1")
    run(*common, "-o", tmp_path / "a")
    run(*common, "-o", tmp_path / "b", "--set", "net.input_px=24")
    sizes = [json.loads((tmp_path / name / "model.json").read_text())["net"]["input_px"] for name in "ab"]
    assert sizes == [32, 24]


BAD_INPUT = {  # arguments, exit code, a part of the message; {w} is the world, {t} an empty folder
    "pack that does not exist": ("train {w}/zo.pack -o {t}/r", 1, "did you mean {w}/zoo"),
    "train on a folder that is no pack": ("train {w}/zoo_images -o {t}/r", 1, "is no pack"),
    "run folder that exists": ("train {w}/zoo.pack -o {w}/lens", 1, "{w}/lens: already exists"),
    "force on what is no run": ("train {w}/zoo.pack -o {w}/zoo_images --force {tiny}", 1, "is not a run"),
    "task without labels": ("train {w}/zoo.pack -o {t}/r --task lens", 1, "found no column 'lens'"),
    "pack without labels": ("train {w}/plain.pack -o {t}/r", 1, "the pack has no labels"),
    "unheard-of task": ("train {w}/zoo.pack -o {t}/r --task colours", 2, "colours"),
    "unknown setting": ("train {w}/zoo.pack -o {t}/r --set net.foo=1", 1, "net.foo: there is no such setting"),
    "setting without a value": ("train {w}/zoo.pack -o {t}/r --set train.epochs", 2, "expected NAME=VALUE"),
    "setting of a wrong kind": ("train {w}/zoo.pack -o {t}/r --set train.epochs=no", 1, "train.epochs: found 'no'"),
    "negative seed": ("train {w}/zoo.pack -o {t}/r --seed=-1", 1, "seed: found -1"),
    "missing settings file": ("train {w}/zoo.pack -o {t}/r --settings {t}/s.toml", 1, "s.toml: cannot be read"),
    "missing parent": ("train {w}/zoo.pack -o {t}/r --from {t}/no", 1, "no such folder, expected a finished run"),
    "parent that is no run": ("train {w}/zoo.pack -o {t}/r --from {w}", 1, "found no model.json in it"),
    "parent of other bands": ("train {w}/grey.pack -o {t}/r --from {w}/zoo", 1, "found 1 bands, expected 3"),
    "stage that is not there": ("train {w}/lens.pack -o {t}/r --stage 7", 1, "found only stages 1, 2"),
    "stage without a column": ("train {w}/zoo.pack -o {t}/r --stage 1", 1, "the pack has no column 'stage'"),
    "nothing to resume": ("train {w}/zoo.pack -o {t}/r --resume", 2, "nothing to resume"),
    "resuming a finished run": ("train {w}/zoo.pack -o {w}/zoo --resume", 2, "this run is finished"),
    "two sizes": ("train {w}/zoo.pack {w}/small.pack -o {t}/r", 1, "pack all sources with the same settings"),
    "one pack twice": ("train {w}/zoo.pack {w}/zoo.pack -o {t}/r", 1, "stands in more than one pack"),
    "run that does not exist": ("predict {t}/no {w}/zoo.pack -o {t}/v.csv", 1, "expected a finished run"),
    "built-in that does not exist": ("predict builtin:no {w}/zoo.pack -o {t}/v.csv", 1, "no such built-in weights"),
    "images that do not exist": ("predict {w}/zoo {w}/zoo_image -o {t}/v.csv", 1, "does not exist"),
    "prediction that exists": ("predict {w}/zoo {w}/zoo.pack -o {w}/zoo.csv", 1, "zoo.csv: already exists"),
    "unknown table format": ("predict {w}/zoo {w}/zoo.pack -o {t}/v.doc", 1, "found the ending '.doc'"),
    "output in a file": ("predict {w}/zoo {w}/zoo.pack -o {w}/zoo.csv/v.csv", 1, "cannot be written"),
    "pack of another size": ("predict {w}/zoo {w}/small.pack -o {t}/v.csv", 1, "size_px 16 instead of 32"),
    "pack of other bands": ("predict {w}/zoo {w}/grey.pack -o {t}/v.csv", 1, "bands 1 instead of 3"),
    "view number": ("predict {w}/zoo {w}/zoo.pack -o {t}/v.csv --views 3", 2, "--views"),
    "limit of nothing": ("predict {w}/zoo {w}/zoo.pack -o {t}/v.csv --limit 0", 2, "--limit"),
    "evaluation of another size": ("evaluate {w}/zoo {w}/small.pack", 1, "size_px 16 instead of 32"),
    "evaluation without labels": ("evaluate {w}/zoo {w}/plain.pack", 1, "no labels for the predictions of"),
    "unknown breakdown": ("evaluate {w}/lens {w}/lens.pack --breakdown colour", 2, "colour"),
    "report of another size": ("report {w}/zoo --pack {w}/small.pack -o {t}/r.html", 1, "size_px 16 instead"),
    "report of a missing stage": ("report {w}/zoo --pack {w}/zoo.pack --stage 1 -o {t}/r.html", 1, "no column 'stage'"),
    "pack of another size for unknown": ("unknown {w}/lens {w}/small.pack -o {t}/u", 1, "size_px 16 instead of 32"),
    "part without a pack": ("report {w}/zoo --part test -o {t}/r.html", 2, "--part: would change nothing"),
    "breakdown of another task": ("evaluate {w}/zoo {w}/zoo.pack --breakdown flavor", 2, "--breakdown: would change"),
    "crop with like": ("pack images {w}/zoo_images --like {w}/zoo --crop 9 -o {t}/p", 2, "--crop: would change"),
    "bands with like": ("pack images {w}/zoo_images --like {w}/zoo --bands 1 -o {t}/p", 2, "--bands: would"),
    "stride of objects": ("mine {w}/lens {w}/lens_images --windows objects --stride-px 9 -o {t}/p", 2, "--stride-px: "),
    "net of the child": ("train {w}/zoo.pack --from {w}/zoo --set net.depths=[3,3] -o {t}/r", 2, "--set net.depths"),
    "label without a table": ("pack images {w}/zoo_images --label lens -o {t}/p", 1, "found no table"),
    "submission of lenses": ("submit {w}/lens {w}/zoo.pack -o {t}/s.csv", 1, "the run predicts lens, expected votes"),
    "submission that is no CSV": ("submit {w}/zoo {w}/zoo.pack -o {t}/s.fits", 1, "expected .csv"),
    "missing sample": (
        "submit {w}/zoo {w}/zoo.pack -o {t}/s.csv --sample-submission {t}/no.csv",
        1,
        "no.csv: does not exist",
    ),
    "image folder that does not exist": ("pack images {w}/none -o {t}/p", 1, "does not exist"),
    "pack that exists": ("pack images {w}/zoo_images -o {w}/lens.pack", 1, "already exists"),
    "missing label column": ("pack images {w}/zoo_images {w}/zoo.csv --label lense -o {t}/p", 1, "no column lense"),
    "missing output": ("pack images {w}/zoo_images", 2, "--output"),
    "unknown command": ("trian {w}/zoo.pack", 2, "trian"),
    "unknown option": ("train {w}/zoo.pack -o {t}/r --epochs 3", 2, "--epochs"),
    "description of nothing": ("describe {t}/nothing", 1, "does not exist"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_clear_message_and_writes_nothing(run, world, tmp_path, name) -> None:
    line, code, message = BAD_INPUT[name]
    words = [word.format(w=world, t=tmp_path) for word in line.replace("{tiny}", " ".join(TINY)).split()]
    before = {path: path.stat().st_mtime_ns for path in world.rglob("*")}
    result = run(*words)
    assert result.code == code, result.err
    assert message.format(w=world, t=tmp_path) in result.err
    assert "Traceback" not in result.err
    assert result.out == ""
    if code == 1 or "Fix:" in result.err:
        error, fix = result.err.splitlines()
        assert error.startswith("Error: ")
        assert fix.startswith("Fix: ")
        assert len(fix) > len("Fix: ")
    assert list(tmp_path.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in world.rglob("*")} == before


def test_damaged_runs_and_packs_are_one_clear_message(run, world, tmp_path) -> None:
    zoo = Path(shutil.copytree(world / "zoo", tmp_path / "zoo"))
    for name, content in (("weights.safetensors", b"xx"), ("model.json", b"\xff"), ("model.json", b"{}")):
        kept = (zoo / name).read_bytes()
        (zoo / name).write_bytes(content)
        result = run("predict", zoo, world / "zoo.pack", "-o", tmp_path / "v.csv")
        assert (result.code, result.err.count("\n")) == (1, 2)
        assert name in result.err
        (zoo / name).write_bytes(kept)
    (zoo / "split.parquet").unlink()
    assert "split.parquet: cannot be read" in run("evaluate", zoo, world / "zoo.pack").err
    pack = Path(shutil.copytree(world / "zoo.pack", tmp_path / "zoo.pack"))
    (pack / "images.npy").write_bytes((pack / "images.npy").read_bytes()[:5000])
    result = run("train", pack, "-o", tmp_path / "r", *TINY)
    assert (result.code, result.err.count("\n")) == (1, 2)
    assert "the pack is damaged" in result.err


def test_skip_bad_lists_what_it_left_out(run, world, tmp_path) -> None:
    images = Path(shutil.copytree(world / "zoo_images", tmp_path / "images"))
    (images / "100009.png").write_bytes(b"no image")
    result = run("predict", world / "zoo", images, "-o", tmp_path / "v.csv")
    assert (result.code, result.out) == (1, "")
    assert "100009.png: cannot be decoded" in result.err
    assert not (tmp_path / "v.csv").exists()
    result = run("predict", world / "zoo", images, "-o", tmp_path / "v.csv", "--skip-bad")
    assert result.out.endswith(": 63 images\n")
    assert "left out: " in result.err
    assert "100009.png" in result.err
    assert run("predict", world / "zoo", images, "-o", tmp_path / "v.csv", "--skip-bad", "--force", "-q").err == ""


def test_ctrl_c_leaves_a_run_that_resume_continues(run, world, tmp_path, monkeypatch) -> None:
    from convnet_galaxies.training import fit as fit_module

    validate = fit_module.validate

    def interrupt(*arguments: Any) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return validate(*arguments)

    monkeypatch.setattr(fit_module, "validate", interrupt)
    command = ("train", world / "zoo.pack", "-o", tmp_path / "r", *TINY, "--set", "train.epochs=2")
    result = run(*command)
    assert result.code == 130
    assert result.err.strip().endswith(f"Continue with the same command and --resume ({tmp_path / 'r'}).")
    assert "an unfinished run; continue it" in run("describe", tmp_path / "r").out
    monkeypatch.setattr(fit_module, "validate", validate)
    assert run(*command, "--resume").code == 0
    assert (tmp_path / "r" / "model.json").is_file()


def test_ctrl_c_elsewhere_stops_without_a_traceback(run, world, tmp_path, monkeypatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("convnet_galaxies.predict.stream.predict_file", stop)
    result = run("predict", world / "zoo", world / "zoo.pack", "-o", tmp_path / "v.csv")
    assert (result.code, result.err) == (130, "Stopped.\n")


IMPORTS = """
import sys
at_start = set(sys.modules)
from convnet_galaxies.cli import main
for words in WORDS:
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
    print("IMPORTED", *sorted({name.partition(".")[0] for name in set(sys.modules) - at_start}))
"""
SLOW = {
    *("torch", "lightning_fabric", "numpy", "scipy", "sklearn", "pandas", "pyarrow", "astropy", "PIL", "galsim"),
    *("caustics", "quapy", "mapie", "matplotlib", "jinja2"),
}
"""What makes a start slow; how long it takes is measured by benchmarks/bench_startup.py."""


def test_help_imports_nothing_that_is_slow_and_packing_no_torch(world, tmp_path) -> None:
    pack = ["pack", "images", str(world / "zoo_images"), "-o", str(tmp_path / "p.pack"), "--size", "32"]
    script = IMPORTS.replace("WORDS", repr([["--help"], ["train", "--help"], pack]))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = [set(line.split()) for line in done.stdout.splitlines() if line.startswith("IMPORTED")]
    help_of_all, help_of_one, packing = (names & SLOW for names in lines)
    assert help_of_all == help_of_one == set()
    assert {"numpy", "pandas"} <= packing, "what is imported is found"
    assert not {"torch", "lightning_fabric", "sklearn", "galsim"} & packing


def test_settings_for_the_default_net_fit_a_parent_of_other_patches(run, world, tmp_path) -> None:
    given = tmp_path / "space_warps.toml"
    given.write_text("[net]\ninput_px = 33\nfield_px = 33\n[train]\nepochs = 1\n")
    assert (
        run("pack", "images", world / "zoo_images", world / "zoo.csv", "-o", tmp_path / "z.pack", "--size", 32).code
        == 0
    )
    result = run("train", tmp_path / "z.pack", "--settings", given, "--from", "builtin:zoo", "-o", tmp_path / "child")
    assert result.code == 0, result.err
    written = (tmp_path / "child" / "settings.toml").read_text()
    assert "patch_px = 4" in written
    assert "input_px = 32" in written


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no device /dev/full")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_disk_under_standard_output_is_one_message_without_a_traceback(stream: str) -> None:
    words = ["describe", "builtin:zoo"] if stream == "stdout" else ["describe", "nothing-here"]
    with Path("/dev/full").open("w") as full:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
        done = subprocess.run([sys.executable, "-m", "convnet_galaxies", *words], text=True, **streams)
    assert done.returncode == 1
    if stream == "stdout":
        assert done.stderr.startswith("Error: what the command prints could not be written")
        assert "Traceback" not in done.stderr
