"""What a machine ran out of, found behind an error that names something else."""

from __future__ import annotations

import errno

_LACKS = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_WORDS = {
    "can't allocate memory": errno.ENOMEM,  # torch
    "could not create a primitive": errno.ENOMEM,  # oneDNN
    "Cannot allocate memory": errno.ENOMEM,
    "std::bad_alloc": errno.ENOMEM,
    "failed to map segment from shared object": errno.ENOMEM,  # a library that is loaded late
    "cannot allocate memory in static TLS block": errno.ENOMEM,
    "can't start new thread": errno.ENOMEM,
    "Too many open files": errno.EMFILE,
}
"""Words of libraries for what is a MemoryError or an OSError elsewhere."""


def find_lack(error: BaseException) -> int:
    """Return ENOMEM, EMFILE or ENFILE where an error, or one that it took the place of, tells that the machine had no
    more memory or file handles; else 0."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, MemoryError):
            return errno.ENOMEM
        if isinstance(one, OSError) and one.errno in _LACKS:
            return one.errno
        if found := next((number for words, number in _WORDS.items() if words in str(one)), 0):
            return found
        one = one.__cause__ or one.__context__
    return 0
