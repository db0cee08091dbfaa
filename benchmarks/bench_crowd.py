"""Compare SWAP over all answers with its published offline form and with online SWAP, on the same simulated answers.

The crowd of simulate/crowd.py judges subjects (`simulate zooniverse` without pitfalls); 20 % of them, half lenses, are
for training, with four times as many answers. Of the others 5 % are lenses; figures are on these. Published: the
posterior is the mean over a subject's answers of what each alone makes of the last round's probability, and a skill is
a plain ratio (the project's program). Online: Bayes' theorem in order of time, skills from training subjects (Marshall
et al. 2016). AUROC and log loss are means over the seeds, with 95 % intervals of paired differences by Student's t; the
coverage is that of the 90 % intervals of both skills, of all volunteers and seeds.

    python benchmarks/bench_crowd.py [--quick]
"""

from __future__ import annotations

import numpy as np
from measuring import Report, read_options
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from convnet_galaxies.measure.swap import SMALLEST, crowd_average, update_beliefs
from convnet_galaxies.measure.swap_offline import solve_offline
from convnet_galaxies.simulate.crowd_answers import CrowdAnswers, draw_answers

SETTINGS = {
    "400 subjects, 15 looks": {"subjects": 400, "looks": 15},
    "1,500 subjects, 15 looks": {"subjects": 1500, "looks": 15},
    "1,500 subjects, 30 looks": {"subjects": 1500, "looks": 30},
    "3,000 subjects, 10 looks, 10 % for training": {"subjects": 3000, "looks": 10, "training_fraction": 0.1},
}
ROUNDS = 50


def solve_as_published(drawn: CrowdAnswers, prior: float) -> np.ndarray:
    """Probability of each subject by the published offline form, float64 [subjects]."""
    people, subject, said = drawn.volunteer, drawn.subject, drawn.said_lens
    tau, number = np.full(len(drawn.lens), prior), np.bincount(subject, minlength=len(drawn.lens))
    pl = pd_ = np.full(len(drawn.pl), 0.75)
    for _ in range(ROUNDS):
        if_lens = np.where(said, pl[people], 1 - pl[people]) * tau[subject]
        if_not = np.where(said, 1 - pd_[people], pd_[people]) * (1 - tau[subject])
        total = if_lens + if_not
        alone = np.divide(if_lens, total, out=tau[subject], where=total > 0)
        tau = np.bincount(subject, alone, minlength=len(tau)) / np.maximum(number, 1)
        weight = np.where(drawn.is_training, drawn.lens, tau)[subject]
        pl, pd_ = _ratio(people, weight, said, len(pl)), _ratio(people, 1 - weight, ~said, len(pl))
    return tau


def _ratio(people: np.ndarray, weight: np.ndarray, right: np.ndarray, volunteers: int) -> np.ndarray:
    seen = np.bincount(people, weight, minlength=volunteers)
    good = np.bincount(people, weight * right, minlength=volunteers)
    return np.divide(good, seen, out=np.zeros(volunteers), where=seen > 0)


def measure(seed: int, **options: float) -> tuple[np.ndarray, np.ndarray, tuple[float, float], float]:
    """AUROC and log loss of ours, published and online (float64 [3]); coverage of both skills; expected lenses per
    lens."""
    drawn = draw_answers(seed, **options)  # type: ignore[arg-type]
    found = solve_offline(drawn.volunteer, drawn.subject, drawn.said_lens, drawn.truth)
    start = crowd_average(drawn.subject, drawn.said_lens, drawn.truth)
    online = update_beliefs(
        drawn.volunteer, drawn.subject, drawn.said_lens, drawn.truth, prior=found.prior, start=start
    ).probability
    test, skills = ~drawn.is_training, found.skills
    lens = drawn.lens[test]
    posteriors = [one[test] for one in (found.probability, solve_as_published(drawn, found.prior), online)]
    auroc = np.array([roc_auc_score(lens, one) for one in posteriors])
    loss = np.array([log_loss(lens, np.clip(one, SMALLEST, 1 - SMALLEST)) for one in posteriors])
    # The last volunteers may have answered nothing.
    pl, pd_ = (one[: len(skills.pl)] for one in (drawn.pl, drawn.pd))
    held = (
        float(((skills.pl_low <= pl) & (pl <= skills.pl_high)).mean()),
        float(((skills.pd_low <= pd_) & (pd_ <= skills.pd_high)).mean()),
    )
    return auroc, loss, held, float(posteriors[0].sum() / lens.sum())


def main() -> None:
    """Measure and report."""
    options = read_options(__doc__, "crowd", rounds=40)
    report = Report("crowd", options)
    settings = dict(list(SETTINGS.items())[:1]) if options.quick else SETTINGS
    for name, chosen in settings.items():
        found = [measure(seed, **chosen) for seed in range(options.rounds)]
        auroc, loss = (np.array([one[place] for one in found]) for place in (0, 1))
        for kind, values, goal in (("AUROC", auroc, ">= 0.999"), ("log loss", loss, "<= 1")):
            report.add(f"{name}: {kind}, published form", float(values[:, 1].mean()), "")
            for place, other in ((1, "published form"), (2, "online")):
                apart = values[:, 0] - values[:, place]
                half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart))
                report.add(
                    f"{name}: {kind}, ours", float(values[:, 0].mean()), "", against=other,
                    reference=float(values[:, place].mean()), goal=goal if place == 1 and not options.quick else "",
                    remark=f"higher by {apart.mean():.4f} ({apart.mean() - half:.4f} to {apart.mean() + half:.4f})",
                )  # fmt: skip
        for place, skill in ((0, "PL"), (1, "PD")):
            held = float(np.mean([one[2][place] for one in found]))
            report.add(
                f"{name}: coverage of {skill}", held, "of 90 % intervals", goal="" if options.quick else ">= 0.85"
            )
        ratio = np.array([one[3] for one in found])
        report.add(
            f"{name}: expected lenses per lens", float(np.median(ratio)), "",
            remark=f"{np.quantile(ratio, 0.1):.2f} to {np.quantile(ratio, 0.9):.2f} in 80 % of the seeds",
        )  # fmt: skip
    report.finish()


if __name__ == "__main__":
    main()
