"""Verdicts that somebody else recorded, with what they are held against; part of recorded_judges.py.

Nothing here is gold that is not called so: each `Recorded` says in words what its judge is held against, and what
that can't tell. Texts are read where they lie and go no further than the cases in memory.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from readers import BREAKDOWN_LABELS, BREAKDOWN_TASK, read_dbdc3

from llmclf.calibration.session import LabelledCase, Session, SessionItem
from llmclf.types import RECORDED, Annotation, Case, Dataset, ErrorInfo, Judgment, Label, Rubric

PERSONS = 3
"""People of dbdc3 who are held against all others, the busiest first."""
LOW = 2
"""A turn scored so, or lower, of 5 is taken for a fault (td_eval)."""


@dataclass(frozen=True)
class Recorded:
    """One judge whose verdicts are on file."""

    data: str
    judge: str
    session: Session
    labelled: tuple[LabelledCase, ...]
    judgments: tuple[Judgment, ...]
    truth: str
    """Who said what it is held against, in a word: gold, people, model, program."""
    against: str
    """What it is held against."""
    not_told: str
    """What that does not tell."""
    others: Mapping[str, Sequence[Judgment]] = field(default_factory=dict)

    def pairs(self) -> list[tuple[str, str]]:
        """(truth, verdict) of every case that has both, as they are: for a count that shares no code with the card."""
        said = {one.case: one for one in self.judgments if not one.probe}
        known = [(one.truth, said[one.case.id]) for one in self.labelled if one.case.id in said]
        return [(truth, str(one.verdict)) for truth, one in known if truth is not None and one.counts]


# --- llmbar: which of two answers follows the instruction? --------------------------------------


def llmbar_rubric(name: str) -> Rubric:
    """The choice between two answers. Neither is what is looked for; `a` is the target so that rates have a side."""
    verdicts = (Label("a", "target", "The first answer is better."), Label("b", "clean", "The second is better."))
    return Rubric(name, "Which answer follows the instruction better?", verdicts, "binary", ("instruction", "a", "b"))


def llmbar_lines(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Judge to its verdicts as lines for `llmclf judge import`: pair, verdict of each order, reason.

    The files have mapped the winner of the turned order back to the answers as they are. A winner of null is a
    failed answer. Judges of strategy Rating score each answer alone; of equal scores the order decides.
    """
    lines: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((folder / "llmbar_natural" / "evaluators").glob("*/*/result.json")):
        name = f"llmbar_{path.parts[-3]}_{path.parts[-2]}".lower().replace("-", "_")
        lines[name] = []
        for number, pair in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            last = pair["results"][-1]  # earlier ones are auxiliary
            for key, probe in (("swap = False", ""), ("swap = True", "swapped")):
                verdict = {"1": "a", "2": "b", None: None}[last[key]["winner"]]
                reason = (last[key].get("completion") or [""])[0] or ""
                row = {"judge": name, "item": f"pair-{number}", "verdict": verdict, "reason": reason, "probe": probe}
                lines[name].append(row)
    return lines


def llmbar_labelled(folder: Path, rubric: Rubric) -> tuple[LabelledCase, ...]:
    """The 100 pairs with the authors' preference."""
    found = []
    pairs = json.loads((folder / "llmbar_natural" / "dataset.json").read_text(encoding="utf-8"))
    for number, pair in enumerate(pairs):
        shown = {"instruction": pair["input"], "a": pair["output_1"], "b": pair["output_2"]}
        said = Annotation("authors", rubric.name, "ab"[pair["label"] - 1])
        found.append(_labelled(Case(f"pair-{number}", shown=shown), said))
    return tuple(found)


def llmbar(
    folder: Path, imported: Callable[[Rubric, list[dict[str, Any]]], Sequence[Judgment]], most: int = 14
) -> Iterator[Recorded]:
    """Fourteen judges of 100 pairs; `imported` sends lines through the import and gives what the store then holds."""
    lines = dict(list(llmbar_lines(folder).items())[:most])
    read = {name: tuple(imported(llmbar_rubric(name), rows)) for name, rows in lines.items()}
    for name, judgments in read.items():
        rubric = llmbar_rubric(name)
        labelled = llmbar_labelled(folder, rubric)
        yield Recorded(
            "llmbar_natural",
            name,
            _session(rubric, labelled, "the authors"),
            labelled,
            judgments,
            "gold",
            "the authors' preference between two answers",
            "how many people agreed on it; what the order does to a Rating judge: it scores each answer alone, and "
            "what changes are its ties",
            {other: said for other, said in read.items() if other != name},
        )


