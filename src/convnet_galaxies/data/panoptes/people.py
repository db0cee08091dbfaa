"""Volunteers of an export: who is the same person, and the hashes that stand for their names."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Literal

import numpy as np

AnonymousRule = Literal["same", "each", "drop"]

ANONYMOUS = b"not-logged-in"
HASH_BYTES = 8
"""Among a million volunteers, two share a hash of 8 bytes with a chance of 3 in 10^8."""


class People:
    """Numbers volunteers from 0. Who is logged in goes by the number of the account, since names can be changed."""

    def __init__(self, anonymous: AnonymousRule) -> None:
        self.anonymous = anonymous
        self.names: list[str] = []
        self._numbers: dict[bytes, int] = {}

    def find(self, name: bytes, account: bytes) -> int:
        """Return the number of a volunteer, -1 for one that is left out.

        name: ``user_name``; account: ``user_id``, empty for who is not logged in.
        """
        key = b"#" + account if account else name.strip()
        number = self._numbers.get(key)
        if number is not None:
            return number
        is_anonymous = not account and (not key or key.startswith(ANONYMOUS))
        if is_anonymous and self.anonymous == "drop":
            return -1
        self.names.append(name.decode("utf-8", "replace").strip() or ANONYMOUS.decode())
        number = len(self.names) - 1
        # Someone without any name is never taken for the same person as another one.
        if not is_anonymous or (self.anonymous == "same" and key):
            self._numbers[key] = number
        return number

    def identities(self) -> list[bytes]:
        """Return what identifies each volunteer, for hashes; numbered where nothing does."""
        keys = [f"\0{number}".encode() for number in range(len(self.names))]
        for key, number in self._numbers.items():
            keys[number] = key
        return keys


def name_people(people: People, *, salt: str | None, keep_names: bool) -> np.ndarray:
    """Return a name for each volunteer (str [v]): a salted hash, or the name itself.

    salt: equal salts give one volunteer the same hash in several exports; None draws one that is not kept, after which
    nobody can find out whom a hash stands for by hashing a list of names.
    """
    if keep_names:
        return _tell_apart(people.names)
    key = secrets.token_bytes(16) if salt is None else hashlib.sha256(salt.encode()).digest()[:16]
    hashes = [hashlib.blake2b(one, digest_size=HASH_BYTES, key=key).hexdigest() for one in people.identities()]
    return np.array(hashes, dtype=object)


def _tell_apart(names: Sequence[str]) -> np.ndarray:
    """Number names that stand for several persons: ``not-logged-in-ab``, ``not-logged-in-ab (2)``."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return np.array(told, dtype=object)
