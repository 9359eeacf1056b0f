"""Report cards of real judges whose verdicts are on file, in one table: no key, no call, no dollar.

    python benchmarks/recorded_judges.py [--cards FOLDER] [--json] [--quick] [--data FOLDER]

Fourteen judges of llmbar (both orders, sent through `llmclf judge import` first), three of BullshitBench (the third
mostly a copy), people of dbdc3 against each other and round against round, the expert of DICES (and one who answers
as the question reads), and GPT-4o's three scores of td_eval. `--cards` writes a page of each. Every kappa is counted
again by scikit-learn and by a plain loop. The data is third party's and no part of llmclf; without it there is
nothing to show.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from common import Goal, finish
from readers import data_folder
from recorded_sets import Recorded, bullshit, dbdc3, dices, dices_published, llmbar, people_of_dbdc3, td_eval

import llmclf
from llmclf.calibration.card import calibrate
from llmclf.calibration.flags import flags_of
from llmclf.calibration.result import Calibration
from llmclf.render.rates import rate_text
from llmclf.render.tables import TableText, rich_table
from llmclf.types import Estimate, Judgment, Rubric

CLOSE = 1e-9
PAIRS_TURNED, PAIRS = 427, 1400
"""Pairs of llmbar whose verdict changes with the order, of those that were judged in both (README of the data)."""
_ORDER = {"position", "unstable"}
"""Flags of verdicts that change with the order: a place is preferred; or it may be chance, as nobody asked again."""


def main() -> None:
    """Prints the table, or one document with --json."""
    chosen = _options()
    folder = data_folder(chosen.data)
    with tempfile.TemporaryDirectory() as place:
        recorded = list(_recorded(folder, Path(place), quick=chosen.quick))
    cards = [(one, _card(one)) for one in recorded]
    if chosen.cards:
        _write_pages(cards, chosen.cards)
    figures = {
        "judges": [_row(one, card) for one, card in cards],
        "dices_published_kappas_of_models": dices_published(folder),
        "llmbar_turned": _turned(recorded),
        "llmbar_judges_that_prefer_a_place": sum(any(f.kind == "position" for f in card.flags) for _, card in cards),
        "dbdc3_one_person_against_the_others": {} if chosen.quick else people_of_dbdc3(folder),
    }
    if not chosen.json:
        from rich.console import Console

        Console(width=80).print(rich_table(_table(cards)))
        figures = {name: figure for name, figure in figures.items() if name != "judges"}
    finish(figures, _goals(cards, quick=chosen.quick), chosen)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures mean little")
    parser.add_argument("--cards", type=Path, help="folder for a page of each judge")
    parser.add_argument("--data", help="folder of the public sets")
    return parser.parse_args()


def _recorded(folder: Path, workspace: Path, *, quick: bool) -> Iterator[Recorded]:
    """Every judge; of a smoke run a part of them."""
    with llmclf.Runtime(store=workspace / "llmclf.db", workspace=workspace) as runtime:

        def imported(rubric: Rubric, lines: Sequence[dict[str, Any]]) -> Sequence[Judgment]:
            return _imported(rubric, lines, runtime)

        pairs = list(llmbar(folder, imported, 3 if quick else 14))
    few = islice(td_eval(folder), 1)
    yield from chain(pairs, bullshit(folder), dices(folder), few if quick else chain(dbdc3(folder), td_eval(folder)))


def _card(one: Recorded) -> Calibration:
    flags = flags_of(one.labelled, one.judgments, one.session.rubric, others=one.others)
    return calibrate(one.session, one.labelled, one.judgments, judge=one.judge, flags=flags)


# --- what is shown ------------------------------------------------------------------------------


def _row(one: Recorded, card: Calibration) -> dict[str, Any]:
    flags = [{"kind": flag.kind, "sentence": flag.sentence, "grave": flag.grave} for flag in card.flags]
    rates = {name: getattr(card.rates, name) for name in ("sensitivity", "specificity", "positive_agreement")}
    figures = {**rates, "kappa": card.kappa, "alpha": card.alpha, "ac1": card.ac1, "observed": card.observed}
    return {
        "data": one.data,
        "judge": one.judge,
        "state": _state(one, card),
        "why": card.why,
        "cases": len(one.pairs()),
        "truth": one.truth,
        "against": one.against,
        "not_told": one.not_told,
        **{name: _short(figure) for name, figure in figures.items()},
        "flags": flags,
    }


def _short(figure: Estimate) -> list[float | None]:
    return [None if end is None else round(end, 4) for end in (figure.value, figure.low, figure.high)]


def _table(cards: Sequence[tuple[Recorded, Calibration]]) -> TableText:
    rows, notes = [], []
    for one, card in cards:
        rates = (card.rates.sensitivity, card.rates.specificity, card.rates.positive_agreement)
        figures = [_cell(figure) for figure in (*rates, card.kappa)]
        rows.append((one.judge, one.truth, str(len(one.pairs())), *figures, _state(one, card)))
        notes += [
            f"{one.judge}: {flag.kind.upper() if flag.grave else flag.kind}: {flag.sentence}" for flag in card.flags
        ]
    for data in dict.fromkeys((one.data, one.truth, one.against, one.not_told) for one, _ in cards):
        notes.append("{} is held against ({}) {}. Not told by it: {}.".format(*data))
    notes.append("calibrated?: held against a model, or against what may be copies: that two agree, and no more")
    columns = ("judge", "truth", "cases", "sens", "spec", "pos", "kappa", "state")
    return TableText("Judges on file", columns, tuple(rows), tuple(notes), right=(2, 3, 4, 5, 6))


def _state(one: Recorded, card: Calibration) -> str:
    doubted = one.truth == "model" or any(flag.kind == "copied" for flag in card.flags)
    return card.state.replace("_", " ") + "?" * (doubted and card.state == "calibrated")


def _cell(figure: Estimate) -> str:
    return "?" if figure.value is None else rate_text(figure.value) if figure.value >= 0 else f"{figure.value:.2f}"


def _write_pages(cards: Sequence[tuple[Recorded, Calibration]], folder: Path) -> None:
    from llmclf.calibration.report_page import card_page

    folder.mkdir(parents=True, exist_ok=True)
    for one, card in cards:
        (folder / f"{one.judge}.html").write_text(card_page(card), encoding="utf-8")
    print(f"{len(cards)} pages: {folder}", file=sys.stderr)


# --- goals --------------------------------------------------------------------------------------


def _goals(cards: Sequence[tuple[Recorded, Calibration]], *, quick: bool) -> list[Goal]:
    by_name = {one.judge: card for one, card in cards}
    kinds = {name: {flag.kind for flag in card.flags} for name, card in by_name.items()}
    as_he_is = float("inverted" in kinds["dices_expert"])
    copied = [flag for flag in by_name["bullshit_judge_3"].flags if flag.kind == "copied" and flag.grave]
    without = [flag.figures["kappa_without_copies"].is_known for flag in copied]
    inverted = [flag for flag in by_name["dices_as_the_question_reads"].flags if flag.kind == "inverted"]
    flipped = [flag.figures["kappa_flipped"] for flag in inverted]
    nulls = [one.judge for one, _ in cards if _has_nulls(one)]
    turned = _turned([one for one, _ in cards])["changed"]
    worst = max(_apart(one, card) for one, card in cards)
    odd = sum(not_plain(card.to_dict()) for _, card in cards)
    goals = [
        Goal("copied third judge flagged, with kappa without the copies", "1", len(without), without == [True]),
        Goal("votes found to be copies", "388", _copies(copied), _copies(copied) == 388),
        Goal("judges with missing verdicts that are flagged", "all", *_all_in(nulls, kinds, {"missing"})),
        Goal("inverted judge flagged, kappa after flipping above 0", "1", len(flipped), _above_zero(flipped)),
        Goal("expert as he is, flagged as inverted", "0", as_he_is, not as_he_is),
        Goal("kappa against scikit-learn and a plain loop, farthest apart", f"<= {CLOSE:g}", worst, worst <= CLOSE),
        Goal("figures in the cards' JSON that are no numbers", "0", odd, odd == 0),
    ]  # fmt: skip
    if not quick:
        goals.append(Goal("pairs whose verdict the order changes", f"{PAIRS_TURNED}", turned, turned == PAIRS_TURNED))
        swayed = [one.judge for one, _ in cards if _is_swayed(one)]
        goals.append(
            Goal("judges with more than 5 % surely turned that are flagged", "all", *_all_in(swayed, kinds, _ORDER))
        )
    return goals


def _all_in(names: Sequence[str], kinds: dict[str, set[str]], wanted: set[str]) -> tuple[float, bool]:
    """(how many of these judges have a flag of one of these kinds, whether all do)."""
    found = sum(not wanted.isdisjoint(kinds[name]) for name in names)
    return found, bool(names) and found == len(names)


def _above_zero(flipped: Sequence[Estimate]) -> bool:
    return bool(flipped) and all(kappa.low is not None and kappa.low > 0 for kappa in flipped)


def _copies(flags: Sequence[Any]) -> int:
    """The number of copied verdicts as the sentence has it."""
    return sum(int(flag.sentence.split()[0]) for flag in flags)


def _has_nulls(one: Recorded) -> bool:
    return any(said.verdict is None and not said.probe for said in one.judgments)


def _turned(recorded: Sequence[Recorded]) -> dict[str, int]:
    """Of the pairs that were judged in both orders: how many verdicts differ. Counted on its own."""
    changed = total = 0
    for one in recorded:
        if one.data == "llmbar_natural":
            differs = _differs(one)
            changed, total = changed + sum(differs), total + len(differs)
    return {"changed": changed, "answered_in_both_orders": total}


def _differs(one: Recorded) -> list[bool]:
    orders: tuple[dict[str, str | None], dict[str, str | None]] = ({}, {})
    for said in one.judgments:
        orders[said.probe == "swapped"][said.case] = said.verdict
    plain, turned = orders
    both = [case for case in plain if plain[case] and turned.get(case)]
    return [plain[case] != turned[case] for case in both]


def _is_swayed(one: Recorded) -> bool:
    from llmclf.stats import wilson

    differs = _differs(one)
    return bool(differs) and (wilson(sum(differs), len(differs)).low or 0) > 0.05


def _apart(one: Recorded, card: Calibration) -> float:
    """How far the card's kappa is from two counts that share no code with it; 0 where all say that there is none."""
    from sklearn.metrics import cohen_kappa_score

    truths, verdicts = zip(*one.pairs(), strict=True)
    ordinal = one.session.rubric.scale == "ordinal"
    names = [verdict.name for verdict in one.session.rubric.verdicts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = cohen_kappa_score(truths, verdicts, labels=names, weights="quadratic" if ordinal else None)
    ours = kappa_by_hand(truths, verdicts, names, ordinal)
    if card.kappa.value is None:
        return 0.0 if math.isnan(theirs) and ours is None else math.inf
    return max(abs(card.kappa.value - other) for other in (theirs, math.inf if ours is None else ours))


def kappa_by_hand(truths: Sequence[str], verdicts: Sequence[str], names: Sequence[str], ordinal: bool) -> float | None:
    rows, columns, cells = Counter(truths), Counter(verdicts), Counter(zip(truths, verdicts, strict=True))
    seen = by_chance = 0.0
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            weight = (i - j) ** 2 if ordinal else float(i != j)
            seen += weight * cells[one, other] / len(truths)
            by_chance += weight * rows[one] * columns[other] / len(truths) ** 2
    return 1 - seen / by_chance if by_chance else None


def not_plain(found: Any) -> int:
    """Numbers in JSON types that JSON does not have: NaN, infinities."""
    if isinstance(found, dict):
        return sum(not_plain(value) for value in found.values())
    if isinstance(found, list | tuple):
        return sum(not_plain(value) for value in found)
    return int(isinstance(found, float) and not math.isfinite(found))


# --- the import ---------------------------------------------------------------------------------


def _imported(rubric: Rubric, lines: Sequence[dict[str, Any]], runtime: llmclf.Runtime) -> Sequence[Judgment]:
    """The lines as a file, taken in as `llmclf judge import` does, and what the store then holds of the judge."""
    from llmclf.workspace.judging import import_recorded

    workspace = runtime.workspace or Path()
    judge, path = workspace / "judges" / f"{rubric.name}.toml", workspace / f"{rubric.name}.jsonl"
    judge.parent.mkdir(exist_ok=True)
    verdicts = "".join(
        f'[verdicts.{one.name}]\nrole = "{one.role}"\ndefinition = "{one.definition}"\n' for one in rubric.verdicts
    )
    head = f'version = 1\nkind = "recorded"\nquestion = "{rubric.question}"\nscale = "{rubric.scale}"\n'
    judge.write_text(f"{head}sees = {json.dumps(rubric.sees)}\n{verdicts}", encoding="utf-8")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    import_recorded(rubric.name, path, runtime=runtime)
    found: Sequence[Judgment] = runtime.store.judgments(rubric.name)
    return found


if __name__ == "__main__":
    main()