# --- bullshit bench: three models grade the same answers ----------------------------------------


def bullshit(folder: Path) -> Iterator[Recorded]:
    """Three judges, each held against another one: there is no gold. Scores of failed calls are missing, not 0."""
    verdicts = (
        Label("0", "target", "Takes the nonsense for sense."),
        Label("1", "adjacent", "Pushes back in part."),
        Label("2", "clean", "Says that it is nonsense."),
    )
    path = folder / "bullshit_bench_v1" / "items_joined.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    said = {f"bullshit_judge_{k}": [_graded(row, k) for row in rows] for k in (1, 2, 3)}
    groups = {row["sample_id"]: row["question_id"] for row in rows}
    for name, reference in (("1", "2"), ("2", "1"), ("3", "1")):
        judge, other = f"bullshit_judge_{name}", f"bullshit_judge_{reference}"
        rubric = Rubric(judge, "Does the answer take nonsense for sense?", verdicts, "ordinal")
        labelled = tuple(
            _labelled(
                Case(one.case, group=groups[one.case]),
                *([Annotation(other, judge, one.verdict)] if one.verdict is not None else []),
            )
            for one in said[other]
        )
        yield Recorded(
            "bullshit_bench_v1",
            judge,
            _session(rubric, labelled, other),
            labelled,
            tuple(said[judge]),
            "model",
            "the scores of another model: judge 2 for judge 1, judge 1 for the others",
            "whether either is right, as no person scored these",
            {one: judgments for one, judgments in said.items() if one != judge},
        )


def _graded(row: Mapping[str, Any], k: int) -> Judgment:
    score, name = row[f"judge_{k}_score"], f"bullshit_judge_{k}"
    reason, model = row[f"judge_{k}_justification"] or "", row[f"judge_{k}_model"]
    if score is None:
        error = ErrorInfo("unparsable", "no score on file")
        return Judgment(row["sample_id"], name, RECORDED, reason=reason, error=error, model=model)
    return Judgment(row["sample_id"], name, RECORDED, str(score), reason, model=model)


# --- dices: a crowd of 123, and an expert -------------------------------------------------------


def dices(folder: Path) -> Iterator[Recorded]:
    """The expert against the crowd; and the expert as one who answers the question as it reads.

    The question asks whether the answer is safe; Yes in the data means that it is not.
    """
    crowd, expert = (
        json.loads((folder / "dices_350" / f"dices_350_{who}.json").read_text(encoding="utf-8"))["instances"]
        for who in ("crowdsourced", "expert")
    )
    verdicts = (
        Label("Yes", "target", "Not safe: what Yes means in the data."),
        Label("Unsure", "adjacent", "Can't be said."),
        Label("No", "clean", "Safe."),
    )
    answers = {str(one["id"]): one["annotations"]["safety"]["individual_human_scores"][0] for one in expert}
    turned = {"Yes": "No", "No": "Yes"}
    for name, said in (
        ("dices_expert", answers),
        ("dices_as_the_question_reads", {case: turned.get(answer, answer) for case, answer in answers.items()}),
    ):
        rubric = Rubric(name, "Is the response safe?", verdicts)
        labelled = tuple(
            _labelled(
                Case(str(one["id"])),
                *(
                    Annotation(f"rater_{place}", name, vote)
                    for place, vote in enumerate(one["annotations"]["safety"]["individual_human_scores"])
                ),
            )
            for one in crowd
        )
        yield Recorded(
            "dices_350",
            name,
            _session(rubric, labelled),
            labelled,
            tuple(Judgment(case, name, RECORDED, verdict) for case, verdict in said.items()),
            "people",
            "what more than half of 123 raters say",
            "whether the crowd or the expert is right; no model's answers are on file item by item",
        )


def dices_published(folder: Path) -> dict[str, str]:
    """How many published kappas of models are below 0, of the tables that stand beside the data."""
    found = {}
    for path in sorted((folder / "dices_350" / "judge_results").glob("*/*crowdsourced.json")):
        kappas = [one["safety"]["kappa_score"] for one in json.loads(path.read_text(encoding="utf-8")).values()]
        found[path.parent.name] = f"{sum(kappa < 0 for kappa in kappas)} of {len(kappas)} below 0"
    return found


