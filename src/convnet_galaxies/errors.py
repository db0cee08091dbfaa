"""The errors a user may see; every other exception is a bug of ours.

The tree::

    GalaxyError
    ├── InputError      something that was given is at fault      exit code 1
    │   ├── BadImageError    one image cannot be used (--skip-bad may pass over it)
    │   └── OutputExistsError    the output is already there and --force was not given
    └── UsageError      the command was called in a wrong way     exit code 2
"""

from __future__ import annotations

import errno


class GalaxyError(Exception):
    """Base of all errors meant for users.

    message: where, what was found, and what was expected, in one sentence.
    fix: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\nFix: {self.fix}"

    def __reduce__(self) -> tuple[type[GalaxyError], tuple[str, str]]:
        # Exceptions are pickled by their args; ours take two, so that worker processes can raise them.
        return (type(self), (self.message, self.fix))


class InputError(GalaxyError):
    """A file, table or image that was given is at fault."""


class BadImageError(InputError):
    """One image cannot be read or has the wrong shape; the other images may be fine."""


class OutputExistsError(InputError):
    """The output is already there; it is never overwritten unasked."""

    def __init__(self, path: object) -> None:
        super().__init__(f"{path}: already exists", "choose another output, or pass --force to replace it")

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (type(self), (self.message.removesuffix(": already exists"),))


class UsageError(GalaxyError):
    """The command or function was called in a wrong way."""

    exit_code = 2


_ROOM = "make room, or choose an output on another disk"
_OTHER = "choose another output"
FAULTS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or choose another disk",
    errno.EIO: "have the disk looked at, or choose another one",
    errno.ESTALE: "wait until the network disk is back",
    errno.ENOMEM: "close other programs, or use a machine with more memory",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENAMETOOLONG: "shorten the name",
    errno.EACCES: _OTHER,
    errno.EPERM: _OTHER,
    errno.EROFS: _OTHER,
}
"""What to do about the faults of a machine, by number: they are no bugs, and may come with any call."""

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


def require_handles(error: BaseException) -> None:
    """Raise an error again that tells of a process without file handles, which is no reason to pass over a file."""
    if find_lack(error) in (errno.EMFILE, errno.ENFILE):
        raise error
