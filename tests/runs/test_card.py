"""Model cards of earlier versions are read, and today's names are written."""

from __future__ import annotations

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.runs.card import LensCalibration, ModelCard
from convnet_galaxies.settings import NetSettings

CARD = ModelCard(
    NetSettings(view_px=48),
    Preprocess(size_px=64),
    {"lens": ()},
    members=2,
    calibration={"lens": LensCalibration(1.0, -0.5, 100, 10, 90, 0.1, ((0.1, 0.02), (0.9, 0.7)))},
    member_nets=(NetSettings(view_px=48), NetSettings(depths=(1, 2, 1), view_px=48)),
)


def test_a_card_survives_its_own_text() -> None:
    assert ModelCard.loads(CARD.dumps(), "card") == CARD


def test_a_card_with_the_former_name_of_view_px_is_read() -> None:
    former = CARD.dumps().replace('"view_px"', '"field_px"')
    assert former.count('"field_px": 48.0') == 3
    assert ModelCard.loads(former, "card") == CARD
    assert "field_px" not in CARD.dumps()


def test_a_card_with_the_former_name_of_the_isotonic_knots_is_read() -> None:
    former = CARD.dumps().replace('"isotonic_knots"', '"corners"')
    assert '"corners": [' in former
    assert ModelCard.loads(former, "card") == CARD
    assert "corners" not in CARD.dumps()
