"""The world of `prompted_vendor.py`: conversations with labels, workspaces, and what a prompt truly costs in it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import prompted_vendor as vendor
from prompted_vendor import ADJACENT, CLEAN, TARGET, Reading, Truth

from llmclf.classifiers.wording import fixed_values
from llmclf.config import load_task
from llmclf.data.write import write_conversations, write_examples
from llmclf.render import Prompt
from llmclf.types import Conversation, Costs, Example, Turn

COSTS = Costs(prevalence=0.005)
MIX = {TARGET: COSTS.prevalence, **dict.fromkeys(ADJACENT, 0.02), CLEAN: 1 - COSTS.prevalence - 0.02 * len(ADJACENT)}
"""Shares of the labels in production."""
LABELLED = {TARGET: 400, **dict.fromkeys(ADJACENT, 40), CLEAN: 360}
"""Labelled items of each label: rich in targets, as labelled sets are, and weighed back by the design."""
BORDERLINE = 0.4
"""Share of the targets that are borderline."""
POPULATION = 1_000_000
PARENT = """=== system ===
You read a conversation between a customer and an automated service, and answer one question about it.
{{question}}
{{label_names}}
{{answer_format}}
{{examples}}
=== user ===
<conversation>
{{conversation}}
</conversation>
{{item}}
"""
SAID = {
    TARGET: ("i want to talk to a person", "i am all you have here"),
    "transfer_done": ("i want to talk to a person", "a colleague is with you now"),
    "frustration_without_request": ("this is a disgrace", "i am sorry to hear it"),
    "policy_denial": ("give me the money back", "that is against our rules"),
    "outage": ("nothing works today", "our system is down"),
    "confusion": ("no i mean the other one", "which other one do you mean"),
    "past_or_third_party_request": ("last year a person helped me", "how can i help today"),
    CLEAN: ("where is my parcel", "it comes on monday"),
}
_MODELS = """version = 1
[models."vendor/task"]
route = "http"
api_base = "{url}"
model = "task"
key_env = "VENDOR_KEY"
json_schema = true
price = {{ input_usd_per_million = 1.0, output_usd_per_million = 4.0 }}
[models."vendor/reflection"]
route = "http"
api_base = "{url}"
model = "reflection"
key_env = "VENDOR_KEY"
json_schema = true
price = {{ input_usd_per_million = 1.0, output_usd_per_million = 4.0 }}
"""
_CLASSIFIER = """version = 1
kind = "llm"
task = "refusal_to_transfer"
model = "vendor/task"
prompt = "asked"
answer = "explained"
max_output_tokens = 300
"""


class World:
    """The labelled items of one seed; the same seed, the same world."""

    def __init__(self, seed: int, share: float = 1.0) -> None:
        draw = random.Random(seed)
        self.seed = seed
        self.conversations: list[Conversation] = []
        self.examples: list[Example] = []
        self.truths: dict[str, Truth] = {}
        self.sampled = {label: max(8, round(count * share)) for label, count in LABELLED.items()}
        for label, count in self.sampled.items():
            for number in range(count):
                self._add(f"{label}-{number:03}", label, draw)

    def _add(self, name: str, label: str, draw: random.Random) -> None:
        reference = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=12))
        asked, replied = SAID[label]
        turns = (Turn("user", f"about {reference}, {asked} {_filler(draw)}"), Turn("bot", f"{replied} {_filler(draw)}"))
        self.conversations.append(Conversation(name, turns))
        self.examples.append(
            Example(
                name,
                labels={"refusal_to_transfer": label},
                stratum=label,
                inclusion_probability=self.sampled[label] / (MIX[label] * POPULATION),
            )
        )
        borderline = draw.random() < BORDERLINE
        self.truths[reference] = Truth(label, borderline and label == TARGET, draw.random(), draw.random())

    def write(self, folder: Path, url: str, optimization: str) -> None:
        """A workspace with this world's items as a dataset, and `optimization` as its file `run`."""
        strata = "".join(
            f'[[design.strata]]\nname = "{label}"\npopulation = {round(MIX[label] * POPULATION)}\nsampled = {count}\n'
            for label, count in self.sampled.items()
        )
        dataset = 'version = 1\nconversations = "c.jsonl"\nlabels = "l.jsonl"\n[design]\nkind = "stratified"\n' + strata
        for name, text in {
            "llmclf.toml": "version = 1\n",
            "configs/models.toml": _MODELS.format(url=url),
            "configs/classifiers/asked.toml": _CLASSIFIER,
            "configs/optimizations/run.toml": optimization,
            "configs/datasets/made.toml": dataset,
            "prompts/asked.txt": PARENT,
        }.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        write_conversations(folder / "configs/datasets/c.jsonl", self.conversations)
        write_examples(folder / "configs/datasets/l.jsonl", self.examples)

    def truth_of(self, prompt: str) -> dict[str, Any]:
        """What a prompt (the text of its file) truly comes to in production, by the vendor's own rule."""
        system, _ = sent(prompt)
        reading = vendor.read(system, self.truths)
        return {**figures(reading, price_of(prompt, self)), "reading": reading}


