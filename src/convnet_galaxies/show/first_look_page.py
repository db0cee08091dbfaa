"""The demo's first page: what the weights that ship see in a handful of simulated images."""

from __future__ import annotations

import numpy as np

from convnet_galaxies.show.galleries import describe_lens, describe_votes, make_gallery
from convnet_galaxies.show.page import Card, Page, Section, Table, section
from convnet_galaxies.show.run_page import card
from convnet_galaxies.study.first_look import LENS_NET, VOTE_NET, FirstLook
from convnet_galaxies.study.results_text import brief

SHOWN = 6
NOTE = (
    "So few images give wide intervals. Both nets learned from real images, and the cutouts are centred on volunteers' "
    "clicks, which need not lie on the lens. Each was asked about one view of an image; `predict` takes eight."
)


def first_look_page(look: FirstLook) -> Page:
    """The page of its own, for the first minute."""
    cards = (
        card(f"AUROC, {LENS_NET}", look.lens_scores.overall["auroc"]),
        card("RMSE of the votes", look.vote_scores.rmse, f"mean votes: {look.mean_votes_rmse:.4f}"),
        Card("images", f"{len(look.lens) + len(look.votes):,}", "simulated"),
    )
    lead = ("What the built-in weights see in a handful of simulated images.", NOTE)
    return Page("First look", lead, cards, tuple(one for one in (first_look_section(look),) if one))


def first_look_section(look: FirstLook) -> Section | None:
    """Scores of both nets, and the cutouts and galaxies with their answers."""
    lenses, votes = look.lens_scores, look.vote_scores
    rows = (
        (LENS_NET, f"{lenses.n_lenses} lenses among {lenses.n_images}", f"AUROC {brief(lenses.overall['auroc'])}"),
        (VOTE_NET, f"{votes.n_images} galaxies", f"RMSE of the votes {brief(votes.rmse)}"),
        ("always the mean votes", "", f"RMSE of the votes {look.mean_votes_rmse:.3f}"),
    )
    order, truth = np.argsort(-look.lens, kind="stable"), look.cutouts.table["lens"].to_numpy() == 1
    table = look.cutouts.table
    captions = [
        f"{describe_lens(table.iloc[k], look.lens[k])}\n{'a lens' if truth[k] else 'no lens'}" for k in order[:SHOWN]
    ]
    names = look.galaxies.table["id"].astype(str)
    told = [f"{names.iloc[k]}\n{describe_votes(look.true_votes[k], look.votes[k])}" for k in range(len(names))[:SHOWN]]
    return section(
        "What the built-in weights see",
        [
            Table("Built-in weights on simulated images", ("", "images", "score"), rows, (NOTE,)),
            make_gallery(
                f"Most like a lens to {LENS_NET}",
                "Highest probability first; what each is stands below.",
                look.cutouts.images[..., :3],
                order[:SHOWN],
                captions,
            ),
            make_gallery(
                f"Galaxies, with an answer of {VOTE_NET}",
                "The first ones, with the answer that differs most from the votes.",
                look.galaxies.images,
                np.arange(len(told)),
                told,
            ),
        ],
    )
