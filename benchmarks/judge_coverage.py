"""How often 95 % intervals of a corrected rate, and of agreement, hold the truth where the target is rare.

python benchmarks/judge_coverage.py [--json] [--quick]

A judge of known sensitivity and specificity has seen 20,000 items, of which 1, 5 or 30 % are the target; people label
50, 100 or 200 cases, drawn in one of three ways. llmclf corrects the judge's rate by the estimator that fits the way:

    random           from everything: post-stratified on the verdict (`judged_prevalence`)
    by verdict       half of what the judge flagged, half of the rest: the same
    class-balanced   another set, half targets and half others: `class_balanced_prevalence` (Lang and Reiczigel)

judgy (Rogan and Gladen's correction, bootstrapped) stands beside it on every sample. It is run as one draw of
resamples instead of the package's loop; tests check it against the package to the last digit. It does not ask how
labels were drawn: of those drawn by verdict its sensitivity is not the judge's, and its interval shows it.

A judge that leaves cases without a verdict (failed, or it could not tell) stands beside it: a tenth of them at random,
or half of the targets. In the first two designs these are a stratum of their own, in the third no positive verdict.
Few labels then often can't exclude that the judge is no better than chance, and there is no interval: of these
settings the goal is about the intervals that are given.

A way that gives no interval holds nothing; `answered` says how often it gave one, `figure` how often llmclf gave a
figure and not an upper bound alone.

`agreement`: kappa, positive and observed agreement and a judge's sensitivity beside resampled items
(agreement_coverage.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import agreement_coverage as agreement
import coverage_judged as judged
import numpy as np
from common import Goal, finish, options
from coverage_ways import DRAWS, Interval, held, over

from llmclf.stats import class_balanced_prevalence, judged_prevalence
from llmclf.types import Estimate

REPETITIONS, OF_FAILING, OF_AGREEMENT = 4000, 2000, 2000
QUICK = 15
DESIGNS = ("random", "by verdict", "class-balanced")
LEAST = 0.92
FAILING = {"a tenth": (0.1, 0.1), "half of the targets": (0.5, 0.0)}
"""Shares of the targets and of the others that have no verdict."""
KIND = np.array([*judged.KIND, True, False])
VERDICT = np.array([*judged.VERDICT, "failed", "failed"])
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Corrected:
    """How rare the target is, how good the judge is, how many labels there are and how they were drawn."""

    design: Literal["random", "by verdict", "class-balanced"]
    judge: tuple[float, float]
    prevalence: float
    labels: int
    failing: str = ""
    """Which cases have no verdict; empty: all have one."""

    @property
    def name(self) -> str:
        judge = f"judge {self.judge[0]:g}/{self.judge[1]:g}"
        failing = f", {self.failing} fail" if self.failing else ""
        return f"{self.design}, {self.prevalence:.0%}, {self.labels} labels, {judge}{failing}"

    def sample(self, rng: np.random.Generator) -> tuple[judged.Counts, judged.Counts]:
        """(all items by what they are and what the judge said, the labelled ones), found, missed, false alarm, quiet.

        Where some fail, failed targets and failed others stand after these.
        """
        if self.failing:
            return self._some_fail(rng)
        drawn: Literal["random", "by_verdict"] = "by_verdict" if self.design == "by verdict" else "random"
        everything, seen = judged.Judged(drawn, self.prevalence, self.labels, *self.judge).sample(rng)
        if self.design == "class-balanced":
            targets = self.labels // 2
            found, quiet = (
                rng.binomial(n, p) for n, p in zip((targets, self.labels - targets), self.judge, strict=True)
            )
            seen = np.array([found, targets - found, self.labels - targets - quiet, quiet])
        return everything, seen

    def _some_fail(self, rng: np.random.Generator) -> tuple[judged.Counts, judged.Counts]:
        of_targets, of_others = FAILING[self.failing]
        (found, quiet), rare = self.judge, self.prevalence
        target = np.array([found * (1 - of_targets), (1 - found) * (1 - of_targets), 0, 0, of_targets, 0])
        other = np.array([0, 0, (1 - quiet) * (1 - of_others), quiet * (1 - of_others), 0, of_others])
        everything = rng.multinomial(judged.JUDGED, rare * target + (1 - rare) * other)
        half = self.labels // 2
        if self.design == "class-balanced":
            return everything, rng.multinomial(half, target) + rng.multinomial(self.labels - half, other)
        if self.design == "random":
            return everything, rng.multivariate_hypergeometric(everything, self.labels)
        return everything, self._of_each_verdict(everything, rng)

    def _of_each_verdict(self, everything: judged.Counts, rng: np.random.Generator) -> judged.Counts:
        """Half of the labels from the flagged; of the other half each verdict its share, and two at least."""
        flagged, quiet, failed = (everything * np.isin(np.arange(6), place) for place in ((0, 2), (1, 3), (4, 5)))
        first = min(self.labels // 2, int(flagged.sum()))
        share = (self.labels - first) * failed.sum() / (failed.sum() + quiet.sum())
        last = min(int(failed.sum()), max(2, round(share)))
        parts = ((flagged, first), (quiet, self.labels - first - last), (failed, last))
        seen: judged.Counts = np.sum([rng.multivariate_hypergeometric(part, n) for part, n in parts], axis=0)
        return seen

    def ours(self, everything: judged.Counts, seen: judged.Counts, seed: int) -> Estimate:
        """The estimate that fits the design."""
        flagged = int(everything[0] + everything[2])
        if self.design == "class-balanced":
            targets, found, alarms = (int(one) for one in (seen @ KIND[: len(seen)], seen[0], seen[2]))
            others = self.labels - targets
            return class_balanced_prevalence(flagged, judged.JUDGED, found, targets, others - alarms, others)
        verdicts = VERDICT[: len(seen)]
        sizes = {name: int(everything[verdicts == name].sum()) for name in dict.fromkeys(verdicts.tolist())}
        return judged_prevalence(
            np.repeat(KIND[: len(seen)], seen),
            np.repeat(verdicts, seen).tolist(),
            {name: size for name, size in sizes.items() if size},
            drawn="random" if self.design == "random" else "by_verdict",
            draws=DRAWS,
            seed=seed,
        )


def settings() -> list[Corrected]:
    """Three designs, three judges, three prevalences, three numbers of labels; and one judge that fails, two ways."""
    judges = ((0.8, 0.95), (0.8, 0.8), (0.95, 0.95))
    rest = ((0.01, 0.05, 0.3), (50, 100, 200))
    chosen = [*product(DESIGNS, judges, *rest), *product(DESIGNS, judges[:1], *rest, FAILING)]
    return [Corrected(*one) for one in chosen]


def measure(number: int, repetitions: int) -> dict[str, Any]:
    """Coverage, mean width and share of answers of both ways in one setting, on the same samples."""
    setting = settings()[number]
    rng = np.random.default_rng([19, number])
    made: list[Estimate] = []
    theirs: list[Interval] = []
    for repetition in range(repetitions):
        everything, seen = setting.sample(rng)
        made.append(setting.ours(everything, seen, repetition))
        if not setting.failing:
            theirs.append(judged.judgy(everything, seen, rng))
    ours = held([agreement.ends(one) for one in made], setting.prevalence)
    return {
        "setting": setting.name,
        "design": setting.design,
        "failing": setting.failing,
        "truth": setting.prevalence,
        "labels": setting.labels,
        "llmclf": ours | {"figure": round(float(np.mean([one.is_known for one in made])), 3)},
        "judgy": held(theirs, setting.prevalence) if theirs else None,
    }


# --- what came out ----------------------------------------------------------------------------------------------


def summary_of(rows: Rows) -> dict[str, dict[str, float]]:
    """Worst and mean of each design by each way, of everything and of 1 % by number of labels; of judges that fail."""
    found = {}
    for design, way in product(DESIGNS, ("llmclf", "judgy")):
        of_design = [row for row in rows if row["design"] == design and not row["failing"]]
        found[f"{way}, {design}"] = over([row[way] for row in of_design])
        for labels in (50, 100, 200):
            rare = [row for row in of_design if row["truth"] == 0.01 and row["labels"] == labels]
            found[f"{way}, {design}, 1%, {labels} labels"] = over([row[way] for row in rare])
    for design, failing in product(DESIGNS, FAILING):
        some_fail = [row for row in rows if (row["design"], row["failing"]) == (design, failing)]
        given = [row["llmclf"] | {"coverage": row["llmclf"]["coverage_answered"]} for row in some_fail]
        found[f"llmclf, {design}, {failing} fail, where answered"] = over(given)
    return found


def summary_of_agreement(rows: Rows) -> dict[str, dict[str, float]]:
    """Worst and mean of each figure by each way, of what was answered; and of the bootstrap that always answers."""
    found = {}
    for figure, way in product(agreement.FIGURES, ("llmclf", "bootstrap", "bootstrap, always")):
        found[f"{way}, {figure}"] = over([row[figure][way] for row in rows if row[figure][way] is not None])
    return found


def goals_of(summary: Mapping[str, Mapping[str, float]], of_agreement: Mapping[str, Mapping[str, float]]) -> list[Goal]:
    """At least .92 in the worst setting: of each design, at 1 % by number of labels, of each figure of agreement."""
    names = {
        f"worst coverage, {name.removeprefix('llmclf, ')}": got for name, got in summary.items() if "llmclf" in name
    }
    names |= {f"worst coverage of {figure}": of_agreement[f"llmclf, {figure}"] for figure in agreement.FIGURES}
    return [Goal(name, f">= {LEAST:.2f}", got["worst"], got["worst"] >= LEAST) for name, got in names.items()]


def cell_text(cell: Mapping[str, float] | None) -> str:
    return "-" if cell is None else f"{cell['coverage']:.3f} +-{cell['error']:.3f} ({cell['width']:.3g})"


def show(rows: Rows) -> None:
    print("coverage +- Monte-Carlo error (mean width); nominal 95 %\n")
    print(f"{'corrected rate':78}{'llmclf':>26}{'a figure':>10}{'judgy':>26}{'answered':>10}")
    for row in rows:
        ours, judgy = row["llmclf"], row["judgy"]
        print(
            f"{row['setting']:78}{cell_text(ours):>26}{ours['figure']:>10.0%}"
            + (f"{cell_text(judgy):>26}{judgy['answered']:>10.0%}" if judgy else "")
        )
    print()


def show_agreement(rows: Rows) -> None:
    ways = ("llmclf", "bootstrap", "bootstrap, always")
    for figure in agreement.FIGURES:
        print(f"{figure:30}{'truth':>8}{'answered':>10}" + "".join(f"{way:>26}" for way in ways))
        for row in rows:
            one = row[figure]
            cells = "".join(f"{cell_text(one[way]):>26}" for way in ways)
            print(f"{row['setting']:30}{one['truth']:>8.3f}{one['answered']:>10.0%}{cells}")
        print()


def main() -> None:
    chosen = options(__doc__)
    began = time.monotonic()
    repetitions, of_failing, of_agreement = (QUICK,) * 3 if chosen.quick else (REPETITIONS, OF_FAILING, OF_AGREEMENT)
    with ProcessPoolExecutor(2) as pool:
        agreeing = [pool.submit(agreement.measure, n, of_agreement) for n in range(len(agreement.settings()))]
        correcting = [
            pool.submit(measure, n, of_failing if one.failing else repetitions) for n, one in enumerate(settings())
        ]
        agreed: Sequence[dict[str, Any]] = [one.result() for one in agreeing]
        rows: Rows = [one.result() for one in correcting]
    if not chosen.json:
        show(rows)
        show_agreement(list(agreed))
    summary, of_figures = summary_of(rows), summary_of_agreement(list(agreed))
    figures: dict[str, Any] = {
        "repetitions": repetitions,
        "repetitions of judges that fail": of_failing,
        "repetitions of agreement": of_agreement,
        "seconds": round(time.monotonic() - began, 1),
        **summary,
        **of_figures,
    }
    if chosen.json:
        figures |= {"settings": rows, "agreement": list(agreed)}
    finish(figures, goals_of(summary, of_figures), chosen)


if __name__ == "__main__":
    main()
