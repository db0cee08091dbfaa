from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from small_sets import ROUNDING, draw_pixels

from convnet_galaxies.errors import BadImageError
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.cluster import group_shards
from convnet_galaxies.scan.engine import AHEAD, predict_shards
from convnet_galaxies.scan.shards import Piece, Shard

PIXELS = draw_pixels(60, seed=3)


class Given:
    """Shards whose content is (first image, end), in pieces of so many images; some fail after their first piece."""

    def __init__(self, piece: int = 7, failing: tuple[int, ...] = (), error: Exception | None = None) -> None:
        self.piece, self.failing, self.error, self.read_so_far = piece, failing, error, 0

    def read(self, shard: Shard) -> Iterator[Piece]:
        first, end = shard.content
        for start in range(first, end, self.piece):
            rows = range(start, min(start + self.piece, end))
            before = pd.DataFrame({"id": pd.Series([str(row) for row in rows], dtype="str")})
            self.read_so_far += 1
            yield Piece(PIXELS[rows.start : rows.stop], before, pd.DataFrame({"row": list(rows)}), [None] * len(rows))
            if shard.number in self.failing and self.error is not None:
                raise self.error

    def close(self) -> None:
        pass


def cut_up(*ends: int) -> list[Shard]:
    return [Shard(k, f"tile {k}", pair) for k, pair in enumerate(zip((0, *ends), ends, strict=False))]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_image_has_the_same_bytes_whatever_shards_and_pieces_it_comes_in(world, precision) -> None:
    predictor = Predictor(world / "lens", device="cpu", batch=16, precision=precision)
    tables = []
    for piece, ends in ((7, (60,)), (3, (1, 2, 30, 31, 60)), (64, (59, 60)), (5, (16, 32, 48, 60))):
        results = list(predict_shards(Given(piece), cut_up(*ends), predictor))
        assert [result.number for result in results] == list(range(len(ends)))
        tables.append(pd.concat([result.table for result in results], ignore_index=True))
    for other in tables[1:]:
        pd.testing.assert_frame_equal(other, tables[0], check_exact=True)
    assert list(tables[0]) == ["id", "lens_probability", "row"]
    assert tables[0]["row"].tolist() == list(range(60))
    expected = predictor.predict(PIXELS)["lens"]
    np.testing.assert_allclose(
        tables[0]["lens_probability"], expected, atol=ROUNDING if precision == "fp32" else 1 / 128
    )


def test_a_shard_that_fails_is_reported_and_the_others_are_whole(predictor) -> None:
    error = BadImageError("tile 1: is cut short", "fetch it again")
    results = list(predict_shards(Given(failing=(1, 3), error=error), cut_up(20, 40, 50, 60), predictor))
    assert [result.error for result in results] == ["", error.message, "", error.message]
    alone = list(predict_shards(Given(), cut_up(20, 40, 50, 60), predictor))
    for k in (0, 2):
        pd.testing.assert_frame_equal(results[k].table, alone[k].table, check_exact=True)
    assert results[1].table is None


def test_an_error_that_is_a_bug_is_kept_with_its_traceback(predictor) -> None:
    (result,) = predict_shards(Given(failing=(0,), error=KeyError("nothing")), cut_up(9), predictor)
    assert "KeyError: 'nothing'" in result.error
    assert "in read" in result.error


def test_an_empty_shard_is_done(predictor) -> None:
    results = list(predict_shards(Given(), cut_up(9, 9, 12), predictor))
    assert [len(result.table) for result in results] == [9, 0, 3]


def test_no_more_is_read_than_the_network_needs_and_the_thread_ends_when_the_reader_of_results_does(predictor) -> None:
    reader = Given(piece=1)
    results = predict_shards(reader, cut_up(1, *range(2, 61)), predictor)
    next(results)
    results.close()
    assert reader.read_so_far <= predictor.batch + AHEAD + 2
    assert "read shards" not in [thread.name for thread in threading.enumerate()]


def test_small_shards_share_a_task_of_a_cluster_and_unknown_ones_do_not() -> None:
    sizes = [100, 1900, 100, None, 2048, 3000, 1, 1]
    groups = group_shards(Shard(k, "tile", images=size) for k, size in enumerate(sizes))
    assert [[shard.number for shard in group] for group in groups] == [[0, 1], [2], [3], [4], [5], [6, 7]]