# --- dbdc3: thirty people a turn, in two rounds -------------------------------------------------


def dbdc3(folder: Path, *, persons: int = PERSONS) -> Iterator[Recorded]:
    """The busiest people against the 29 others of the turn, and one round's vote against the other's."""
    now = read_dbdc3(folder, which="dbdc3_revised")
    busiest = Counter(one.annotator for example in now.examples for one in example.annotations)
    for number, (person, _) in enumerate(busiest.most_common(persons), 1):
        yield _one_of_thirty(now, person, f"dbdc3_person_{number}")
    then = read_dbdc3(folder, which="dbdc3")
    yield _round_against_round(then, now, "dbdc3_first_round", ("CIC", "YI"))
    yield _round_against_round(then, now, "dbdc3_first_round_copied", ("IRIS", "TKTK"))  # the very same votes


_ROUNDS = "turns without such a majority (left out, counted); the two rounds asked other people, perhaps in other words"


def people_of_dbdc3(folder: Path, *, least: int = 100) -> dict[str, Any]:
    """The human ceiling as people have it: kappa of each one with the majority of the 29 others, unweighted."""
    pairs: dict[str, Counter[tuple[str, str]]] = {}
    for example in read_dbdc3(folder, which="dbdc3_revised").examples:
        said = Counter(one.label for one in example.annotations)
        for one in example.annotations:
            others = said - Counter([one.label])
            label, votes = others.most_common(1)[0]
            if 2 * votes > others.total():
                pairs.setdefault(one.annotator, Counter())[label, one.label] += 1
    kappas = sorted(_kappa(counts) for counts in pairs.values() if counts.total() >= least)
    quarter, middle, last = (round(kappas[len(kappas) * place // 4], 3) for place in (1, 2, 3))
    return {"people": len(kappas), "kappa_lower_quartile": quarter, "median": middle, "upper_quartile": last}


def _kappa(counts: Counter[tuple[str, str]]) -> float:
    total = counts.total()
    rows, columns = Counter[str](), Counter[str]()
    for (row, column), count in counts.items():
        rows[row] += count
        columns[column] += count
    seen = sum(count for (row, column), count in counts.items() if row == column) / total
    by_chance = sum(count * columns[label] for label, count in rows.items()) / total**2
    return (seen - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


def _breakdown_rubric(name: str) -> Rubric:
    roles: Mapping[str, Any] = {"breakdown": "target", "possible_breakdown": "adjacent", "no_breakdown": "clean"}
    verdicts = tuple(
        Label(label, roles[label], label.replace("_", " ")) for label in reversed(BREAKDOWN_LABELS.values())
    )
    return Rubric(name, "Is it hard to go on after this turn?", verdicts, "ordinal", context="so_far")


def _one_of_thirty(dataset: Dataset, person: str, name: str) -> Recorded:
    rubric, labelled, judgments = _breakdown_rubric(name), [], []
    for example in dataset.examples:
        own = [one for one in example.annotations if one.annotator == person]
        if own:
            others = [replace(one, task=name) for one in example.annotations if one.annotator != person]
            case = _turn(example.conversation_id, example.turn, dataset)
            labelled.append(_labelled(case, *others))
            judgments.append(Judgment(case.id, name, RECORDED, own[0].label))
    return _of_people(name, rubric, labelled, judgments, {})


def _round_against_round(then: Dataset, now: Dataset, name: str, bots: Sequence[str]) -> Recorded:
    rubric, labelled, judgments, twins = _breakdown_rubric(name), [], [], []
    earlier = {(one.conversation_id, one.turn): one for one in then.examples}
    for example in now.examples:
        if example.conversation_id.split("-")[0] not in bots:
            continue
        case = _turn(example.conversation_id, example.turn, now)
        one = _labelled(case, *(replace(said, task=name) for said in example.annotations))
        labelled.append(one)
        votes = earlier[(example.conversation_id, example.turn)].labels[BREAKDOWN_TASK]
        judgments.append(Judgment(case.id, name, RECORDED, votes))
        twins.append(Judgment(case.id, "second_round", RECORDED, example.labels[BREAKDOWN_TASK]))
    return _of_people(name, rubric, labelled, judgments, {"second_round": twins})


def _of_people(
    name: str,
    rubric: Rubric,
    labelled: Sequence[LabelledCase],
    judgments: Sequence[Judgment],
    others: Mapping[str, Sequence[Judgment]],
) -> Recorded:
    """Somebody, or a round, against what the other people of dbdc3 say."""
    truth = "what more than half of the other people say of the turn"
    session = _session(rubric, labelled)
    return Recorded("dbdc3", name, session, tuple(labelled), tuple(judgments), "people", truth, _ROUNDS, others)


def _turn(conversation: str, turn: int | None, dataset: Dataset) -> Case:
    bot = dataset.conversations[conversation].metadata["bot"]
    return Case(f"{conversation}[{turn}]", conversation, turn, metadata={"bot": bot})


# --- td_eval: GPT-4o scores each turn of an agent -----------------------------------------------

CRITERIA = ("conv_consistency", "backend_consistency", "policy_completeness")


def td_eval(folder: Path) -> Iterator[Recorded]:
    """One judge with three criteria, each a judge here: is its lowest score of a conversation 2 of 5 or less?

    Held against the program's reward: was the task done? Runs that crashed have no truth; conversations that were
    never scored have failed.
    """
    base = folder / "td_eval_airline"
    runs = [_gz(path) for path in sorted((base / "judgements").glob("*/*_j.json.gz"))]
    for criterion in CRITERIA:
        name = f"td_eval_{criterion}"
        verdicts = (Label("low", "target", "A turn is scored 2 or less."), Label("fine", "clean", "None is."))
        rubric, labelled, judgments = Rubric(name, "Is a turn of the agent at fault?", verdicts, "binary"), [], []
        for run in runs:
            file = run["metadata"]["filename"].split("/")[-1]
            agent, tasks = file.split("-0.0_range")[0], _gz(base / "trajectories" / f"{file}.gz")
            for row, turns in run["dialogues"].items():
                task = tasks[int(row)]
                case = Case(f"{agent}-{row}", group=f"task-{task['task_id']}", metadata={"agent": agent})
                truth = "low" if task["reward"] < 1 else "fine"
                labelled.append(_labelled(case, *([Annotation("program", name, truth)] if task["traj"] else [])))
                judgments.append(_lowest(case.id, name, turns, criterion))
        yield Recorded(
            "td_eval_airline",
            name,
            _session(rubric, labelled, "the program"),
            tuple(labelled),
            tuple(judgments),
            "program",
            "the program's reward, which says whether the task failed",
            "whether a score is right: a polite turn may fail the task, a bad one may not; no person scored a turn",
        )


def _lowest(case: str, judge: str, turns: Sequence[Mapping[str, Any]], criterion: str) -> Judgment:
    if not turns:
        error = ErrorInfo("empty", "no turn was scored")
        return Judgment(case, judge, RECORDED, error=error, model="gpt-4o")
    scored = [(score_of(turn["scores"][criterion]["score"]), turn["scores"][criterion]) for turn in turns]
    low, worst = min(scored, key=lambda pair: pair[0])
    return Judgment(
        case, judge, RECORDED, "low" if low <= LOW else "fine", worst["justification"] or "", model="gpt-4o"
    )


def score_of(text: str) -> int:
    """The score of its spellings: `Score: 2`, `Score: 2 (Bad)`, `Score: Bad (2)`, `**Score: 5 (Very Good)**`.

    >>> [score_of(text) for text in ("Score: 2", "Score: Bad (2)", "**Score: 5 (Very Good)**")]
    [2, 2, 5]
    """
    digits = re.findall(r"[1-5]", text)
    if len(digits) != 1:
        raise ValueError(f"not one score of 1 to 5: {text!r}")
    return int(digits[0])


def _gz(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


# --- all of them --------------------------------------------------------------------------------


def _labelled(case: Case, *said: Annotation) -> LabelledCase:
    return LabelledCase(SessionItem(case, "test", inclusion_probability=1.0), said)


def _session(rubric: Rubric, labelled: Sequence[LabelledCase], reference: str = "people") -> Session:
    """Everything that was recorded is labelled, and held out: nobody tuned these judges by it here."""
    people = dict.fromkeys(one.annotator for case in labelled for one in case.annotations)
    most = max((len(case.annotations) for case in labelled), default=1)
    items = tuple(case.item for case in labelled)
    session = Session(rubric.name, "judge", rubric, "random", items, tuple(people), per_item=most, fingerprint=RECORDED)
    return replace(session, reference=reference)
