"""Keyword and probe on airline conversations of thirteen agents, at the sampling design's prevalence.

python benchmarks/td_eval_probe.py [--json] [--quick]

Cross-validated in three ways: with neither task nor agent on both sides, with the task alone left out, and with the
agent alone left out, where tasks, which recur across agents, leak. 383 of 618 conversations carry silver labels;
rates are weighted back to all 618, and dollars are at the prevalence so found. Runs that crashed hold no turn: they
are labelled nowhere, and `crashed` counts them. Where a fold has too few targets to learn from, its items are
failed, and a failed target counts as missed. Five refusals can't give a recall figure, nor teach a probe: the
keyword's row has an upper bound only, and the probe's rows none. Needs the public data (readers.py says where from).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common import Goal, finish, options
from readers import TRANSFER_TOOL, data_folder, read_td_eval_airline, yes_no_task

from llmclf.classifiers.keyword import KeywordClassifier, KeywordRule
from llmclf.classifiers.loading import load_classifier
from llmclf.classifiers.probe import ProbeClassifier
from llmclf.evaluation import Evaluation, cross_predict, evaluate
from llmclf.types import Costs, Dataset, Estimate, Task

QUESTIONS = {
    "request": "Does the customer ask for, or accept, a person?",
    "failed_transfer_attempt": "Did the assistant try to transfer the customer, and the transfer never ran?",
    "refusal_to_transfer": "Did the customer ask for a person, and was not handed over to one?",
}
HELD_OUT = {"task and agent": ("task", "agent"), "task alone": ("task",), "agent alone (leaks)": ("agent",)}
SHOWN = ("recall", "precision", "specificity", "pr_auc", "roc_auc", "dollars_per_1000")
SEED = 0
LAST = "refusal_to_transfer | keyword | learns nothing"


def keyword(task: Task) -> KeywordClassifier:
    """The packaged patterns for asking for a person; a transfer call that reached the customer as text."""
    packaged = load_classifier("refusal_keyword")
    assert isinstance(packaged, KeywordClassifier)
    refusal = next(rule for rule in packaged.rules if rule.label == "refusal_to_transfer")
    rules = {
        "request": replace(refusal, label="request", unless_event=(), unless_bot=()),
        "failed_transfer_attempt": KeywordRule("failed_transfer_attempt", bot=(TRANSFER_TOOL,)),
        "refusal_to_transfer": refusal,
    }
    return KeywordClassifier(task, [rules[task.name]])


def probe(task: Task, costs: Costs) -> ProbeClassifier:
    """Flags where a review and a false alarm cost less than a miss would, at the score's own prevalence."""
    flagging = costs.review_usd + costs.false_alarm_usd
    return ProbeClassifier(task, threshold=flagging / (costs.missed_usd + costs.false_alarm_usd))


def row(evaluation: Evaluation) -> dict[str, Any]:
    """What the table shows of an evaluation."""
    return {name: getattr(evaluation, name) for name in SHOWN} | {
        "prevalence": evaluation.prevalence,
        "positives": evaluation.n_positives,
        "failed": sum(evaluation.failed.values()),
        "failed positives": evaluation.failed_positives,
    }


def measure(dataset: Dataset, k: int) -> dict[str, dict[str, Any]]:
    """One row for each target and classifier, and for the probe one for each way of holding out."""
    rows: dict[str, dict[str, Any]] = {}
    items = [example.item for example in dataset.examples]
    for name, question in QUESTIONS.items():
        task = yes_no_task(name, question)
        found = {f"{name} | keyword | learns nothing": keyword(task).predict(dataset.conversations, items)}
        costs = Costs(prevalence=weighted_prevalence(dataset, task))
        for held_out, by in reversed(HELD_OUT.items()):
            found[f"{name} | probe | {held_out}"] = cross_predict(
                lambda task=task, costs=costs: probe(task, costs), dataset, task, by=by, k=k, seed=SEED
            )
        rows |= {key: row(evaluate(predictions, dataset, task, costs=costs)) for key, predictions in found.items()}
    return rows


