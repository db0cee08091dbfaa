"""Predict a few simulated images with the built-in weights: the first result of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.blocks import Card, Page, Table, section, sections_of
from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.records import ImageSet, Records
from convnet_galaxies.data.space_warps import read_space_warps
from convnet_galaxies.data.tables import write_table
from convnet_galaxies.data.vote_tree import find_votes
from convnet_galaxies.measure.intervals import star_notes
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.measure.scores import LensScores, VoteScores, evaluate_lenses, evaluate_votes
from convnet_galaxies.model.device import Device
from convnet_galaxies.model.tasks import find_task
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.simulate.galaxy_zoo import simulate_galaxy_zoo
from convnet_galaxies.simulate.space_warps import simulate_space_warps

GALAXIES, CUTOUTS = 48, 60
# Away from the seeds of what is trained on, whose fields would be the same.
SEED_STEP = 1_000_003
LENS_NET, VOTE_NET = "builtin:lens", "builtin:zoo"
BEST_LISTED = 5
TITLE = "Predictions of the built-in weights"
NOTE = (
    "So few images give wide intervals. Both networks were trained on real images, and the cutouts are centred on "
    "clicks of volunteers, which need not lie on the lens. Each image was predicted in one view; `predict` "
    "averages eight."
)


@dataclass(frozen=True)
class FirstLook:
    """Images, truth and predictions.

    cutouts: Space Warps cutouts of known label; lens: float [n], their probabilities of a lens by LENS_NET.
    galaxies: of Galaxy Zoo; votes: float [m, 37] by VOTE_NET. lens_scores, vote_scores: of these answers.
    """

    cutouts: ImageSet
    lens: np.ndarray
    lens_scores: LensScores
    galaxies: ImageSet
    votes: np.ndarray
    vote_scores: VoteScores

    @property
    def true_votes(self) -> np.ndarray:
        """float [m, 37]."""
        return _read_votes(self.galaxies)


def look_first(
    folder: Path,
    *,
    seed: int,
    device: Device = "auto",
) -> FirstLook:
    """Simulate a few images of each survey into a folder, and predict them with the built-in weights.

    The folder gets space-warps/ and galaxy-zoo/, a pack of each (lens.pack, votes.pack), and the answers (lens.csv,
    votes.csv).
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = seed + SEED_STEP
    # So few are drawn sooner than other processes start.
    simulate_space_warps(folder / "space-warps", number=CUTOUTS, seed=own, workers=1, force=True)
    simulate_galaxy_zoo(folder / "galaxy-zoo", number=GALAXIES, seed=own, workers=1, test_fraction=0.0, force=True)
    for net, records, name in (
        (LENS_NET, read_space_warps(folder / "space-warps"), "lens"),
        (VOTE_NET, read_galaxy_zoo(folder / "galaxy-zoo"), "votes"),
    ):
        _ask(net, records, folder, name, device)
    return read_first_look(folder, seed=seed)


def has_first_look(folder: Path) -> bool:
    """Return whether a folder holds what look_first writes."""
    return all((folder / f"{name}.csv").is_file() for name in ("lens", "votes"))


def read_first_look(folder: Path, *, seed: int) -> FirstLook:
    """Read the result of look_first, with scores; unlabelled images are left out."""
    cutouts, galaxies = read_pack(folder / "lens.pack"), read_pack(folder / "votes.pack")
    lens, votes = (pd.read_csv(folder / f"{name}.csv") for name in ("lens", "votes"))
    known = cutouts.table["lens"].notna().to_numpy()
    cutouts = cutouts.select(np.flatnonzero(known))
    probability = lens["lens"].to_numpy()[known]
    answered = votes.drop(columns="id").to_numpy()
    return FirstLook(
        cutouts,
        probability,
        evaluate_lenses(
            cutouts.table["lens"].to_numpy() == 1, probability, cutouts.table["group"].to_numpy(), seed=seed
        ),
        galaxies,
        answered,
        evaluate_votes(_read_votes(galaxies), answered, galaxies.table["group"].to_numpy(), seed=seed),
    )


def first_look_report(look: FirstLook) -> Page:
    """Return the scores, and the cutouts that look most like lenses."""
    lenses, votes = look.lens_scores, look.vote_scores
    of_lenses, of_votes = f"{lenses.n_lenses} lenses among {lenses.n_images}", f"{votes.n_images} galaxies"
    shown = [(LENS_NET, of_lenses, "auroc", lenses.overall["auroc"])]
    shown += [(VOTE_NET, of_votes, name, estimate) for name, estimate in votes.overall.items()]
    best = np.argsort(-look.lens, kind="stable")[:BEST_LISTED]
    table = look.cutouts.table
    found = tuple(
        (str(row["id"]), f"{look.lens[place]:.3f}", "lens" if row["lens"] == 1 else "no lens")
        for place, row in zip(best, (table.iloc[int(place)] for place in best), strict=True)
    )
    cards = [Card(f"{SCORES[name].label}, {net}", f"{one.value:.4f}", one.span(".4f")) for net, _, name, one in shown]
    blocks = [
        Table(
            "Built-in weights on simulated images",
            ("", "images", "score", "value"),
            tuple((net, images, SCORES[name].label, f"{one:.3f}") for net, images, name, one in shown),
            star_notes(one for _, _, _, one in shown),
        ),
        Table("Most like a lens", ("image", "probability", "truth"), found),
    ]
    lead = ("Predictions of the built-in weights for a few simulated images.", NOTE)
    return Page("First look", lead, tuple(cards), sections_of([section(TITLE, blocks)]))


def _read_votes(galaxies: ImageSet) -> np.ndarray:
    votes = find_votes(galaxies.table)
    assert votes is not None
    return votes.read(galaxies.table)


def _ask(net: str, records: Records, folder: Path, name: str, device: Device) -> None:
    """Pack the images for a network, and write its predictions."""
    predictor = Predictor(net, device=device, with_familiarity=False)
    pack = folder / f"{name}.pack"
    write_pack(records, predictor.preprocess, pack, force=True)
    images = read_pack(pack)
    answer = predictor.predict_set(images).tasks[name]
    columns = ["lens"] if name == "lens" else find_task(name).columns(predictor.classes[name])
    table = pd.DataFrame(answer.reshape(len(answer), -1), columns=columns)
    table.insert(0, "id", images.table["id"].to_numpy())
    write_table(folder / f"{name}.csv", table, force=True)
