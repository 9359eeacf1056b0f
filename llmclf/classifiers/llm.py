"""A prompt file and a model: the classifier that reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from typing import Any

from llmclf.classifiers.answer import Reading, read_explanation, read_letter
from llmclf.classifiers.asking import Asker, Deadline, together
from llmclf.classifiers.base import SCALING, Classifier, check_conversation
from llmclf.classifiers.items import conversation_of, holds_nothing, rest_label
from llmclf.classifiers.outcome import Bill, Outcome, combine_parts, combine_samples
from llmclf.classifiers.questions import Questions
from llmclf.classifiers.seeing import Shown, Sight, check_sight, parts_of
from llmclf.classifiers.support import ScoreFrom, beyond_the_model, check_scoring, engine_of
from llmclf.classifiers.wording import (
    AnswerForm,
    Shot,
    answer_format,
    check_prompt,
    choose_shots,
)
from llmclf.config import Modality
from llmclf.errors import ConfigError, DataError, ModelError
from llmclf.llm.model import Model, Request, Response
from llmclf.llm.runtime import Runtime
from llmclf.render import Prompt, Transcript, Window
from llmclf.stats.thresholds import ScoreScaling
from llmclf.types import Conversation, Dataset, Item, Prediction, Predictions, Task, content_hash


class LlmClassifier(Classifier):
    """Asks a model, with the task's question, labels and rules in the prompt.

    `answer="explained"` brings evidence, rationale, label and a verbalized confidence;
    `answer="label"` one letter, scored by its log-probability where the model gives them.
    `shots` examples (over all labels in turn, as text) come from the dataset given to `fit`.

    `samples` fresh answers make a score of their own: the target's share among them. `repair` asks
    once more where an answer can't be read. `window` shows a part of a long conversation, `chunk_turns`
    all of it in parts, of which the likeliest decides. `modality` says what becomes of recordings and
    pictures. `scaling` makes probabilities of scores. docs/classifiers.md has all of it.
    """

    kind = "llm"

    def __init__(
        self,
        task: Task,
        *,
        prompt: Prompt,
        model: Model,
        runtime: Runtime,
        answer: AnswerForm = "explained",
        window: Window = Window(),
        chunk_turns: int | None = None,
        chunk_overlap: int = 2,
        modality: Modality = "text",
        score_method: ScoreFrom | None = None,
        samples: int = 1,
        repair: bool = True,
        shots: int = 0,
        seed: int = 0,
        name: str = "",
        threshold: float | None = 0.5,
        scaling: ScoreScaling | None = None,
    ) -> None:
        super().__init__(task, name=name, threshold=threshold)
        self.scaling = scaling
        check_prompt(prompt)
        self.prompt = prompt
        self.model = model
        self.runtime = runtime
        self.answer: AnswerForm = answer
        self.sight = Sight(window, chunk_turns, chunk_overlap, modality)
        check_sight(self.sight, task, self.name)
        self.score_method = score_method
        self.samples = samples
        self.repair = repair
        check_scoring(answer, score_method, samples, self.name)
        self.shots = shots
        self.seed = seed
        self._is_checked = False
        self._known_id: tuple[tuple[Any, ...], str] = ((), "")
        self.shots_: tuple[Shot, ...] = ()
        """(item, its text, its label) of the examples shown; learned by `fit`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Prompt id, model with its settings, answer form, window and shots; of all others those that are no default.

        With words that are recognised on this machine the engine is among them: another one hears other words.
        """
        sight = self.sight
        optional: dict[str, tuple[Any, Any]] = {
            "chunk_turns": (sight.chunk_turns, None),
            "chunk_overlap": (sight.chunk_overlap, sight.chunk_overlap if sight.chunk_turns is None else 2),
            "modality": (sight.modality, "text"),
            "engine": (engine_of(sight.modality, self.task), ""),
            "score_method": (self.score_method, None),
            "samples": (self.samples, 1),
            "repair": (self.repair, True),
            SCALING: (self.scaling, None),
        }
        return {
            "prompt": self.prompt.id,
            "model": self.model,
            "answer": self.answer,
            "window": sight.window,
            "shots": self.shots,
            "seed": self.seed,
            **{name: value for name, (value, default) in optional.items() if value != default},
        }

    @property
    def id(self) -> str:
        """As of every classifier; hashed anew only where something changed, as each request and prediction bears it."""
        given = (self.name, self.threshold, self.task, self.prompt, self.model, self.answer, self.sight, self.shots)
        key = (*given, self.shots_, self.seed, self.score_method, self.samples, self.repair, self.scaling)
        if self._known_id[0] != key:
            self._known_id = (key, super().id)
        return self._known_id[1]

    @property
    def learned(self) -> str:
        """A hash of the examples shown: their items, texts and labels."""
        return content_hash(self.shots_) if self.shots_ else ""

    @property
    def window(self) -> Window:
        """Which turns of a long conversation are shown."""
        return self.sight.window

    @property
    def modality(self) -> Modality:
        """What becomes of recordings and pictures."""
        return self.sight.modality

    def unsupported(self) -> list[str]:
        """Every setting that the model, this machine or the workspace's rules can't honour; nothing is sent."""
        return [*self.runtime.route(self.model.id).unsupported(self.model), *self._beyond_the_model()]

    def check(self) -> None:
        """Everything that would keep it from answering, before anything is paid: ConfigError or BudgetError."""
        self._check_beyond_the_model()
        self.runtime.check([self.model])

    def check_items(self, items: Sequence[Item]) -> None:
        """Raises DataError where the prompt shows one of the items, ConfigError where no examples were chosen yet."""
        shown = {str(item) for item, _, _ in self.shots_} | self.prompt.shown
        both = sorted(shown.intersection(str(item) for item in items)) if shown else []
        if both:
            raise DataError(
                "items that the prompt shows as examples can't be evaluated",
                where=self.name,
                got=both[:5],
                fix="leave them out: their labels stand in the prompt",
            )
        if self.shots and not self.shots_:
            raise ConfigError(
                "the examples to show were not chosen yet", where=self.name, fix="call fit(dataset) first"
            )

    def fit(self, dataset: Dataset) -> LlmClassifier:
        """Chooses the examples that are shown: `shots` of them, spread over the labels, by the seed.

        Counterparts of a pair are never shown together. Does nothing for zero shots.
        """
        self.shots_ = ()
        if not self.shots:
            return self
        labelled = dataset.for_task(self.task.name)

        def text(conversation: Conversation, turn: int | None) -> str:
            return self.as_example(conversation, turn).text

        self.shots_ = choose_shots(labelled, self.task, self.shots, self.seed, text, self.name)
        self.__dict__.pop("_questions", None)
        return self

    def as_example(self, conversation: Conversation, turn: int | None = None) -> Transcript:
        """The item as a prompt shows it among its examples: the window of it in words, without personal data."""
        redact = partial(self.runtime.redacted, for_others=True)
        return parts_of(conversation, self.task, turn, Sight(self.window), redact)[0].transcript

    def with_prompt(self, prompt: Prompt, model: Model | None = None) -> LlmClassifier:
        """The same classifier, examples included, with another prompt (and model settings).

        A scaling of scores stays only where nothing changes: it was fitted to these.
        """
        check_prompt(prompt)
        made = copy(self)
        made.prompt, made.model = prompt, model or self.model
        if (prompt.id, made.model) != (self.prompt.id, self.model):
            made.scaling, made._is_checked = None, False
        made.__dict__.pop("_questions", None)
        return made

    def request(self, conversation: Conversation, turn: int | None = None, repeat: int = 0) -> Request:
        """The first request that would be sent for an item; nothing is."""
        return self.requests(conversation, turn, repeat)[0]

    def requests(self, conversation: Conversation, turn: int | None = None, repeat: int = 0) -> tuple[Request, ...]:
        """Every request that would be sent for an item, part by part, but for repairs; nothing is.

        Reads media and recognises words where the modality wants it, which may take seconds.
        """
        item = Item(conversation.id, turn)
        parts = self._questions.parts(conversation, turn)
        return tuple(each for shown in parts for each in self._questions.about(item, shown, repeat, self.id))

    def predict(
        self,
        conversations: Mapping[str, Conversation],
        items: Sequence[Item],
        on_done: Callable[[Prediction], None] | None = None,
        *,
        repeat: int = 0,
    ) -> Predictions:
        """One prediction for each item, in order. `on_done` is called with each as it comes in, on another thread.

        Each `repeat` from 0 is a fresh answer to the same question.
        """
        self.check_items(items)
        for item in items:  # all of them, before the first is paid for
            holds_nothing(conversation_of(conversations, item), self.task, item)
        return Predictions(self.runtime.run(self._predict_all(conversations, items, on_done, repeat)))

    async def aclassify(
        self, conversation: Conversation, turn: int | None = None, *, timeout: float | None = None, repeat: int = 0
    ) -> Prediction:
        """The prediction for one item; a model's failure is `prediction.error`.

        `timeout` is seconds for all of it: recognising words, waiting for a turn, the calls, retries, a
        repair. It starts when the model's client is loaded, which takes seconds once in a process
        (`load_classifier` does it).

        Raised is only misuse, which no other item would escape either, before anything is sent:
        ConfigError (no key, an unknown model, a model or setting that is not allowed or not
        supported), BudgetError (no cap, no known price), MissingPieceError (nothing here that recognises
        words), DataError (what was passed is no conversation, or it and `turn` do not fit the task). In
        `prediction.error` is what happens to one item: time-out, refusal, rate limit, an unusable answer,
        a recording that can't be read, a cap that is reached.
        """
        check_conversation(conversation)
        item = Item(conversation.id, turn)
        self.check_items([item])
        if holds_nothing(conversation, self.task, item):
            return self.failed(item, self.empty_error, **self._route)
        await self.runtime.prepare(self.model.id)
        self._check_beyond_the_model()
        deadline = Deadline.after(timeout)
        try:
            parts = await self._questions.aparts(conversation, turn, deadline)
        except ModelError as error:
            return self._prediction(item, Outcome(Bill(), error=error), truncated=False)
        outcomes = await together([self._ask(item, shown, repeat, deadline) for shown in parts])
        outcome = outcomes[0] if len(parts) == 1 else combine_parts(outcomes, self.task, self.threshold)
        return self._prediction(item, outcome, truncated=any(shown.transcript.truncated for shown in parts))

    def classify(
        self, conversation: Conversation, turn: int | None = None, *, timeout: float | None = None, repeat: int = 0
    ) -> Prediction:
        """As `aclassify`, with the same errors; blocks, from any thread."""
        return self.runtime.run(self.aclassify(conversation, turn, timeout=timeout, repeat=repeat))

    async def _predict_all(
        self,
        conversations: Mapping[str, Conversation],
        items: Sequence[Item],
        on_done: Callable[[Prediction], None] | None,
        repeat: int,
    ) -> list[Prediction]:
        found: dict[int, Prediction] = {}
        rest = iter(enumerate(items))

        async def work() -> None:
            for place, item in rest:  # shared by all workers: each takes the next
                prediction = await self.aclassify(conversations[item.conversation_id], item.turn, repeat=repeat)
                found[place] = prediction
                if on_done:
                    on_done(prediction)

        await together([work() for _ in range(min(len(items), 2 * self.runtime.concurrency))])  # few for a million
        return [found[place] for place in range(len(items))]

    @cached_property
    def _questions(self) -> Questions:
        return Questions(
            self.task, self.prompt, self.model, self.answer, self.sight, self.samples, self.shots_, self.runtime
        )

    # --- what is answered -------------------------------------------------------------------

    async def _ask(self, item: Item, shown: Shown, repeat: int, deadline: Deadline) -> Outcome:
        """What the model says of one part, over all samples."""
        asker = Asker(self.runtime, self.repair, answer_format(self.answer))

        def read(text: str, response: Response) -> Reading:
            if self.answer == "explained":
                return read_explanation(text, self.task, shown.transcript, str(item))
            logprobs = response.answer.label_logprobs if self.samples == 1 else None
            return read_letter(text, self.task, str(item), logprobs=logprobs, threshold=self.threshold)

        requests = self._questions.about(item, shown, repeat, self.id)
        outcomes = await together([asker.ask(request, read, str(item), deadline) for request in requests])
        return outcomes[0] if self.samples == 1 else combine_samples(outcomes, self.task, self.threshold)

    def _prediction(self, item: Item, outcome: Outcome, *, truncated: bool) -> Prediction:
        reading = outcome.reading
        known: dict[str, Any] = {
            "truncated": truncated,
            **self._route,
            **outcome.bill.as_fields(),
            "thinking": outcome.thinking,
            "repaired": outcome.repaired,
        }
        if reading is None:
            assert outcome.error is not None
            return self.failed(item, outcome.error, **known)
        return Prediction(
            item.conversation_id,
            self.id,
            self.task.name,
            turn=item.turn,
            label=reading.label,
            flagged=reading.flags(self.task.target, self.threshold),
            score=reading.score,
            score_method=reading.score_method,
            threshold=self.threshold,
            probabilities=self._probabilities(reading),
            probabilities_at=self.scaling.prevalence if self.scaling and reading.score is not None else None,
            evidence=reading.evidence,
            rationale=reading.rationale,
            **known,
        )

    @property
    def _route(self) -> dict[str, Any]:
        """What every prediction says of who answers, also one that needed no call."""
        return {"route": self.model.id, "simulated": self.runtime.route(self.model.id).simulated}

    def _probabilities(self, reading: Reading) -> dict[str, float] | None:
        """The target's chance by the scaling. The rest goes to the label said, or where that is the target to clean."""
        if self.scaling is None or reading.score is None:
            return None
        target = self.task.target
        chance = float(self.scaling.probabilities([reading.score])[0])
        other = reading.label if reading.label != target else rest_label(self.task)
        return dict.fromkeys(self.task.label_names, 0.0) | {target: chance, other: 1.0 - chance}

    # --- what can't be ----------------------------------------------------------------------

    def _beyond_the_model(self) -> list[str]:
        return beyond_the_model(self.model, self.task, self.modality, self.score_method, self.runtime)

    def _check_beyond_the_model(self) -> None:
        if self._is_checked:
            return
        if problems := self._beyond_the_model():
            raise ConfigError("this can't be asked", where=self.name, problems=problems)
        self._is_checked = True
