"""The page about unlabelled images: the report of study.unknown_report with its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.blocks import Block, Gallery, Page, Text, section
from convnet_galaxies.data.pack import is_pack, read_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.show.figures import plot_reliability
from convnet_galaxies.show.galleries import make_gallery, show_probability
from convnet_galaxies.show.provenance import count_images, list_commands, list_versions
from convnet_galaxies.show.unknown_figures import plot_agreement, plot_prevalence, plot_scores, plot_top
from convnet_galaxies.study.compare_with_humans import Disagreement
from convnet_galaxies.study.unknown_report import HOW_MANY, HUMANS, MISSED, TOP, TRUST, unknown_report
from convnet_galaxies.study.unknown_run import KNOWN, RANKED, read_unknown

BEST_SHOWN = 24


def unknown_page(folder: Path, *, pack: Path | None = None) -> Page:
    """Make the page of `unknown`: number of lenses, ranking, domain shift. pack: of the images; default: its own."""
    result = read_unknown(folder)
    source = pack or Path(result.pack)
    provenance = section(
        "Data, versions, commands to reproduce",
        [
            count_images(read_pack(source), f"Images of {source}") if is_pack(source) else None,
            list_versions(Path(result.run)),
            list_commands(
                [
                    f"convnet-galaxies unknown {result.run} {result.pack}"
                    + (f" --known {result.known_pack}" if result.known_pack != result.pack else "")
                    + f" -o {folder}-again",
                    f"convnet-galaxies report {folder} -o report.html",
                ]
            ),
        ],
    )
    return illustrate_unknown(folder, pack=pack).illustrate({}, [provenance])


def illustrate_unknown(folder: Path, *, pack: Path | None = None) -> Page:
    """Return the page without provenance."""
    result, ranked, known = read_unknown(folder), read_table(folder / RANKED), read_table(folder / KNOWN)
    source = pack or Path(result.pack)
    images = read_pack(source) if pack or is_pack(source) else None
    reliability = {"uncalibrated": result.calibration.before}
    if result.calibration.after is not None:
        reliability["calibrated"] = result.calibration.after
    pictures: dict[str, Sequence[Block | None]] = {
        HOW_MANY: [plot_prevalence(result), plot_scores(known, ranked)],
        TRUST: [plot_reliability(reliability)],
        TOP: [
            plot_top(ranked, result.prevalence.count["lens"].level, shifted=bool(result.leading_top)),
            _best_gallery(images, ranked, differs=result.differs),
        ],
    }
    if result.human_comparison is not None:
        pictures[HUMANS] = [plot_agreement(found, name) for name, found in result.human_comparison.agreement.items()]
        pictures[MISSED] = [
            _missed_gallery("Graded as lenses, ranked low by the network", images, result.human_comparison.missed[:12]),
            _missed_gallery(
                "Graded as no lens, ranked high by the network", images, result.human_comparison.overrated[:12]
            ),
        ]
    return unknown_report(result).illustrate(pictures)


def _best_gallery(images: ImageSet | None, ranked: pd.DataFrame, *, differs: bool) -> Block | None:
    best = ranked.head(BEST_SHOWN)
    captions = []
    for _, row in best.iterrows():
        words = [f"{int(row['rank'])}. {row['id']}"]
        if isinstance(row.get("flavor"), str):
            words.append(str(row["flavor"]))
        words.append(f"net {show_probability(row['lens_probability'])}")
        if not differs:
            words.append(f"calibrated {show_probability(row['probability'])}")
        if np.isfinite(row.get("expert_grade", np.nan)):
            words.append(f"grade {row['expert_grade']:.1f}")
        captions.append("\n".join(words))
    note = "Net: raw probability; calibrated: for the estimated fraction of lenses."
    return _gallery("Best first", note, images, best["id"].tolist(), captions)


def _missed_gallery(title: str, images: ImageSet | None, found: Sequence[Disagreement]) -> Block:
    captions = [
        f"{one.subject}\ngrade {one.grade:.1f}, rank {one.rank:,}"
        + ("" if one.crowd is None else f"\ncrowd {show_probability(one.crowd)}")
        for one in found
    ]
    return _gallery(title, "Largest disagreement first.", images, [one.id for one in found], captions)


def _gallery(
    title: str, note: str, images: ImageSet | None, ids: Sequence[str], captions: Sequence[str]
) -> Gallery | Text:
    if images is None:
        return Text(f"{title}: images are not shown, since the pack was not found; pass --pack.")
    where = pd.Series(np.arange(len(images)), index=images.table["id"]).reindex(ids)
    if not len(ids) or where.isna().any():
        return Text(f"{title}: none to show.")
    found = make_gallery(title, note, images.images, where.astype(int).to_numpy(), captions)
    return found or Text(f"{title}: none to show.")
