"""When two hashes of pixels name one picture: by the whole, and by the squares that both packs show."""

from __future__ import annotations

import pytest

from convnet_galaxies.runs.image_keys import NEVER, find_lowest_rank

ZERO = "0" * 32


def differ(bits: int) -> str:
    """A hash that differs from ZERO in so many bits."""
    return f"{(1 << bits) - 1:032x}"


@pytest.mark.parametrize(
    ("whole", "square", "is_one"),
    [
        (28, 0, True),
        (28, 44, True),
        (28, 45, False),
        (21, 60, False),
        (20, 60, True),
        (29, 60, False),
        (60, 28, True),
        (60, 29, False),
    ],
)
def test_a_whole_that_agrees_roughly_needs_a_square_that_is_not_another(whole: int, square: int, is_one: bool) -> None:
    own = ["id=a", f"pixel_hash=all:{ZERO}", f"pixel_hash=64:{ZERO}"]
    known = ["id=b", f"pixel_hash=all:{differ(whole)}", f"pixel_hash=64:{differ(square)}"]
    assert find_lowest_rank([own], [known], [1]).tolist() == [1 if is_one else NEVER]


def test_the_square_is_that_of_the_same_known_image() -> None:
    own = [f"pixel_hash=all:{ZERO}", f"pixel_hash=64:{ZERO}"]
    alike_by_whole = [f"pixel_hash=all:{differ(28)}", f"pixel_hash=64:{differ(60)}"]
    another = [f"pixel_hash=all:{differ(60)}", f"pixel_hash=64:{differ(40)}"]
    assert find_lowest_rank([own], [alike_by_whole, another], [0, 0]).tolist() == [NEVER]


def test_without_a_common_square_the_whole_decides() -> None:
    own, known = [f"pixel_hash=all:{ZERO}"], [f"pixel_hash=all:{differ(28)}", f"pixel_hash=256:{ZERO}"]
    assert find_lowest_rank([own], [known], [2]).tolist() == [2]
