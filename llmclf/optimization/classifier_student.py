"""An llm classifier as a student: it answers with any prompt, in the requests that it would send when serving."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from llmclf.classifiers.answer import ground
from llmclf.classifiers.base import Classifier
from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import make_classifier
from llmclf.classifiers.seeing import fenced_off
from llmclf.classifiers.wording import FILLED, check_prompt, label_answer, letter_of
from llmclf.config import LlmFile
from llmclf.data.loading import load_dataset
from llmclf.errors import ConfigError, DataError
from llmclf.llm.model import Model
from llmclf.llm.runtime import Runtime
from llmclf.optimization.facts import facts_of
from llmclf.optimization.values import Answered, Demonstration, Instance, Student
from llmclf.render import Prompt, Transcript
from llmclf.render.redaction import Memory
from llmclf.types import Conversation, Dataset, Item, Prediction, Predictions, Task, groups_of


def classifier_student(
    name: str, file: LlmFile, task: Task, datasets: Mapping[str, Dataset], runtime: Runtime
) -> ClassifierStudent:
    """The llm classifier of `file` as a student of the labelled items in `datasets` (part to dataset).

    With examples that it shows by `shots` or in its prompt; DataError where any of these is in a part
    (`without_shown` leaves them out).
    """
    return ClassifierStudent(_parent(name, file, task, runtime), datasets)


def without_shown(
    dataset: Dataset, name: str, file: LlmFile, task: Task, runtime: Runtime
) -> tuple[Dataset, tuple[str, ...]]:
    """(the dataset without what the classifier's prompt shows, the items left out).

    What hangs together with a shown item, by group or pair, is left out with it.
    """
    shown = _shown(_parent(name, file, task, runtime))
    if not shown:
        return dataset, ()
    groups = groups_of(dataset.examples)
    known = {group for group, each in zip(groups, dataset.examples, strict=True) if str(each.item) in shown}
    kept = [place for place, group in enumerate(groups) if group not in known]
    left_out = (str(each.item) for group, each in zip(groups, dataset.examples, strict=True) if group in known)
    return dataset.pick(kept), tuple(left_out)


class ClassifierStudent(Student):
    """Asks one llm classifier with prompts of every kind; all else is as its file says, `shots` included."""

    kind = "classifier"

    def __init__(self, classifier: LlmClassifier, datasets: Mapping[str, Dataset]) -> None:
        self.classifier = classifier
        self.name = classifier.name
        self.parent = classifier.prompt
        self.task = classifier.task
        self.labels = classifier.task.labels
        self._asked: dict[tuple[str, Model], LlmClassifier] = {}
        self.items: dict[str, Item] = {}
        """The item of each key."""
        self._conversations: dict[str, Conversation] = {}
        self._transcripts: dict[str, Transcript] = {}
        self._lock = threading.Lock()
        self.instances: dict[str, Instance] = {}
        for dataset in datasets.values():
            self._add(dataset.for_task(self.task.name))
        self._check_shown()

    def ask(self, prompt: Prompt, key: str, *, repeat: int = 0, temperature: float | None = None) -> Answered:
        """As `Student.ask`. A model that takes no temperature answers as it does."""
        item = self.items[key]
        asked = self._with(prompt, temperature)
        prediction = asked.classify(self._conversations[item.conversation_id], item.turn, repeat=repeat)
        return self._answered(key, prediction)

    def ask_all(
        self, prompt: Prompt, keys: Sequence[str], on_done: Callable[[str, Answered], None] | None = None
    ) -> list[Answered]:
        """As `Student.ask_all`: so many at once as the runtime lets through."""

        def done(prediction: Prediction) -> None:
            if on_done:
                key = str(prediction.item)
                on_done(key, self._answered(key, prediction))

        asked = self._with(prompt, None)
        found = asked.predict(self._conversations, [self.items[key] for key in keys], done)
        return [self._answered(key, prediction) for key, prediction in zip(keys, found, strict=True)]

    def predictions(
        self, prompt: Prompt, keys: Sequence[str], on_done: Callable[[Prediction], None] | None = None
    ) -> Predictions:
        """The predictions with `prompt`, in order, for an evaluation; DataError where it shows one of the items."""
        asked = self.classifier.with_prompt(prompt)
        return asked.predict(self._conversations, [self.items[key] for key in keys], on_done)

    def conversation(self, key: str) -> Conversation:
        """The conversation that an instance is of, as it was labelled."""
        return self._conversations[self.items[key].conversation_id]

    def demonstration(self, key: str, answered: Answered | None = None) -> Demonstration:
        """As `Student.demonstration`; an answer that failed or is wrong is not shown, the true label is."""
        instance, of = self.instances[key], self.items[key].conversation_id
        if answered is None or answered.error is not None or answered.said != instance.label:
            alone = label_answer(self.task, self.classifier.answer, instance.label)
            return Demonstration(key, instance.text, instance.label, alone, conversation_id=of)
        return Demonstration(key, instance.text, instance.label, answered.answer, True, of)

    def check_prompt(self, prompt: Prompt) -> None:
        """ConfigError where the prompt has no place for the conversation, or names what nothing fills."""
        check_prompt(prompt)
        prompt.fill(dict.fromkeys(FILLED, ""))

    def check(self) -> None:
        """Everything that would keep it from answering, before anything is paid: ConfigError or BudgetError."""
        self.check_prompt(self.parent)
        self.classifier.check()

    def _with(self, prompt: Prompt, temperature: float | None) -> LlmClassifier:
        """The classifier with `prompt`. It may be asked about what the prompt shows: a search learns from that too."""
        model = self.classifier.model
        if temperature is not None:
            warm = replace(model, temperature=temperature)
            model = model if self.classifier.runtime.route(model.id).unsupported(warm) else warm
        with self._lock:
            made = self._asked.get((prompt.sha256, model))
            if made is None:
                made = self.classifier.with_prompt(replace(prompt, shown=frozenset()), model)
                self._asked[prompt.sha256, model] = made
                if not prompt.conversations:  # whose words stand in it: `store forget` reads no prompts
                    made.runtime.store.put_prompt(prompt.name, prompt.sha256, prompt.text)
        return made

    def _add(self, dataset: Dataset) -> None:
        self.classifier.runtime.tell_simulator(dataset, self.task)
        groups = groups_of(dataset.examples)
        for example, group in zip(dataset.examples, groups, strict=True):
            key, conversation = str(example.item), dataset.conversation(example)
            known = self._conversations.setdefault(conversation.id, conversation)
            if key in self.instances or known.content_hash != conversation.content_hash:
                raise DataError("two parts hold items of the same id", where=f"dataset {dataset.name}", got=key)
            transcript = self.classifier.as_example(conversation, example.turn)
            label = self.task.check_label(example.labels[self.task.name])
            sent = self.classifier.runtime.redacted(conversation, for_others=True)
            self.items[key] = example.item
            self._transcripts[key] = transcript
            self.instances[key] = Instance(
                key,
                transcript.text,
                label,
                label == self.task.target,
                example.weight,
                group,
                facts_of(example, sent, self.task, partial(self._redacted, key)),
                example.conversation_id,
            )

    def _check_shown(self) -> None:
        both = sorted(_shown(self.classifier).intersection(self.instances))
        if both:
            raise DataError(
                "items that the classifier's prompt shows already can't be learned from, nor tested",
                where=self.name,
                got=both[:5],
                fix="leave them out of the dataset",
            )

    # --- what was answered ------------------------------------------------------------------

    def _answered(self, key: str, prediction: Prediction) -> Answered:
        cost, tokens = prediction.cost_usd, prediction.usage.input_tokens or 0
        if prediction.label is None:
            return Answered(None, error=prediction.error, cost_usd=cost, input_tokens=tokens)
        parts = self._parts(key, prediction, prediction.label)
        explained = self.classifier.answer == "explained"
        answer = json.dumps(parts, ensure_ascii=False) if explained else letter_of(self.task, prediction.label)
        fields = parts if explained else {"label": prediction.label}
        return Answered(
            prediction.label,
            bool(prediction.flagged),
            _from_threshold(prediction.score, self.classifier.threshold),
            answer,
            fields,
            cost_usd=cost,
            input_tokens=tokens,
        )

    def _parts(self, key: str, prediction: Prediction, label: str) -> dict[str, Any]:
        """The answer's parts as they are asked for. Quotes that are not in the instance's text are left out.

        What the store redacts is redacted here too: an answer is the same when it is bought and when it is found.
        """
        rationale, *quotes = self._redacted(key, [prediction.rationale, *(each.quote for each in prediction.evidence)])
        transcript = self._transcripts[key]
        grounded = [
            ground(quote, each.turn, transcript) for quote, each in zip(quotes, prediction.evidence, strict=True)
        ]
        evidence = [{"turn": each.turn, "quote": fenced_off(each.quote)} for each in grounded if each.grounded]
        parts = {"evidence": evidence, "rationale": fenced_off(rationale), "label": label}
        if prediction.score is None:
            return parts
        return {**parts, "confidence": self._confidence(prediction, prediction.score, label)}

    def _confidence(self, prediction: Prediction, score: float, label: str) -> float:
        """How sure the label is: as the model said, else the share of its answers."""
        sure = score if label == self.task.target else 1 - score
        return round(max(0.0, 2 * sure - 1) if prediction.score_method == "verbalized" else sure, 12)

    def _redacted(self, key: str, texts: list[str]) -> list[str]:
        redaction = self.classifier.runtime.redaction
        if not (redaction.before_storing or redaction.before_sending):
            return texts
        memory = Memory()
        redaction.redact(self._conversations[self.items[key].conversation_id], memory)
        return redaction.redact_texts(texts, memory)


def _parent(name: str, file: LlmFile, task: Task, runtime: Runtime) -> LlmClassifier:
    made: Classifier = make_classifier(name, file, task, runtime, runtime.workspace)
    if not isinstance(made, LlmClassifier):
        raise ConfigError("only an llm classifier has a prompt to optimize", where=name, got=f"kind {made.kind!r}")
    runtime.route(made.model.id).load()
    return made.fit(load_dataset(file.shots_from, runtime.workspace)) if made.shots else made


def _from_threshold(score: float | None, threshold: float | None) -> float | None:
    """The score with its logit less the threshold's, so that 1/2 is where flagging begins; 0 and 1 stay.

    None where no threshold between 0 and 1 decides: the answer then counts by its decision.
    """
    if score is None or threshold is None or not 0 < threshold < 1:
        return None
    yes, no = score * (1 - threshold), (1 - score) * threshold
    return yes / (yes + no)


def _shown(classifier: LlmClassifier) -> set[str]:
    return {str(item) for item, _, _ in classifier.shots_} | classifier.prompt.shown
