"""How often 95 % intervals of rates hold the truth, where positives are few and weights unequal.

python benchmarks/coverage.py [--json] [--quick]

Every setting draws labelled samples again and again from a known population, 8,000 times, so that .93 and .92 can be
told apart; the other ways see each fourth sample, and each coverage has its own Monte-Carlo error beside it.

Recall and prevalence, by llmclf's intervals (one unseen item in the heaviest stratum), a posterior with a prior in
each of H strata, Beta(k + 1/H, n - k + 1), the percentile bootstrap, and Wald's. The bootstrap resamples groups and
Wald sums by them where there are any; the prior does not know of groups. A sample without a positive claims nothing
of recall and is left out.

    good, leaky   100,000 items, 500 positives, four strata of which the first two are flagged; leaky: 30 % of
                  the positives lie in the unflagged rest of 95,000, of which a few hundred items are labelled
    mixed         the same strata, flagged in part in each of them
    random        a simple random sample
    turns         all turns of randomly drawn dialogues
    leaky groups  leaky, drawn by groups of one to seven items
    tasks         recurring tasks that stand in both strata, one of them labelled completely
    nine bands    strata by the score, which may be too flat, or blind to a quarter of the positives

`judged`: prevalence from a judge's verdict on everything and few labels, beside judgy, PPI++ and Wald
(coverage_judged.py). Specificity and precision near 0 and near 1 have settings of their own (ends.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import coverage_judged as judged
import coverage_settings as designs
import coverage_ways as ways
import ends
import numpy as np
from common import Goal, finish, options

REPETITIONS = 8000
QUICK = 40
EVERY = 4
"""The other ways see each so-manyth sample: they are far off, and a coarser figure shows it."""
FIGURES = ("recall", "prevalence")
OTHERS: Mapping[str, Callable[[designs.Sample, np.random.Generator], tuple[ways.Interval, ways.Interval]]] = {
    "prior in every stratum": ways.prior_in_every_stratum,
    "bootstrap": ways.bootstrap,
    "wald": lambda sample, _: ways.wald(sample),
}
Rows = list[dict[str, Any]]


def measure(number: int, repetitions: int, every: int) -> dict[str, Any]:
    """Coverage and mean width of each way in one setting, on the same samples."""
    setting = designs.settings()[number]
    rng = np.random.default_rng([7, number])
    truth = {"recall": setting.recall, "prevalence": setting.prevalence}
    made: dict[str, list[tuple[ways.Interval, ways.Interval]]] = {name: [] for name in ("llmclf", *OTHERS)}
    positives = []
    for repetition in range(repetitions):
        sample = setting.draw(rng)
        positives.append(int(sample.positive.sum()))
        made["llmclf"].append(ways.ours(sample, repetition))
        for name, way in OTHERS.items() if repetition % every == 0 else ():
            made[name].append(way(sample, rng))
    return {
        "setting": setting.name,
        "truth": {name: round(value, 5) for name, value in truth.items()},
        "mean_positives": round(float(np.mean(positives)), 1),
        **{
            name: {
                figure: ways.held([pair[place] for pair in pairs if pair[place]], truth[figure])
                for place, figure in enumerate(FIGURES)
            }
            for name, pairs in made.items()
        },
    }


# --- what came out ----------------------------------------------------------------------------------------------


def summary_of(rows: Rows, judged_rows: Rows, end_rows: Rows, hidden_rows: Rows) -> dict[str, dict[str, float]]:
    """Worst and mean of every way: recall and prevalence by design, prevalence by judge, precision and its kin."""
    found = {
        f"{way}, {figure}": ways.over([row[way][figure] for row in rows])
        for way in ("llmclf", *OTHERS)
        for figure in FIGURES
    }
    for drawn in ("random", "by_verdict"):
        of_design = [row for row in judged_rows if row["drawn"] == drawn]
        for way in ("llmclf", *judged.OTHERS):
            cells = [row[way] for row in of_design if way in row]
            if cells:
                found[f"{way}, prevalence judged, labels {drawn.replace('_', ' ')}"] = ways.over(cells)
    for figure in ends.FIGURES:
        found[f"llmclf, {figure} near 0 and 1"] = ways.over([row[figure] for row in end_rows])
    found["llmclf, precision of finds that no sample shows"] = ways.over([row["precision"] for row in hidden_rows])
    return found


def goals_of(summary: Mapping[str, Mapping[str, float]]) -> list[Goal]:
    """At least .92 in the worst setting, and .94 to .98 on average: neither too narrow nor too wide."""
    goals = []
    for name in (*FIGURES, "prevalence judged, labels random", "prevalence judged, labels by verdict"):
        got = summary[f"llmclf, {name}"]
        goals.append(Goal(f"worst coverage of {name}", ">= .92", got["worst"], got["worst"] >= 0.92))
        goals.append(Goal(f"mean coverage of {name}", ".94-.98", got["mean"], 0.94 <= got["mean"] <= 0.98))
    for figure in ends.FIGURES:
        worst = summary[f"llmclf, {figure} near 0 and 1"]["worst"]
        goals.append(Goal(f"worst coverage of {figure} near 0 and 1", ">= .92", worst, worst >= 0.92))
    return goals


def show(rows: Rows) -> None:
    print("coverage +- Monte-Carlo error (mean width); nominal 95 %\n")
    for figure in FIGURES:
        print(f"{figure:40}{'positives':>10}" + "".join(f"{way:>25}" for way in ("llmclf", *OTHERS)))
        for row in rows:
            cells = (cell_text(row[way][figure]) for way in ("llmclf", *OTHERS))
            print(f"{row['setting']:40}{row['mean_positives']:>10}" + "".join(f"{cell:>25}" for cell in cells))
        print()


def show_judged(rows: Rows) -> None:
    print(f"{'prevalence judged':48}" + "".join(f"{way:>25}" for way in ("llmclf", *judged.OTHERS)) + "  judgy answers")
    for row in rows:
        cells = (cell_text(row[way]) if way in row else "" for way in ("llmclf", *judged.OTHERS))
        answers = f"{row['judgy']['answered']:>15.0%}" if "judgy" in row else ""
        print(f"{row['setting']:48}" + "".join(f"{cell:>25}" for cell in cells) + answers)
    print()


def show_ends(rows: Rows, title: str) -> None:
    print(f"{title:66}" + "".join(f"{figure:>32}" for figure in ends.FIGURES))
    for row in rows:
        cells = (f"{row['truth'][one]:.3f}: {cell_text(row[one])}" for one in ends.FIGURES)
        print(f"{row['setting']:66}" + "".join(f"{cell:>32}" for cell in cells))
    print()


def cell_text(cell: Mapping[str, float]) -> str:
    return f"{cell['coverage']:.3f} +-{cell['error']:.3f} ({cell['width']:.3g})"


def main() -> None:
    chosen = options(__doc__)
    began = time.monotonic()
    repetitions, every = (QUICK, 1) if chosen.quick else (REPETITIONS, EVERY)
    with ProcessPoolExecutor(2) as pool:
        # The clustered ones take longest and stand last: they begin first, so that both processes end together.
        many = [pool.submit(measure, number, repetitions, every) for number in reversed(range(len(designs.settings())))]
        of_judges = [
            pool.submit(judged.measure, number, repetitions, every) for number in range(len(judged.settings()))
        ]
        places = [pool.submit(ends.measure, setting, repetitions) for setting in ends.settings()]
        hidden = [pool.submit(ends.measure, setting, repetitions) for setting in ends.hidden_finds()]
        rows = [one.result() for one in reversed(many)]
        judged_rows, end_rows, hidden_rows = ([one.result() for one in part] for part in (of_judges, places, hidden))
    if not chosen.json:
        show(rows)
        show_judged(judged_rows)
        show_ends(end_rows, "near 0 and near 1")
        show_ends(hidden_rows, "finds in a heavy stratum that the sample does not show (no goal)")
    summary = summary_of(rows, judged_rows, end_rows, hidden_rows)
    figures: dict[str, Any] = {
        "repetitions": repetitions,
        "repetitions of the other ways": repetitions // every,
        "seconds": round(time.monotonic() - began, 1),
        **summary,
    }
    if chosen.json:
        figures |= {"settings": rows, "judged": judged_rows, "ends": end_rows, "hidden_finds": hidden_rows}
    finish(figures, goals_of(summary), chosen)


if __name__ == "__main__":
    main()