def weighted_prevalence(dataset: Dataset, task: Task) -> float:
    """Share of the target among all answered conversations, by the sampling design."""
    labelled = [(example.labels[task.name] == task.target, example.weight) for example in dataset.examples]
    return sum(weight for is_target, weight in labelled if is_target) / sum(weight for _, weight in labelled)


def positives_by_agent(dataset: Dataset) -> dict[str, dict[str, int]]:
    """How the targets lie among agents: where one holds most of them, holding it out leaves little to learn."""
    found = {}
    for name in QUESTIONS:
        agents = [
            str(dataset.conversation(example).metadata["agent"])
            for example in dataset.examples
            if example.labels[name] == name
        ]
        found[name] = dict(Counter(agents).most_common(3))
    return found


def goals(rows: Mapping[str, Mapping[str, Any]]) -> list[Goal]:
    """Not how good it is, but that what can't be known is not printed as known."""
    last = rows[LAST]["recall"]
    crashed_counted = all(
        figures["failed"] < 383 or figures["recall"].value in (None, 0.0) for figures in rows.values()
    )
    request = rows["request | probe | task and agent"]["roc_auc"]
    shelf = rows["request | keyword | learns nothing"]["roc_auc"]
    return [
        Goal("no recall value is printed for five positives", "0 values", float(last.is_known), not last.is_known),
        Goal(
            "five positives give an upper bound alone",
            "recall and dollars",
            float(sum(rows[LAST][key].is_upper_bound_only for key in ("recall", "dollars_per_1000"))),
            all(rows[LAST][key].is_upper_bound_only for key in ("recall", "dollars_per_1000")),
        ),
        Goal("items that could not be learned are never negatives", "1", float(crashed_counted), crashed_counted),
        Goal(
            "request, ROC area of the probe beyond the keyword",
            "> 0",
            request.value - shelf.value,
            request.value > shelf.value,
        ),
    ]


def table(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """The rows as text; where there is no figure the upper end of its interval, and why under the table."""
    print(
        f"{'target | classifier | held out':54} pos fail  {'recall':17} {'precision':17} {'PR area':17} "
        f"{'ROC area':17} $ per 1,000"
    )
    for name, figures in rows.items():
        cells = [f"{cell(figures[key]):17}" for key in ("recall", "precision", "pr_auc", "roc_auc")]
        usd = cell(figures["dollars_per_1000"], ",.0f", "$")
        print(f"{name:54} {figures['positives']:3} {figures['failed']:4}  {' '.join(cells)} {usd}")
    print(f"\n{LAST}, recall: {rows[LAST]['recall']}")
    for name, figures in rows.items():
        if figures["failed"]:
            print(f"{name}: {figures['failed']} items ({figures['failed positives']} targets) could not be learned for")
    print()


def cell(estimate: Estimate, spec: str = ".2f", unit: str = "") -> str:
    """Value and interval; an upper bound alone; or a dash."""
    if estimate.is_known:
        return estimate.format(spec, unit)
    return f"<= {unit}{estimate.high:{spec}}" if estimate.is_upper_bound_only else "-"


def main() -> None:
    chosen = options(__doc__)
    dataset = read_td_eval_airline(data_folder())
    rows = measure(dataset, k=2 if chosen.quick else 5)
    prevalence = {name: rows[f"{name} | keyword | learns nothing"]["prevalence"] for name in QUESTIONS}
    if chosen.json:
        plain = {
            name: {k: v.to_dict() if hasattr(v, "to_dict") else v for k, v in r.items()} for name, r in rows.items()
        }
        figures: dict[str, Any] = {"rows": plain, "prevalence": {n: e.to_dict() for n, e in prevalence.items()}}
    else:
        table(rows)
        figures = {f"prevalence of {name}": estimate.format(".2%") for name, estimate in prevalence.items()}
    figures["crashed runs, in no figure"] = sum(one.is_empty for one in dataset.conversations.values())
    figures["positives by agent, the three with most"] = positives_by_agent(dataset)
    finish(figures, goals(rows), chosen)


if __name__ == "__main__":
    main()
