from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from convnet_galaxies.blocks import Gallery, Page, Section, Table, Text
from convnet_galaxies.measure.intervals import Estimate, format_percent
from convnet_galaxies.measure.ranking import Ranking, measure_tpr
from convnet_galaxies.show.figures import plot_intervals, plot_roc
from convnet_galaxies.show.galleries import encode_png, lens_galleries, show_probability
from convnet_galaxies.show.page import render_page
from convnet_galaxies.show.unknown_figures import plot_top

ENDS = ("low", "high")


def test_marked_tpr_are_those_that_the_tables_state() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.3
    score = rng.normal(size=400) + 2 * truth
    alt = plot_roc({"net": (truth, score)}).alt
    positives = Ranking(truth, score, np.arange(400)).accumulate(np.ones((1, 400)))
    tpr0, tpr10 = (measure_tpr(*positives, false_positives=number)[0] for number in (1, 10))
    assert re.findall(r"TPR\d+ ([\d.]+)", alt) == [f"{tpr0:.3f}", f"{tpr10:.3f}"]
    assert len(roc_curve(truth, score)[0]) > 10


def test_bands_of_the_best_ranked_are_the_ranges_where_these_lead() -> None:
    names = [f"{name}{kind}_{end}" for name in ("purity", "completeness") for kind in ("", "_shifted") for end in ENDS]
    ranked = pd.DataFrame({"purity": 0.5, "completeness": 0.5} | dict.fromkeys(names, 0.5), index=range(20))
    plain, wide = plot_top(ranked, 0.9), plot_top(ranked.assign(purity_shifted_low=0.0), 0.9)
    assert plain == wide
    shifted = [plot_top(table, 0.9, shifted=True) for table in (ranked, ranked.assign(purity_shifted_low=0.0))]
    assert shifted[0] != shifted[1]
    assert "90 % intervals for these images" in plain.caption
    assert "at all shifts to lower scores" in shifted[0].caption


def test_equal_drawings_have_equal_bytes() -> None:
    rows = [("a", Estimate("a", 0.5, 0.4, 0.6))]
    assert plot_intervals(rows, "x", "alt", "caption").svg == plot_intervals(rows, "x", "alt", "caption").svg


@pytest.mark.parametrize(
    ("probability", "text"), [(0.5, "0.500"), (0.9999, "1 - 1e-04"), (1e-6, "1e-06"), (1.0, "1"), (0.0005, "0.001")]
)
def test_probabilities_near_0_and_1_keep_their_digits(probability: float, text: str) -> None:
    assert show_probability(probability) == text


def test_galleries_show_the_extremes_in_order() -> None:
    import pandas as pd

    images = np.zeros((40, 8, 8, 3), np.uint8)
    rows = np.arange(40)
    truth, probability = rows < 20, np.linspace(0.99, 0.01, 40)
    table = pd.DataFrame({"id": [f"g{k}" for k in rows]})
    best, false, worst = lens_galleries(images, rows, table, truth, probability)
    assert isinstance(best, Gallery)
    assert isinstance(false, Gallery)
    assert isinstance(worst, Gallery)
    assert best.pictures[0].caption.startswith("g0\n")
    assert false.pictures[0].caption.startswith("g20\n")
    assert worst.pictures[0].caption.startswith("g19\n")


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_any_number_of_bands_makes_a_png(bands: int) -> None:
    assert encode_png(np.full((5, 4, bands), 7, np.uint8)).startswith(b"\x89PNG")


def test_words_of_the_user_cannot_become_markup() -> None:
    name = "<script>alert(1)</script>"
    page = Page(name, (name,), (), (Section(name, (Text(name), Table(name, (name,), ((name,),), (name,)))),))
    html = render_page(page)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 6


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100.0"), (0.42, "42.0"), (0.0995, "9.95"), (0.074, "7.40"), (8.3e-4, "0.083"), (0, "0.00")],
)
def test_shares_are_written_in_percent_without_exponents(share: float, text: str) -> None:
    assert format_percent(share) == text
