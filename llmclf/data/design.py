"""What becomes of a design when a part of the examples is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from llmclf.types import Dataset, Design, Example


def thinned(
    examples: Sequence[Example], kept: Sequence[int], design: Design, note: str
) -> tuple[tuple[Example, ...], Design]:
    """(the examples at `kept`, the design of them): a random part of each stratum stands for all of it.

    Inclusion probabilities and sampled sizes shrink by the share that was kept; populations stay.
    So rates estimated from the part are rates of the same population. A design that knows no
    prevalence only gets the note. A stratum of which nothing is kept is named in the note.
    """
    note = "; ".join(text.rstrip(".") for text in (design.note, note) if text)
    if not design.knows_prevalence:
        return tuple(examples[index] for index in kept), replace(design, note=note)
    before = Counter(_stratum(example, design) for example in examples)
    after = Counter(_stratum(examples[index], design) for index in kept)
    share = {name: after[name] / count for name, count in before.items()}
    strata = tuple(
        replace(stratum, sampled=round(stratum.sampled * share.get(stratum.name, 1.0))) for stratum in design.strata
    )
    lost = [stratum.name for stratum in design.strata if stratum.population and not after[stratum.name]]
    if lost:
        note += f"; holds nothing of {', '.join(lost)}, so no rate of the whole population can be known from it"
    return (
        tuple(_scaled(examples[index], share[_stratum(examples[index], design)]) for index in kept),
        replace(design, strata=strata, note=note),
    )


def part_of(dataset: Dataset, kept: Iterable[int], note: str, name: str = "") -> Dataset:
    """The examples at `kept`, in the order of the dataset, as a dataset whose design fits them."""
    indices = sorted(kept)
    examples, design = thinned(dataset.examples, indices, dataset.design, note)
    return replace(dataset.pick(indices), name=name or dataset.name, examples=examples, design=design)


def design_toml(design: Design) -> str:
    """The design as the `[design]` part of a dataset file."""
    lines = ["[design]", f"kind = {json.dumps(design.kind)}"]
    if design.note:
        lines.append(f"note = {json.dumps(design.note)}")
    for stratum in design.strata:
        lines += ["", "[[design.strata]]", f"name = {json.dumps(stratum.name)}"]
        lines += [f"population = {stratum.population}", f"sampled = {stratum.sampled}"]
    return "\n".join(lines) + "\n"


def _stratum(example: Example, design: Design) -> str:
    return example.stratum if design.kind == "stratified" else ""


def _scaled(example: Example, share: float) -> Example:
    if example.inclusion_probability is None:
        return example
    return replace(example, inclusion_probability=example.inclusion_probability * share)
