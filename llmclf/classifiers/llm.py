"""A prompt file and a model: the classifier that reads."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from llmclf.classifiers.answer import answer_schema, letter_scores, read_explained
from llmclf.classifiers.base import Classifier, check_conversation
from llmclf.classifiers.items import conversation_of, holds_nothing
from llmclf.errors import ConfigError, DataError, ModelError
from llmclf.llm.answers import usable_text
from llmclf.llm.model import Message, Model, Output, Request, Response, Subject
from llmclf.llm.runtime import Runtime
from llmclf.render import Prompt, Transcript, Window, transcript, visible_turns
from llmclf.types import Conversation, Dataset, Example, Item, Prediction, Predictions, Task, content_hash

_EXPLAINED = """Answer with one JSON object and nothing else:
{"evidence": [{"turn": 3, "quote": "words copied from that turn"}], "rationale": "one or two sentences", \
"label": "one of the labels", "confidence": 0.9}
Quote word for word. Give no evidence where there is nothing to quote. `confidence` is how sure you are of the \
label, from 0 to 1."""
_LETTER = "Answer with the letter of one label and nothing else."
_TAG = re.compile(r"<(?=\s*/?\s*(?:conversation|example)\b)", re.IGNORECASE)
_GRACE = 0.2  # seconds: a call under way ends by its own time-out, and is recorded so, just before the caller's


class LlmClassifier(Classifier):
    """Asks a model, with the task's question, labels and rules in the prompt.

    `answer="explained"` brings evidence, rationale, label and a verbalized confidence;
    `answer="label"` one letter, scored by its log-probability where the model gives them.
    `shots` examples (over all labels in turn) come from the dataset given to `fit`.

    With log-probabilities the label is the target where its share reaches the threshold, else the
    likeliest other. The score of an explained answer is (1 + confidence) / 2 where its label is the target, else
    (1 - confidence) / 2: at the threshold .5 an item is flagged exactly where the label says so.
    """

    kind = "llm"

    def __init__(
        self,
        task: Task,
        *,
        prompt: Prompt,
        model: Model,
        runtime: Runtime,
        answer: Literal["explained", "label"] = "explained",
        window: Window = Window(),
        shots: int = 0,
        seed: int = 0,
        name: str = "",
        threshold: float | None = 0.5,
    ) -> None:
        super().__init__(task, name=name, threshold=threshold)
        if "conversation" not in prompt.placeholders:
            raise ConfigError("the prompt has no {{conversation}}", where=f"prompt {prompt.name}")
        self.prompt = prompt
        self.model = model
        self.runtime = runtime
        self.answer: Literal["explained", "label"] = answer
        self.window = window
        self.shots = shots
        self.seed = seed
        self.shots_: tuple[tuple[Item, str, str], ...] = ()
        """(item, its text, its label) of the examples shown; learned by `fit`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Prompt id, model with its settings, answer form, window and shots."""
        return {
            "prompt": self.prompt.id,
            "model": self.model,
            "answer": self.answer,
            "window": self.window,
            "shots": self.shots,
            "seed": self.seed,
        }

    @property
    def learned(self) -> str:
        """A hash of the examples shown: their items, texts and labels."""
        return content_hash(self.shots_) if self.shots_ else ""

    def fit(self, dataset: Dataset) -> LlmClassifier:
        """Chooses the examples that are shown: `shots` of them, spread over the labels, by the seed.

        Counterparts of a pair are never shown together. Does nothing for zero shots.
        """
        self.shots_ = ()
        if not self.shots:
            return self
        chosen = _spread(dataset.for_task(self.task.name), self.task, self.shots, self.seed)
        if len(chosen) < self.shots:
            raise DataError(
                "there are not enough labelled examples to show", where=self.name, got=f"{len(chosen)} of {self.shots}"
            )
        self.shots_ = tuple(
            (
                example.item,
                self._text(dataset.conversation(example), example.turn, for_others=True)[0].text,
                example.labels[self.task.name],
            )
            for example in chosen
        )
        self.__dict__.pop("_fixed_values", None)
        return self

    def request(self, conversation: Conversation, turn: int | None = None, repeat: int = 0) -> Request:
        """What would be sent for an item; nothing is."""
        return self._request(conversation, turn, repeat)[0]

    def predict(
        self,
        conversations: Mapping[str, Conversation],
        items: Sequence[Item],
        on_done: Callable[[Prediction], None] | None = None,
    ) -> Predictions:
        """One prediction for each item, in order. `on_done` is called with each as it comes in, on another thread."""
        self._check_shots(items)
        for item in items:  # all of them, before the first is paid for
            holds_nothing(conversation_of(conversations, item), self.task, item)
        return Predictions(self.runtime.run(self._predict_all(conversations, items, on_done)))

    async def aclassify(
        self, conversation: Conversation, turn: int | None = None, *, timeout: float | None = None, repeat: int = 0
    ) -> Prediction:
        """The prediction for one item; a model's failure is `prediction.error`.

        `timeout` is seconds for all of it: waiting for a turn, the call, retries. It starts when the
        model's client is loaded, which takes seconds once in a process (`load_classifier` does it).

        Raised is only misuse, which no other item would escape either, before anything is sent:
        ConfigError (no key, an unknown model, a model or setting that is not allowed or not
        supported), BudgetError (no cap, no known price), DataError (what was passed is no
        conversation, or it and `turn` do not fit the task). In `prediction.error` is what happens to
        one item: time-out, refusal, rate limit, an unusable answer, a cap that is reached.
        """
        check_conversation(conversation)
        item = Item(conversation.id, turn)
        self._check_shots([item])
        if holds_nothing(conversation, self.task, item):
            return self.failed(item, self.empty_error)
        await self.runtime.prepare(self.model.id)
        request, text = self._request(conversation, turn, repeat)
        route = self.runtime.route(self.model.id)
        known: dict[str, Any] = {
            "truncated": text.truncated,
            "route": self.model.id,
            "simulated": route.simulated,
        }
        try:
            response = await self._respond(request, timeout, route.leaves_machine)
        except ModelError as error:
            known["cost_nano_usd"] = None if error.possibly_billed else 0
            return self.failed(item, error, **known)
        known |= _paid(response)
        try:
            return self._prediction(item, response, text, known)
        except ModelError as error:
            return self.failed(item, error, **known)

    def classify(
        self, conversation: Conversation, turn: int | None = None, *, timeout: float | None = None, repeat: int = 0
    ) -> Prediction:
        """As `aclassify`, with the same errors; blocks, from any thread."""
        return self.runtime.run(self.aclassify(conversation, turn, timeout=timeout, repeat=repeat))

    async def _respond(self, request: Request, timeout: float | None, may_be_billed: bool) -> Response:
        if timeout is None:
            return await self.runtime.arespond(request)
        request = replace(request, timeout=timeout, deadline=time.monotonic() + timeout)
        try:
            async with asyncio.timeout(timeout + _GRACE):
                return await self.runtime.arespond(request)
        except TimeoutError:
            raise ModelError(
                "timeout", f"no answer within {timeout:.1f} s", where=self.model.id, possibly_billed=may_be_billed
            ) from None

    async def _predict_all(
        self,
        conversations: Mapping[str, Conversation],
        items: Sequence[Item],
        on_done: Callable[[Prediction], None] | None,
    ) -> list[Prediction]:
        found: dict[int, Prediction] = {}
        rest = iter(enumerate(items))

        async def work() -> None:
            for place, item in rest:  # shared by all workers: each takes the next
                prediction = await self.aclassify(conversations[item.conversation_id], item.turn)
                found[place] = prediction
                if on_done:
                    on_done(prediction)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(len(items), 2 * self.runtime.concurrency)):  # a million items are few tasks
                    group.create_task(work())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None  # a wrong setting fails all of them alike
        return [found[place] for place in range(len(items))]

    # --- the request ------------------------------------------------------------------------

    def _request(self, conversation: Conversation, turn: int | None, repeat: int) -> tuple[Request, Transcript]:
        text, content = self._text(conversation, turn)
        about = "" if turn is None else f"The question is about turn [{turn}] alone; the others are context."
        values = {**self._fixed_values, "conversation": text.text, "item": about}
        subject = Subject(self.task.name, conversation.id, turn, content, self.id, self.prompt.id, self.runtime.run_id)
        return (
            Request(
                self.model,
                tuple(Message(role, content) for role, content in self.prompt.fill(values)),  # type: ignore[arg-type]
                self._output,
                subject,
                repeat,
            ),
            text,
        )

    def _text(
        self, conversation: Conversation, turn: int | None, *, for_others: bool = False
    ) -> tuple[Transcript, str]:
        """(what is sent of a conversation, the hash of all of it)."""
        sent = self.runtime.redacted(conversation, for_others=for_others)
        made = transcript(visible_turns(sent, self.task, turn), self.window, turn)
        lines = tuple((number, _fence_off(line)) for number, line in made.turns)
        return Transcript("\n".join(line for _, line in lines), lines, made.truncated), sent.content_hash

    @cached_property
    def _output(self) -> Output:
        names = self.task.label_names
        if self.answer == "label":
            return Output("letter", choices=names)
        return Output("json", schema=answer_schema(self.task), choices=names)

    @cached_property
    def _fixed_values(self) -> dict[str, str]:
        lettered = self.answer == "label"
        lines, heads = [], []
        for number, label in enumerate(self.task.labels):
            head = f"{chr(ord('A') + number)}. {label.name}" if lettered else f"- {label.name}"
            rules = "".join(f"\n   {rule.id}. {rule.text}" for rule in label.rules)
            heads.append(head)
            lines.append(f"{head}: {label.definition}{rules}")
        return {
            "question": self.task.question,
            "labels": "\n".join(lines),
            "label_names": "\n".join(heads),
            "target": self.task.target,
            "answer_format": _LETTER if lettered else _EXPLAINED,
            "examples": self._examples_text(),
        }

    def _examples_text(self) -> str:
        parts = []
        for _, text, label in self.shots_:
            letter = chr(ord("A") + self.task.label_names.index(label))
            said = letter if self.answer == "label" else f'its label is "{label}"'
            parts.append(f"<example>\n{text}\n</example>\nAnswer: {said}")
        return "\n\n".join(parts)

    def _check_shots(self, items: Sequence[Item]) -> None:
        shown = {item for item, _, _ in self.shots_}
        both = sorted(str(item) for item in shown.intersection(items))
        if both:
            raise DataError("items that the prompt shows as examples can't be evaluated", where=self.name, got=both[:5])
        if self.shots and not self.shots_:
            raise ConfigError(
                "the examples to show were not chosen yet", where=self.name, fix="call fit(dataset) first"
            )

    # --- the answer -------------------------------------------------------------------------

    def _prediction(self, item: Item, response: Response, text: Transcript, known: dict[str, Any]) -> Prediction:
        answer, thinking = usable_text(response, str(item))
        known["thinking"] = thinking
        read = self._read_letter if self.answer == "label" else self._read_explained
        found = read(answer, response, text, str(item))
        score = found["score"]
        flagged = found["label"] == self.task.target
        if score is not None and self.threshold is not None:
            flagged = score >= self.threshold
        return Prediction(
            item.conversation_id,
            self.id,
            self.task.name,
            turn=item.turn,
            flagged=flagged,
            threshold=self.threshold,
            **known,
            **found,
        )

    def _read_explained(self, answer: str, response: Response, text: Transcript, where: str) -> dict[str, Any]:
        read = read_explained(answer, self.task, text, where)
        sign = 1 if read.label == self.task.target else -1
        return {
            "label": read.label,
            "score": (1 + sign * read.confidence) / 2,
            "score_method": "verbalized",
            "rationale": read.rationale,
            "evidence": read.evidence,
        }

    def _read_letter(self, answer: str, response: Response, text: Transcript, where: str) -> dict[str, Any]:
        letters = self._output.letters
        letter = answer.strip("().:*\"' ")
        if letter not in letters:
            raise ModelError("unparsable", "the answer is not one of the letters", where=where, got=answer)
        label = self.task.label_names[letters.index(letter)]
        logprobs = response.answer.label_logprobs
        if not logprobs:
            return {"label": label, "score": None, "score_method": "none"}
        shares = dict(zip(self.task.label_names, letter_scores(logprobs, letters).values(), strict=True))
        score = shares.pop(self.task.target)
        if self.threshold is not None:
            label = self.task.target if score >= self.threshold else max(shares, key=shares.__getitem__)
        return {"label": label, "score": score, "score_method": "logprob"}


def _paid(response: Response) -> dict[str, Any]:
    return {
        "usage": response.answer.usage,
        "cost_nano_usd": response.cost_nano_usd,
        "latency_seconds": response.latency_seconds,
        "call_id": response.call_id,
        "cached": response.cached,
        "simulated": response.simulated,
    }


def _fence_off(text: str) -> str:
    """Conversation text that can't open or close the tags it is put between."""
    return _TAG.sub(r"<\\", text)


def _spread(dataset: Dataset, task: Task, count: int, seed: int) -> list[Example]:
    """`count` examples, one label after the other, never two of one group or pair."""
    by_label: dict[str, list[Example]] = {name: [] for name in task.label_names}
    for example in dataset.examples:
        by_label[task.check_label(example.labels[task.name])].append(example)
    draw = random.Random(seed)  # noqa: S311 - which examples are shown, not a secret
    for examples in by_label.values():
        draw.shuffle(examples)
    chosen: list[Example] = []
    taken: set[str] = set()
    while len(chosen) < count and any(by_label.values()):
        for examples in by_label.values():
            while examples:
                example = examples.pop()
                kin = {example.group_or_conversation, example.conversation_id, example.pair} - {""}
                if not kin & taken:
                    taken |= kin
                    chosen.append(example)
                    break
    return chosen[:count]
