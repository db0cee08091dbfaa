"""Times of exports are seconds of UTC, in whatever form they are written."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from convnet_galaxies.data.panoptes.rows import parse_times

AT = int(datetime(2018, 2, 20, 10, 44, 42, tzinfo=UTC).timestamp())
LAST = np.iinfo(np.int64).max


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-02-20 10:44:42 UTC", AT),
        ("2018-02-20T10:44:42Z", AT),
        ("2018-02-20 10:44:42", AT),
        ("2018-02-20T10:44:42.917Z", AT),
        ("2018-02-20T10:44Z", AT - 42),
        ("2018-02-20 10:44 UTC", AT - 42),
        ("2018-02-20T11:44:42+01:00", AT),
        ("2018-02-20T10:44+01:00", AT - 42 - 3600),
        ("2018-02-20T05:14:42.5-0530", AT),
        ("2018-02-20 10:44:42 or so", AT),
        ("", LAST),
        ("yesterday", LAST),
        ("2018-02-20 10:44:4\xfc", LAST),
    ],
)
def test_every_form_of_a_time_is_read_alone_and_among_others(text: str, expected: int) -> None:
    value = text.encode("latin-1")
    assert parse_times([value]).tolist() == [expected]
    others = [b"2018-02-20 10:44:43 UTC", b"", b"2018-02-20T12:44:44+02:00"]
    assert parse_times([value, *others]).tolist() == [expected, AT + 1, LAST, AT + 2]


def test_an_export_without_times_has_none() -> None:
    assert parse_times([b""] * 3).tolist() == [LAST] * 3
    assert parse_times([]).tolist() == []