def _filler(draw: random.Random) -> str:
    return " ".join("".join(draw.choices("abcdeghiklmnoprstu", k=6)) for _ in range(10))


def sent(prompt: str) -> tuple[str, str]:
    """(system, user) as a prompt file is sent, without the conversation."""
    values = fixed_values(load_task("refusal_to_transfer"), "explained", ())
    said = dict(Prompt("", prompt).fill({**values, "conversation": "", "item": ""}))
    return said["system"], said["user"]


def price_of(prompt: str, world: World) -> float:
    """Model dollars of a conversation, on average."""
    words = [
        sum(len(f"[{n}] {turn.speaker}: {turn.text}\n") for n, turn in enumerate(one.turns, 1))
        for one in world.conversations
    ]
    of_input = sum(map(vendor.tokens, sent(prompt))) + sum(words) / len(words) / 4
    of_output = vendor.tokens(vendor.answer(Truth(CLEAN, False, 1.0, 0.5), {CLEAN: 0.0}))
    return (of_input * vendor.INPUT_NANO + of_output * vendor.OUTPUT_NANO) / 1e9


def figures(reading: Reading, price_usd: float = 0.0) -> dict[str, float]:
    """Recall, false-alarm rates and expected dollars for 1,000 conversations of production."""
    chances = vendor.rates(reading)
    found = chances[TARGET]
    alarms = sum(MIX[label] * chances[label] for label in (*ADJACENT, CLEAN))
    missed = COSTS.prevalence * (1 - found) * COSTS.missed_usd
    reviews = COSTS.prevalence * found * COSTS.review_usd + alarms * (COSTS.false_alarm_usd + COSTS.review_usd)
    return {
        "recall": found,
        "false alarms": alarms / (1 - COSTS.prevalence),
        "dollars": 1000 * (missed + reviews + price_usd),
    }


def readings(writes: bool) -> Iterator[Reading]:
    """All that a prompt may hold: where an optimizer `writes`, in its instruction too."""
    everything = frozenset(MIX)
    names = list(ADJACENT)
    shows = [Reading()]
    for clear, borderline in ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2)):
        shows.append(Reading(shown=everything, clear=clear, borderline=borderline, examples=7 + clear + borderline))
    for shown in shows:
        yield shown
        for rule, eager, count in product((False, True), (False, True), range(len(names) + 1)) if writes else ():
            yield replace(shown, rule=rule, eager=eager, named=frozenset(names[:count]))


def optimum(world: World, writes: bool) -> dict[str, Any]:
    """The cheapest of `readings`, each at the model's price of the shortest prompt that holds it."""
    parent = price_of(PARENT, world)
    example = 1.0 + sum(len(f"{t.speaker}: {t.text}\n") for c in world.conversations for t in c.turns) / len(
        world.conversations
    )
    ends = len('<example>\n</example>\nAnswer: its label is "frustration_without_request"\n')

    def price(one: Reading) -> float:
        written = len(vendor.RULE) * one.rule + len(vendor.EAGER) * one.eager + sum(len(ADJACENT[n]) for n in one.named)
        return parent + (written + one.examples * (example + ends)) / 4 * vendor.INPUT_NANO / 1e9

    found = ({**figures(one, price(one)), "reading": one} for one in readings(writes))
    return min(found, key=lambda one: one["dollars"])


def write_truths(path: Path, worlds: list[World]) -> None:
    """What the vendor's process is started with."""
    path.write_text(json.dumps({name: truth for world in worlds for name, truth in world.truths.items()}), "utf-8")
