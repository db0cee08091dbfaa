"""Time predictions from packs, zips and folders against the bare decoder and against Pillow with a DataLoader in fp32.

Ours: predict_file from a pack, a zip of 424 px JPEGs and a folder of 424 px PNGs, with 1 view and with 8, including
reading, decoding, the network and the written CSV; the network is loaded once before. Bare decoder: simplejpeg on the
same bytes in memory, on as many threads, shrinking while it decodes as ours does. The usual way: usual_way.py, which
predicts one view and writes nothing.

    python benchmarks/bench_prediction.py [--quick]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from decoders import decode_pngs, decode_with_simplejpeg, read_members
from galaxy_files import make_galaxy_files
from measuring import Report, race, read_options
from peers import Peer

from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import predict_file
from convnet_galaxies.settings import load_settings
from convnet_galaxies.training.fit import fit

GOALS = {("pack", 1): ">= 6000", ("JPEG zip", 1): ">= 1500"}


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "prediction", rounds=5)
    report = Report("prediction", options)
    number = 32 if options.quick else 1536
    files = make_galaxy_files(number, with_pngs=True)
    images = files.pack()
    jpegs, pngs = read_members(files.archive), [path.read_bytes() for path in sorted(files.pngs.iterdir())]
    settings = load_settings(None, ["train.epochs=1"])
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        fit(images, settings, run, tasks=("votes",))
        sources = {"pack": files.archive.parent / "pack", "JPEG zip": files.archive, "PNG folder": files.pngs}
        output = Path(folder) / "predictions.csv"

        def predict(predictor: Predictor, source: Path) -> None:
            predict_file(predictor, source, output, force=True)

        contestants: dict[str, Callable[[], object]] = {
            "JPEG zip": lambda: decode_with_simplejpeg(jpegs),
            "PNG folder": lambda: decode_pngs(pngs),
        }
        for views in (1, 8):
            predictor = Predictor(run, views=views)  # type: ignore[arg-type]
            for name, source in sources.items():
                contestants[f"{name} {views}"] = lambda p=predictor, s=source: predict(p, s)  # type: ignore[misc]
        arguments = ("predict", files.jpegs, files.solutions, settings.net.model_dump_json(), 256, 2)
        with Peer("usual_way.py", arguments) as usual:
            speeds = {
                name: number / seconds
                for name, seconds in race({"usual": usual, **contestants}, options.rounds).items()
            }
    report.add("the usual way, 1 view", speeds["usual"], "images/s", remark=usual.remark)
    report.add("bare decoder, 424 px JPEG", speeds["JPEG zip"], "images/s", remark="simplejpeg, in memory, all threads")
    report.add("bare decoder, 424 px PNG", speeds["PNG folder"], "images/s", remark="Pillow, in memory, all threads")
    for views in (1, 8):
        for name in sources:
            found = speeds[f"{name} {views}"]
            text = f"from {name}, {views} view{'s' if views > 1 else ''}"
            if goal := GOALS.get((name, views), ""):
                report.add(text, found, "images/s", goal=goal)
            report.add(text, found, "images/s", against="the usual way", reference=speeds["usual"])
            if name in speeds:
                report.add(text, found, "images/s", against="the bare decoder", reference=speeds[name])
    report.finish()


if __name__ == "__main__":
    main()
