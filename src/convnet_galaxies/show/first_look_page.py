"""First page of the demo: predictions of the built-in weights for a few simulated images."""

from __future__ import annotations

import numpy as np

from convnet_galaxies.blocks import Page
from convnet_galaxies.show.galleries import describe_lens, describe_votes, make_gallery
from convnet_galaxies.study.first_look import LENS_NET, TITLE, VOTE_NET, FirstLook, first_look_report

EXAMPLES = 6


def first_look_page(first_look: FirstLook) -> Page:
    """Return the scores of both networks, and the cutouts and galaxies with their predictions."""
    order, truth = np.argsort(-first_look.lens, kind="stable"), first_look.cutouts.table["lens"].to_numpy() == 1
    table = first_look.cutouts.table
    captions = [
        f"{describe_lens(table.iloc[k], first_look.lens[k])}\n{'a lens' if truth[k] else 'no lens'}"
        for k in order[:EXAMPLES]
    ]
    names = first_look.galaxies.table["id"].astype(str)
    told = [
        f"{names.iloc[k]}\n{describe_votes(first_look.true_votes[k], first_look.votes[k])}"
        for k in range(len(names))[:EXAMPLES]
    ]
    galleries = [
        make_gallery(
            f"Most like a lens to {LENS_NET}",
            "Highest probability first, with the true class below.",
            first_look.cutouts.images[..., :3],
            order[:EXAMPLES],
            captions,
        ),
        make_gallery(
            f"Galaxies, with a prediction of {VOTE_NET}",
            "The first galaxies, each with the answer whose predicted fraction differs most from the votes.",
            first_look.galaxies.images,
            np.arange(len(told)),
            told,
        ),
    ]
    return first_look_report(first_look).illustrate({TITLE: galleries})
