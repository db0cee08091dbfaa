"""Fields shown by a simulated Space Warps: rows per kind of cutout, and fields until each kind has enough clicks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import partial
from itertools import count, cycle, islice

import numpy as np

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.swap import DETECTED_ABOVE, LENS, NOT, UNKNOWN, Verdicts, crowd_average, update_beliefs
from convnet_galaxies.simulate.lens import LENS_FLAVORS
from convnet_galaxies.simulate.space_warps_field import Subject, draw_subject, kind_of, leaves_field, show_again
from convnet_galaxies.workers import RunInWorkers

# Rows of the published catalogue by stage, sort and alpha; "sim" are the cutouts of fields with a painted lens.
PUBLISHED_ROWS = {
    (1, "dud", 0): 8362,
    (1, "sim", 0): 10656,
    (1, "sim", 1): 5159,
    (2, "dud", 0): 1129,
    (2, "sim", 0): 596,
    (2, "sim", 1): 151,
    (2, "test", 0): 9030,
}
PUBLISHED_FLAVORS = dict(zip(LENS_FLAVORS, (5983, 5271, 5308), strict=True))
# Share of the cutouts whose stamp leaves the field; about what clicks anywhere in a field give.
PADDED_SHARE = 0.25
# Below this, a sort of cutout would be missing.
FEWEST_ROWS = 24

Sort = tuple[int, str, int]
"""Stage, flavor as in the catalogue, and whether the cutout shows a lens."""


def plan_rows(number: int, *, unknown_prevalence: float) -> dict[Sort, int]:
    """Return rows of each cell, adding to ``number``, in the proportions of the published catalogue.

    unknown_prevalence: share of the test cutouts that show a lens.
    Raises InputError for fewer rows than FEWEST_ROWS, or a prevalence outside 0..1.
    """
    if number < FEWEST_ROWS:
        raise InputError(
            f"simulate space-warps: found number {number}, expected at least {FEWEST_ROWS} cutouts",
            f"pass --number {FEWEST_ROWS} or more",
        )
    if not 0 <= unknown_prevalence <= 1:
        raise InputError(
            f"simulate space-warps: found a fraction of lenses of {unknown_prevalence} among the test cutouts, "
            "expected 0 to 1",
            "pass e.g. 0.03",
        )
    sorts = dict(zip(PUBLISHED_ROWS, share_out(number, list(PUBLISHED_ROWS.values()), least=1), strict=True))
    sims = [cell for cell in sorts if cell[1] == "sim"]
    # Flavors are dealt cell by cell from what is left of their totals, so that both add up.
    left = share_out(sum(sorts[cell] for cell in sims), list(PUBLISHED_FLAVORS.values()))
    rows: dict[Sort, int] = {}
    for stage, sort, shows in sorts:
        if sort != "sim":
            rows[stage, sort, shows] = sorts[stage, sort, shows]
            continue
        dealt = share_out(sorts[stage, sort, shows], left)
        left = [have - given for have, given in zip(left, dealt, strict=True)]
        rows |= {(stage, flavor, shows): count for flavor, count in zip(PUBLISHED_FLAVORS, dealt, strict=True)}
    lenses = round(unknown_prevalence * rows[2, "test", 0])
    return rows | {(2, "test", 1): lenses, (2, "test", 0): rows[2, "test", 0] - lenses}


def share_out(total: int, weights: Sequence[float], *, least: int = 0) -> list[int]:
    """Return whole numbers in proportion to the weights that add to total, by the largest remainders; each at least
    least."""
    shares = np.asarray(weights, float) * total / max(float(np.sum(weights)), 1e-300)
    counts = np.floor(shares).astype(int)
    order = np.argsort(-(shares - counts), kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    while (counts < least).any():
        counts[int(counts.argmax())] -= 1
        counts[int(counts.argmin())] += 1
    return counts.tolist()


def padded_bounds(count: int) -> tuple[int, int]:
    """Return the fewest and most padded stamps that ``count`` cutouts of one cell may have.

    The zeros where a stamp leaves its field must not tell the label, so all cells get PADDED_SHARE of them, to within
    half of the chance scatter of so many draws (a binomial's), which no net can make use of.
    """
    wanted = round(PADDED_SHARE * count)
    slack = math.ceil(0.5 * math.sqrt(PADDED_SHARE * (1 - PADDED_SHARE) * count))
    return max(wanted - slack, 0), min(wanted + slack, count)


def count_lacking(count: int, padded: np.ndarray) -> tuple[int, int, int]:
    """Count the cutouts that a cell of ``count`` still lacks: of any kind, padded ones, and others.

    padded: bool [n], whether the stamp leaves its field, of those found.
    """
    fewest, most = padded_bounds(count)
    at_edge = int(padded.sum())
    return max(count - len(padded), 0), max(fewest - at_edge, 0), max(count - most - (len(padded) - at_edge), 0)


def choose_showings(
    rng: np.random.Generator, cells: Sequence[Sort], padded: np.ndarray, wanted: Mapping[Sort, int]
) -> np.ndarray:
    """Choose cutouts, bool [n]: of each cell as many as wanted, and PADDED_SHARE of them padded where enough
    are found, else as near as those found allow.

    cells: of each cutout. padded: bool [n], the stamp leaves its field.
    """
    taken = np.zeros(len(padded), bool)
    members: dict[Sort, list[int]] = {}
    for row, cell in enumerate(cells):
        members.setdefault(cell, []).append(row)
    for cell, number in wanted.items():
        rows = rng.permutation(np.array(members.get(cell, []), int))
        at_edge, inside = rows[padded[rows]], rows[~padded[rows]]
        edge = min(max(round(PADDED_SHARE * number), number - len(inside)), len(at_edge))
        taken[at_edge[:edge]] = True
        taken[inside[: number - edge]] = True
    return taken


# Clusters a field that show no lens and that do, to begin with; later batches go by what came before.
EXPECTED = {(1, "sim"): (2.4, 1.15), (1, "dud"): (1.9, 0.0), (2, "sim"): (4.5, 1.15), (2, "dud"): (5.4, 0.0)}
EXPECTED_TEST = {"test": (2.4, 0.0), "test lens": (1.9, 1.1)}
LOWEST_RATE = 0.1
MOST_FIELDS_PER_ROW = 20

# Measured on the published lists: of 138 sims of stage 2, 133 are sims of stage 1; of 18 duds, 16 are the image of a
# test field of stage 2 under another name, one is that of a test field of stage 1 only, and one is new.
NEW_SIMS, SIMS = 5, 138
DUDS = (*("seen",) * 8, "unseen", *("seen",) * 8, "new")


@dataclass(frozen=True)
class Showing:
    """A field in one stage, under one name.

    subject: the field and the clicks of this stage. kind: sim, dud or test.
    """

    subject: Subject
    stage: int
    kind: str

    @property
    def recycled(self) -> bool:
        """A dud that was a test field."""
        return self.kind == "dud" and self.subject.pool != "dud"

    @property
    def flavor(self) -> str:
        """The catalogue's flavor: that of the lens for sims, else dud or test."""
        return self.subject.pool if self.kind == "sim" else self.kind

    @property
    def key(self) -> tuple[str, int, bool]:
        """Showings of one key bear the same ZooID."""
        return (self.subject.pool, self.subject.index, self.recycled)

    @property
    def cells(self) -> list[Sort]:
        """The cell of each cluster."""
        return [(self.stage, self.flavor, int(shows)) for shows in self.subject.shows_lens]


Draw = Callable[[int], list[Showing]]


@dataclass
class Pools:
    """The source of fields: each pool is drawn in its order, so that what is drawn depends on the seed only.

    run: maps a function over arguments, in order.
    """

    seed: int
    run: RunInWorkers
    drawn: dict[str, int] = dataclass_field(default_factory=dict)

    def draw(self, pool: str, number: int) -> list[Subject]:
        """Draw the next fields of a pool, shown in their first stage."""
        start = self.drawn.get(pool, 0)
        self.drawn[pool] = start + number
        draw = partial(draw_subject, self.seed, pool)
        return list(self.run(draw, range(start, start + number)))

    def first(self, pool: str, stage: int) -> Draw:
        """Draws new fields of a pool."""
        return lambda number: [Showing(subject, stage, kind_of(pool)) for subject in self.draw(pool, number)]

    def again(self, subjects: Sequence[Subject], kind: str) -> list[Showing]:
        """Return the same fields in stage 2."""
        show = partial(show_again, self.seed, kind=kind)
        return [Showing(subject, 2, kind) for subject in self.run(show, subjects)]

    def returning_sims(self, pool: str, kept: Iterable[Subject]) -> Draw:
        """Draws the sims that stage 1 detected, now and then a new one, and new ones when those run out."""
        left, places = iter(kept), count(1)

        def draw(number: int) -> list[Showing]:
            chosen: list[Subject] = []
            for place in islice(places, number):
                is_new = place * NEW_SIMS // SIMS > (place - 1) * NEW_SIMS // SIMS
                known = None if is_new else next(left, None)
                chosen += self.draw(pool, 1) if known is None else [known]
            return self.again(chosen, "sim")

        return draw

    def recycled_duds(self, tests: Iterable[Subject]) -> Draw:
        """Draws duds for stage 2, most of which are test fields, as in DUDS."""
        left, origins = iter(tests), cycle(DUDS)

        def draw(number: int) -> list[Showing]:
            chosen: list[Subject] = []
            for origin in islice(origins, number):
                known = next(left, None) if origin == "seen" else None
                chosen += self.draw("dud" if origin == "new" else "test", 1) if known is None else [known]
            return self.again(chosen, "dud")

        return draw


def gather(pools: Pools, wanted: dict[Sort, int]) -> tuple[list[Showing], dict[int, Verdicts]]:
    """Return all showings of both stages, and SWAP's verdicts on each stage's, which number them in their order."""
    rng = np.random.default_rng([pools.seed, 1 << 21])
    first: list[Showing] = []
    for pool in (*LENS_FLAVORS, "dud"):
        first += _fill(wanted, (1, pool), EXPECTED[1, kind_of(pool)], pools.first(pool, 1))
    verdicts = {1: judge_showings(first, pools.seed)}
    detected = verdicts[1].probability > DETECTED_ABOVE
    second: list[Showing] = []
    for pool in LENS_FLAVORS:
        kept = [
            showing.subject for showing, found in zip(first, detected, strict=True) if found and showing.flavor == pool
        ]
        second += _fill(wanted, (2, pool), EXPECTED[2, "sim"], pools.returning_sims(pool, _shuffled(rng, kept)))
    of_lenses = {(2, "test", 1): wanted[2, "test", 1]}
    lenses = _fill(of_lenses, (2, "test"), EXPECTED_TEST["test lens"], pools.first("test lens", 2))
    besides = sum(cell[2] == 0 for showing in lenses for cell in showing.cells)
    of_others = {(2, "test", 0): wanted[2, "test", 0] - besides}
    tests = _fill(of_others, (2, "test"), EXPECTED_TEST["test"], pools.first("test", 2))
    without_lens = _shuffled(rng, [showing.subject for showing in tests])
    duds = _fill(wanted, (2, "dud"), EXPECTED[2, "dud"], pools.recycled_duds(without_lens))
    second += lenses + tests + duds
    return first + second, verdicts | {2: judge_showings(second, pools.seed)}


def judge_showings(showings: Sequence[Showing], seed: int) -> Verdicts:
    """Return SWAP on the showings of one stage, whose looks come in random order. pl and pd follow the showings and
    looks.

    A sim counts as called a lens only when the lensed light itself was marked.
    """
    truth = np.array([{"sim": LENS, "dud": NOT, "test": UNKNOWN}[s.kind] for s in showings], int)
    looks = [s.subject.looks for s in showings]
    volunteer = np.concatenate([one.lookers for one in looks])
    field = np.repeat(np.arange(len(looks)), [len(one.lookers) for one in looks])
    said = np.concatenate(
        [one.saw_lens if s.kind == "sim" else one.marked for s, one in zip(showings, looks, strict=True)]
    )
    order = np.random.default_rng([seed, 1 << 22]).permutation(len(volunteer))
    start = crowd_average(field, said, truth)
    verdicts = update_beliefs(volunteer[order], field[order], said[order], truth, start=start)
    back = np.argsort(order)
    return Verdicts(verdicts.probability, verdicts.pl[back], verdicts.pd[back])


def _fill(wanted: dict[Sort, int], sort: tuple[int, str], expected: tuple[float, float], draw: Draw) -> list[Showing]:
    """Showings until both cells of a sort (stage, flavor) have as many clusters as wanted, padded ones and others.

    expected: clusters per field in each cell, which size the first batch; later batches follow the clusters found.
    """
    need = [wanted.get((*sort, shows), 0) for shows in (0, 1)]
    found: list[Showing] = []
    shares = np.array([1, PADDED_SHARE, 1 - PADDED_SHARE])
    while True:
        shows = np.concatenate([np.empty(0, int), *(one.subject.shows_lens for one in found)])
        padded = np.concatenate([np.empty(0, bool), *(leaves_field(one.subject.clusters) for one in found)])
        lacking = np.array([count_lacking(need[cell], padded[shows == cell]) for cell in (0, 1)])
        if not lacking.any():
            return found
        if len(found) > MOST_FIELDS_PER_ROW * (sum(need) + 10):
            raise RuntimeError(f"{len(found)} fields of {sort} gave {np.bincount(shows)} clusters, {need} are wanted")
        rates = np.array(expected)
        if found:
            rates = np.maximum(np.bincount(shows, minlength=2) / len(found), LOWEST_RATE)
        per_field = np.maximum(np.outer(rates, shares), 1e-9)
        found += draw(math.ceil((lacking / per_field).max()))


def _shuffled(rng: np.random.Generator, subjects: list[Subject]) -> Iterator[Subject]:
    return iter([subjects[place] for place in rng.permutation(len(subjects))])
