"""The report card of a judge: how well it agrees with people on held-out cases, and whether that is enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from llmclf.calibration.compared import Compared, compare
from llmclf.calibration.corrected import corrected, pool_of
from llmclf.calibration.disagreements import disagreements_of
from llmclf.calibration.figures import agreement_of, baseline_of, confusion_table, judge_rates, worst_case
from llmclf.calibration.flag import Flag
from llmclf.calibration.needs import needs_of
from llmclf.calibration.next_step import next_step
from llmclf.calibration.parted import slices_of
from llmclf.calibration.people import ceiling_of, names_of
from llmclf.calibration.projected import in_pool
from llmclf.calibration.result import Calibration
from llmclf.calibration.session import LabelledCase, Session, Split
from llmclf.calibration.soft import disagreements_by_pair
from llmclf.calibration.spent import spent_on
from llmclf.calibration.verdict import Standing, Verdict, decide
from llmclf.errors import DataError
from llmclf.judges.status import short_of
from llmclf.stats.agreement import Agreement
from llmclf.types import Bar, Estimate, Judgment

__all__ = ["Calibration", "calibrate"]


def calibrate(
    session: Session,
    labelled: Sequence[LabelledCase],
    judgments: Sequence[Judgment],
    *,
    judge: str = "",
    bar: Bar = Bar(),
    judged: Mapping[str, int] | None = None,
    split: Split = "test",
    looks: int = 0,
    flags: Sequence[Flag] = (),
    reviewer_usd_per_hour: float = 48.0,
    seed: int = 0,
) -> Calibration:
    """The report card of one judge on the `split` of a session; of the people alone where there are no judgments.

    `judgments` are of one fingerprint; probes and repeats are not scored, only paid for. `judged` says how many cases
    of the whole pool got each of this judge's verdicts (`(failed)` for those without one); by default a session that
    this judge began knows it. `looks` counts how often this split was looked at with this judge, this time included;
    `flags` are what `flags_of` found, `reviewer_usd_per_hour` is what an hour of a person costs.

    Raises ConfigError for the practice split, which is never scored; DataError where judgments have several
    fingerprints, or labels and verdicts are not in the rubric's closed set.
    """
    fingerprint = _fingerprint(session, judgments)
    compared = compare(session, labelled, judgments, split)
    pool = pool_of(session, judged, next((one.judge for one in judgments), ""), fingerprint)
    correction = corrected(compared, pool, seed=seed)
    in_set = judge_rates(compared, seed=seed)
    rates = in_pool(in_set, compared, pool, correction.share, seed=seed)
    worst = worst_case(compared, seed=seed) if judgments else None
    if worst is not None:
        worst = in_pool(worst, compared, pool, correction.share, worst=True, seed=seed)
    agreement = agreement_of(compared, seed=seed) or _no_agreement(rates.sensitivity.why_not)
    names = names_of(session, labelled)
    said = any(one.annotations or one.adjudication for one in compared.held)
    standing = Standing(compared.counts, worst, compared.by_class, looks, split, said)
    verdict = decide(rates, bar, flags, standing) if judgments else _people_alone(compared)
    ask = verdict.act == "more" and split == "test"
    needs = needs_of(compared, bar, pool=pool, seed=seed) if ask else None
    waits, judge = _waits_for(compared, names), judge or next((one.judge for one in judgments), "")
    return Calibration(
        judge=judge,
        fingerprint=fingerprint,
        session=session.id,
        rubric=session.rubric,
        design=session.design,
        split=split,
        guidelines=_guidelines(compared),
        state=verdict.state,
        why=verdict.why,
        next_step=next_step(verdict, compared, judge=judge, waits=waits, needs=needs),
        bar=bar,
        counts=compared.counts,
        confusion=confusion_table(compared),
        rates=rates,
        in_set=in_set.positive_agreement,
        kappa=agreement.kappa,
        alpha=agreement.alpha,
        ac1=agreement.ac1,
        observed=agreement.observed,
        enriched=session.design != "random",
        by_class=compared.by_class,
        contradicted=compared.contradicted,
        reference=session.reference,
        waits_for=waits,
        agreed_alone=_agreed_alone(compared),
        worst_case=worst,
        silent_share=compared.silent_share,
        majority=baseline_of(compared),
        ceiling=ceiling_of(compared, names, seed=seed),
        slices=slices_of(compared, seed=seed),
        disagreements=disagreements_of(compared, names),
        labels=_labels(compared, names),
        truths=_truths(compared),
        people_differ=disagreements_by_pair(compared.held, session.rubric),
        correction=correction,
        spent=spent_on(labelled, judgments, reviewer_usd_per_hour),
        flags=tuple(flags),
        looks=looks,
        needs=needs,
        simulated=any(one.simulated for one in judgments),
    )


def _fingerprint(session: Session, judgments: Sequence[Judgment]) -> str:
    found = sorted({one.fingerprint for one in judgments})
    if len(found) > 1:
        raise DataError(
            "a calibration belongs to one fingerprint, and these judgments have several",
            where=session.name,
            got=", ".join(short_of(one) for one in found),
            fix="give the judgments of one",
        )
    return found[0] if found else ""


def _people_alone(compared: Compared) -> Verdict:
    """There is nobody to judge: what people's labels have come to."""
    counts = compared.counts
    if not any(one.annotations or one.adjudication for one in compared.held):
        label = f": llmclf calibrate label {compared.session.id}" if compared.session.reference == "people" else ""
        return Verdict("people", f"No case is labelled yet{label}")
    if not counts.labelled:
        return Verdict("people", "No case of this split has a label that counts yet.")
    labelled = f"{counts.labelled:,} of {counts.cases:,} cases have a label that counts"
    return Verdict("people", f"People's labels: {labelled}, {counts.positives:,} of them positive.")


def _waits_for(compared: Compared, names: Mapping[str, str]) -> dict[str, int]:
    """Person, as reports call them, to cases that wait for that person."""
    waits: Counter[str] = Counter()
    for one in compared.held:
        waits.update(names.get(name, "somebody else") for name in one.to_label)
        if one.to_decide:
            waits[names.get(compared.session.adjudicator, "the adjudicator")] += 1
    return dict(waits)


def _labels(compared: Compared, names: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Person to verdict, in the rubric's order, to first labels of the split."""
    said = Counter((label.annotator, label.label) for one in compared.held for label in one.annotations)
    people = {name for name, _ in said}
    return {
        shown: {verdict: said[name, verdict] for verdict in compared.rubric.names}
        for name, shown in names.items()
        if name in people
    }


def _truths(compared: Compared) -> dict[str, int]:
    counts = Counter(compared.truth.tolist())
    return {verdict: counts[place] for place, verdict in enumerate(compared.rubric.names)}


def _agreed_alone(compared: Compared) -> bool:
    """True where most truths are what all annotators of the case said, and nobody looked at these again."""
    return compared.counts.agreed > compared.counts.labelled / 2


def _no_agreement(why: str) -> Agreement:
    nothing = Estimate.unknown(why, n_positives=0)
    return Agreement(0, 0, *[nothing] * 6)


def _guidelines(compared: Compared) -> tuple[str, ...]:
    said = [label for one in compared.cases for label in one.annotations]
    return tuple(dict.fromkeys(label.guideline for label in said if label.guideline))
