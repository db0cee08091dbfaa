"""Intervals by resampling whole groups (fields, galaxies), never single images.

Cutouts of one field share its sky, its seeing and often its lens, so that they are not independent; a bootstrap
over images would give intervals that are too narrow. Two intervals are made of the resamples:

- proportions (AUROC, average precision, TPR0, accuracy): the exact binomial interval of as many trials as would give
  the standard deviation of the resamples, ``n = p (1 - p) / se^2``, corrected for the few groups by Student's t (Korn &
  Graubard 1998, Survey Methodology 24, 193). It stays within 0 and 1 and is skew as it must be near them. In 400
  simulations with 12, 30 and 150 lenses a 90 % interval of the AUROC held the truth in 86, 88 and 90 %, a normal
  interval of the logit in 86, 84 and 88 %, before its misses, nearly all too optimistic, were met by ``unseen`` (see
  summarize): the hardest lens is not in a small sample.
- positive means without an upper bound (log loss): Student's t on the logarithm, since they scatter by factors.
- everything else (RMSE, differences): the *expanded percentile* interval (Hesterberg 2015, The American
  Statistician 69, 371; arXiv:1411.5279): percentiles at the tail probability
  ``Phi(-sqrt(n / (n - 1)) * t(1 - alpha / 2, n - 1))`` instead of alpha / 2, which repairs the narrowness of the plain
  percentile interval for small n.

BCa is not used: it needs a jackknife over thousands of fields, and its acceleration is undefined for statistics that
take few values, such as TPR0. Coverage: docs/science.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.ranking import lower_unseen

Statistic = Callable[[np.ndarray], np.ndarray]
"""Counts float64 [resamples, groups] (how often each group was drawn) to values float64 [resamples, k].

A value that is undefined for a draw (no positive in it) is NaN."""

FEW_GROUPS = 10
"""Below so many groups (of the rarer class) an interval is widened by its exact binomial counterpart and warned of."""

ELEMENTS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """One number and how well it is known. It formats itself: ``f"{estimate:.3f}"`` is ``0.981 (0.962 to 0.991)``.

    value: the estimate; low, high: ends of the interval, both in the unit of the value, all finite.
    level: intended coverage of the interval, 0 to 1.
    warning: why the interval is to be taken with caution; None when there is no reason known.
    """

    name: str
    value: float
    low: float
    high: float
    level: float = 0.95
    warning: str | None = None

    def __str__(self) -> str:
        return self.text(".4g")

    def __format__(self, spec: str) -> str:
        return self.text(spec) if spec else str(self)

    def text(self, spec: str, *, star: bool = True) -> str:
        """Return the value and, in brackets, its interval; a star stands for a warning, see star_notes.

        spec: the format of the numbers, as for a float. A sign is written before the value only. ``%`` gives percent,
        with the digits that a share needs: ``3.10 % (2.02 to 4.41)``.
        """
        value = f"{format_percent(self.value)} %" if spec == "%" else format(self.value, spec)
        return f"{value} ({self.span(spec)})" + " *" * (star and self.warning is not None)

    def span(self, spec: str) -> str:
        """Return the interval alone, e.g. ``0.962 to 0.991``."""
        write = format_percent if spec == "%" else (lambda number: format(number, spec.removeprefix("+")))
        return f"{write(self.low)} to {write(self.high)}"


def format_percent(share: float) -> str:
    """Return a share in percent, at least two digits of it: ``0.083``, ``3.10``, ``74.2``; without the sign %."""
    percent = 100 * share
    return f"{percent:.{1 if percent >= 10 else 2 if percent >= 0.1 or percent < 0.001 else 3}f}"


def star_notes(estimates: Iterable[Estimate]) -> tuple[str, ...]:
    """Return what the stars of some estimates stand for, each warning once."""
    return tuple(f"* {text}" for text in dict.fromkeys(one.warning for one in estimates) if text)


def check_level(level: float) -> None:
    """Raise UsageError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise UsageError(f"interval: found level {level}, expected a number between 0 and 1", "use e.g. 0.95")


