from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.scan.doubles import SHARD, choose_doubles, chord_of, drop_doubles, to_unit_vectors


def rows(*places: tuple[str, float, float, float], **columns: object) -> pd.DataFrame:
    """A table of (tile, ra, dec, pixels to the edge)."""
    tile, ra, dec, edge = zip(*places, strict=True)
    table = {"tile": tile, "ra_deg": ra, "dec_deg": dec, "_edge_px": edge, "x_px": 0.0, "y_px": 0.0}
    return pd.DataFrame({**table, "masked_fraction": 0.0, "bands_missing": "", SHARD: range(len(places)), **columns})


SECOND = 1 / 3600


@pytest.mark.parametrize(
    ("ra", "dec", "step"),
    [(30.0, 10.0, 0.5), (359.99995, -20.0, 0.5), (0.0, 89.99995, 90.0), (10.0, -90.0, 180.0)],
    ids=["plain", "across RA = 0", "near the pole", "at the pole"],
)
def test_one_object_of_two_tiles_is_kept_farther_from_the_edge_wherever_it_lies(ra, dec, step) -> None:
    other_ra = (ra + (step * SECOND if step < 1 else step)) % 360
    table = rows(("a", ra, dec, 20.0), ("b", other_ra, dec, 90.0))
    assert drop_doubles(table, 1.0)["tile"].tolist() == ["b"]
    assert len(drop_doubles(table, 0.01)) == (1 if dec == -90 else 2)


def test_objects_of_one_tile_are_never_joined_and_those_between_are_joined_once() -> None:
    close = 0.4 * SECOND
    table = rows(("a", 10.0, 0.0, 50.0), ("a", 10.0, close, 50.0), ("b", 10.0, 0.0, 30.0), ("b", 10.0, close, 30.0))
    assert drop_doubles(table, 1.0)["tile"].tolist() == ["a", "a"]


def test_more_bands_and_fewer_missing_pixels_come_before_the_distance_from_the_edge() -> None:
    table = rows(("a", 5.0, 5.0, 500.0), ("b", 5.0, 5.0, 20.0), bands_missing=["g", ""])
    assert drop_doubles(table, 1.0)["tile"].tolist() == ["b"]
    table = rows(("a", 5.0, 5.0, 500.0), ("b", 5.0, 5.0, 20.0), masked_fraction=[0.08, 0.0])
    assert drop_doubles(table, 1.0)["tile"].tolist() == ["b"]


def test_the_same_row_of_a_catalogue_is_one_and_neighbours_in_it_are_two() -> None:
    table = rows(("a", 5.0, 5.0, 50.0), ("b", 5.0, 5.0, 20.0), ("b", 5.0, 5.0, 20.0), _row=[7, 7, 8])
    assert drop_doubles(table, 1.0)[["tile", "_row"]].to_numpy().tolist() == [["a", 7], ["b", 8]]


def test_positions_without_coordinates_stay() -> None:
    table = rows(("a", np.nan, np.nan, 50.0), ("b", np.nan, np.nan, 50.0), ("c", 1.0, 1.0, 5.0))
    assert len(drop_doubles(table, 1.0)) == 3


def test_at_the_border_of_two_regions_of_one_tile_the_deeper_detection_stays() -> None:
    places = [("a", 5.0, 5.0, 50.0)] * 3 + [("b", 5.1, 5.0, 50.0)]
    table = rows(*places, _depth_px=[0.4, -0.2, 2.0, 1.0]).assign(x_px=[100.0, 100.3, 104.0, 100.0])
    assert drop_doubles(table, 1e-3)["_depth_px"].tolist() == [0.4, 2.0, 1.0]


def test_a_row_is_dropped_for_one_that_stays_not_for_one_that_goes() -> None:
    pairs = np.array([[0, 1], [1, 2]])  # a chain: the ends do not touch
    assert choose_doubles(pairs, [0, 1, 2]).tolist() == [1]
    assert choose_doubles(pairs, [1, 0, 2]).tolist() == [0, 2]


def test_chords_are_those_of_angles() -> None:
    vectors = to_unit_vectors(np.array([10.0, 10.0]), np.array([0.0, 2.5 * SECOND]))
    assert np.linalg.norm(vectors[0] - vectors[1]) == pytest.approx(chord_of(2.5), rel=1e-6)