def encode_groups(groups: np.ndarray) -> tuple[np.ndarray, int]:
    """Group of each image as int [n] in 0..n_groups-1, and the number of groups."""
    names, codes = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    return codes, len(names)


def draw_groups(n_groups: int, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Count each group in each resample: float64 [n_resamples, n_groups]; each row adds to n_groups."""
    drawn = rng.integers(n_groups, size=(n_resamples, n_groups)) + np.arange(n_resamples)[:, None] * n_groups
    return np.bincount(drawn.ravel(), minlength=n_resamples * n_groups).reshape(n_resamples, n_groups).astype(float)


def resample_statistic(
    statistic: Statistic, groups: np.ndarray, *, n_resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the statistic on the data as they are, [k], and on each resample, [n_resamples, k].

    groups: str or int [n]. Equal seeds and equal groups give equal draws, so that two calls are paired.
    Raises InputError for fewer than two groups, from which no spread can be learned.
    """
    codes, n_groups = encode_groups(groups)
    if n_groups < 2:
        raise InputError(
            f"interval: found {len(codes)} images in {n_groups} group, expected at least 2 groups",
            "give images of more fields or galaxies",
        )
    rng = np.random.default_rng(seed)
    chunk = max(1, ELEMENTS_AT_ONCE // len(codes))
    pieces = [
        statistic(draw_groups(n_groups, min(chunk, n_resamples - start), rng)) for start in range(0, n_resamples, chunk)
    ]
    return statistic(np.ones((1, n_groups)))[0], np.concatenate(pieces)


def bootstrap_groups(
    statistic: Statistic,
    groups: np.ndarray,
    names: Sequence[str],
    *,
    seed: int,
    n_resamples: int = 1000,
    level: float = 0.95,
    n_effective: int | Sequence[int] | None = None,
    proportion: bool | Sequence[bool] = False,
    auroc: bool | Sequence[bool] = False,
    extra_error: float | Sequence[float] = 0.0,
) -> dict[str, Estimate]:
    """Return an Estimate for each of the k values of the statistic.

    n_effective: number of groups that carry each value (for a rank statistic the groups of the rarer class);
        all groups by default. Below FEW_GROUPS the figure carries a warning.
    proportion: whether a value is a mean of at most n_effective numbers between 0 and 1. Then, when groups are few
        or the resamples are all alike (a perfect ranking), the interval is widened to hold the exact binomial one
        (see bound_proportion); the variance of the AUROC, too, is at most that of such a proportion
        (Birnbaum & Klose 1957, Ann. Math. Stat. 28, 933).
    auroc: whether a proportion is an AUROC, whose lower end allows for lenses that no resample shows (lower_unseen).
    extra_error: of each value, see summarize.
    """
    check_level(level)
    values, draws = resample_statistic(statistic, groups, n_resamples=n_resamples, seed=seed)
    n_groups = encode_groups(groups)[1]
    effective = np.broadcast_to(n_groups if n_effective is None else n_effective, len(names))
    proportions, aurocs, extra = (np.broadcast_to(one, len(names)) for one in (proportion, auroc, extra_error))
    return {
        name: summarize(
            name,
            values[k],
            draws[:, k],
            n_effective=int(effective[k]),
            proportion=bool(proportions[k]),
            unseen=lower_unseen(float(values[k]), int(effective[k])) if aurocs[k] else 0.0,
            extra_error=float(extra[k]),
            level=level,
        )
        for k, name in enumerate(names)
    }


def summarize(
    name: str,
    value: float,
    draws: np.ndarray,
    *,
    n_effective: int,
    proportion: bool = False,
    positive_mean_of: int = 0,
    extra_error: float = 0.0,
    unseen: float = 0.0,
    level: float = 0.95,
) -> Estimate:
    """Return the Estimate of a value and its resampled values, float [n_resamples] (NaN where undefined).

    proportion, positive_mean_of: which interval, see the module's docstring; neither is the expanded percentile
        interval. positive_mean_of is the number of groups of which the value is a positive mean; if fewer than
        n_effective make up most of it, these count (Kish's effective number).
    extra_error: standard error that the resamples cannot show, added in quadrature.
    unseen: by how much images that are in no resample would lower a proportion; its lower end is that of a value lower
        by as much.
    """
    defined = draws[np.isfinite(draws)]
    if not np.isfinite(value) or len(defined) == 0:
        raise InputError(f"{name}: undefined for these images", "give images of both classes from several groups")
    carriers = n_effective
    if proportion:
        error = float(np.hypot(defined.std(), extra_error))
        low, high = _bound_by_error(float(value), error, n_effective, level)
        if error > 0:  # else the exact interval below is the wider one
            low = min(low, _bound_by_error(float(value) - unseen, error, n_effective, level)[0])
    elif positive_mean_of and value > 0 and defined.min() > 0:
        carriers = min(n_effective, count_carriers(defined, positive_mean_of))
        low, high = _bound_by_factor(float(value), float(np.log(defined).std()), carriers, level)
    else:
        tail = _expand_tail((1 - level) / 2, n_effective)
        low, high = (float(end) for end in np.quantile(defined, [tail, 1 - tail]))
        reach = float(stats.norm.ppf((1 + level) / 2)) * extra_error
        low = value - float(np.hypot(max(value - low, 0), reach))
        high = value + float(np.hypot(max(high - value, 0), reach))
    warning = None
    if n_effective < FEW_GROUPS:
        warning = f"only {n_effective} group{'s' * (n_effective != 1)} of the rarer class: the interval is rough"
    elif carriers < FEW_GROUPS:
        warning = f"about {carriers} groups make up most of it: the interval is rough"
    elif len(defined) < 0.9 * len(draws):
        warning = f"undefined in {1 - len(defined) / len(draws):.0%} of the resamples"
    if proportion and (n_effective < FEW_GROUPS or low == high):
        exact_low, exact_high = bound_proportion(value * n_effective, n_effective, level=level)
        low, high = min(low, exact_low), max(high, exact_high)
    return Estimate(name, float(value), low, high, level, warning)


def count_carriers(draws: np.ndarray, n_groups: int) -> int:
    """Return how many groups make up a positive mean of n_groups, from its resamples, float [n_resamples]; at least 1.

    It is ``(sum x)^2 / sum x^2`` over groups (Kish 1965, Survey Sampling, 11.7), which is 1 over 1 / n_groups plus the
    relative variance of the resamples.
    """
    return max(1, round(1 / (float(draws.var()) / float(draws.mean()) ** 2 + 1 / n_groups)))


def cut_figure(figure: Estimate, least: float, most: float) -> Estimate:
    """Return the figure with its interval cut to what is possible."""
    return replace(figure, low=max(least, figure.low), high=min(most, figure.high))


def bound_proportion(successes: float, trials: float, *, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a proportion (Clopper & Pearson 1934, Biometrika 26, 404): at least the coverage
    stated.

    successes may be fractional (effective counts); no trial gives (0, 1).
    """
    if trials <= 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    successes = min(max(float(successes), 0.0), float(trials))
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(stats.beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def _bound_by_error(value: float, error: float, n: int, level: float) -> tuple[float, float]:
    if error == 0 or n < 2:
        return value, value
    normal, student = stats.norm.ppf((1 + level) / 2), stats.t.ppf((1 + level) / 2, n - 1)
    trials = value * (1 - value) / error**2 * (normal / student) ** 2 * (n - 1) / n
    return bound_proportion(value * trials, trials, level=level)


def _bound_by_factor(value: float, error: float, n: int, level: float) -> tuple[float, float]:
    """error: standard deviation of the logarithm among resamples of n groups; one counts as two."""
    n = max(n, 2)
    reach = np.sqrt(n / (n - 1)) * stats.t.ppf((1 + level) / 2, n - 1) * error
    return float(value * np.exp(-reach)), float(value * np.exp(reach))


def _expand_tail(tail: float, n: int) -> float:
    if n < 2:
        return 0.0
    return float(stats.norm.cdf(-np.sqrt(n / (n - 1)) * stats.t.ppf(1 - tail, n - 1)))
