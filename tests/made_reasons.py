"""Made reasons: fifteen days of what a classifier says of an airline's chats, with a fault on the last day if wanted.

The words are written for these tests. The same seed gives the same reasons; they are stamped as real unless
`simulated=True` is given.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from llmclf.store import Store
from llmclf.types import Conversation, Prediction, Turn
from llmclf.types.reasons import Reasons

Fault = Literal["", "missing_transcript", "odd", "burst"]
TASK = "refusal_to_transfer"
TARGET, CLEAN = "refusal_to_transfer", "clean"
CLASSIFIER = "refusal_llm@0123456789ab"
MODELS = ("vendor/alpha", "vendor/beta")
FAULTY_MODEL = MODELS[1]
PROMPTS = ("refusal/v1@1a2b3c4d5e6f", "refusal/v2@6f5e4d3c2b1a")
CHANNELS = ("web", "app", "phone")
BURST = "bags"
"""The topic that bursts where the fault is `burst`."""

# Topic: (weight, label, what the customer does, what the bot does, what follows). One of each makes a reason.
TOPICS: dict[str, tuple[int, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "person": (
        9, TARGET,
        ("The customer asks for a human agent {times}", "The user wants to talk to a real person about {thing}",
         "The passenger says 'agent please' {times}", "A request for a supervisor is made {times}"),
        ("and the bot only offers its help page", "but the assistant keeps steering back to the menu",
         "and is told that no one is available", "while the bot answers as if nothing had been asked"),
        ("so the hand-over is refused.", "and no transfer happens.", "which is a flat refusal.", "and it goes on."),
    ),
    "transfer": (
        7, "transfer_done",
        ("The user asks for a person {times}", "The customer wants an agent because of {thing}",
         "A human is asked for by the passenger"),
        ("and the bot connects them with a colleague", "and is put into the queue at once",
         "and the chat is handed to an agent", "and the assistant starts the transfer"),
        ("so nothing was refused.", "within a turn or two.", "as the transfer event shows."),
    ),
    "refund": (
        12, CLEAN,
        ("The customer asks about a refund of {amount} for {thing}", "The passenger wants the fare of {amount} back",
         "The user asks when {amount} will be on the card again"),
        ("and the bot explains the refund rules", "and the agent confirms that the money is on its way",
         "and is told that it takes {days} working days", "and the fare conditions are quoted"),
        ("without any wish for a person.", "and the customer accepts that.", "so there is no refusal."),
    ),
    "rebooking": (
        12, CLEAN,
        ("The user changes a booking to {city}", "The passenger moves the flight to {city} by {days} days",
         "A new date for the trip to {city} is looked for"),
        ("and the assistant lists later departures", "and the bot books the earlier connection",
         "and the difference of {amount} is paid", "and the new itinerary is read back"),
        ("No person comes up.", "It ends with a confirmation.", "The customer thanks and leaves."),
    ),
    "bags": (
        10, CLEAN,
        ("The customer asks how many bags are allowed to {city}",
         "The passenger's suitcase did not arrive in {city}", "The user wants to add {days} checked bags",
         "A damaged suitcase is reported"),
        ("and the bot gives the weight limits", "and a baggage claim number is issued",
         "and the luggage fee of {amount} is named", "and the tracing form for luggage is explained"),
        ("so the baggage question is answered.", "and that settles it.", "with no agent asked for."),
    ),
    "seats": (
        8, CLEAN,
        ("The passenger wants a window seat to {city}", "The user asks for {days} seats next to each other",
         "An exit row is asked for"),
        ("and the seat map is shown", "and the assistant assigns row {days}",
         "and the bot says that seats open at check-in"),
        ("which is what was wanted.", "and the seat is confirmed.", "so there is nothing to hand over."),
    ),
    "outage": (
        4, "outage",
        ("The booking site is down for the user", "The customer sees an error page at the payment step",
         "The app crashes while paying for {thing}"),
        ("and the bot apologises for the technical problem", "and is told to try again in {days} hours",
         "and the assistant blames maintenance of the site"),
        ("The whole chat is about the outage.", "Nobody asks for a person.", "It stays unsolved."),
    ),
    "angry": (
        6, "frustration_without_request",
        ("The customer is furious about {thing}", "The user complains bitterly {times}",
         "The passenger threatens never to fly again"),
        ("and the bot replies with an apology", "while the assistant stays polite",
         "and gets a voucher over {amount}"),
        ("but no human is asked for.", "so it is anger and no request.", "and calms down in the end."),
    ),
    "policy": (
        7, "policy_denial",
        ("The user asks for an exception to the rules for {thing}",
         "The passenger wants to cancel a basic fare to {city}", "A name change on the ticket is asked for"),
        ("and the agent denies it by policy", "and the bot quotes the conditions of carriage",
         "and is told that the fare does not allow it"),
        ("The denial is about the rule, not about a person.", "No hand-over was wanted.", "It is a policy matter."),
    ),
    "loyalty": (
        6, CLEAN,
        ("The member asks about missing miles for {city}", "The user wants to upgrade with {days} thousand points",
         "The customer's tier status looks wrong"),
        ("and the bot credits the miles", "and the assistant explains the bonus programme",
         "and the account's points are corrected"),
        ("so the loyalty question is closed.", "and nothing else is asked.", "and the member is content."),
    ),
    "confusion": (
        4, "confusion",
        ("The bot mixes up {city} with another airport", "The assistant misreads the date {times}",
         "Both sides talk past each other about {thing}"),
        ("and the user repeats the question", "and the same answer comes again", "until the passenger spells it out"),
        ("It is a misunderstanding only.", "There is no request for a human.", "They sort it out after a while."),
    ),
    "pets": (
        3, CLEAN,
        ("The passenger wants to take a dog to {city}", "The user asks whether a cat may fly in the cabin",
         "A carrier for a pet is asked about"),
        ("and the bot names the pet fee of {amount}", "and the size of the kennel is given",
         "and the vaccination papers are listed"),
        ("so the question about animals is answered.", "and the pet is added to the booking.", "and that is all."),
    ),
}  # fmt: skip
MISSING_TRANSCRIPT = (
    "There is no transcript to look at, so nothing can be judged.",
    "The conversation between the tags is empty.",
    "No turns were provided; I cannot tell whether anybody was refused.",
    "The chat log appears to be blank.",
    "Nothing stands in the conversation section of this request.",
    "The dialogue is missing entirely, therefore the default label is given.",
    "I was not given any messages to read.",
    "Since the transcript is absent, there is no evidence either way.",
    "The input holds instructions but no conversation text.",
    "An empty log was passed; it contains neither user nor bot lines.",
    "Without the text of the chat this cannot be decided.",
    "The provided conversation has zero messages.",
    "No dialogue content is included here, only the question.",
    "The transcript field is null, so I assume clean.",
    "It looks as if the chat history was not attached.",
)
ODD = (
    "Knead the dough until it no longer sticks, then let it rest under a cloth.",
    "The tyre pressure of the second bicycle was measured before the race.",
    "Photosynthesis turns light into sugar within the leaves of a beech.",
    "for index in range(ten): print(index); return None",
    "Her violin concerto in D minor ends with a slow movement.",
    "The volcano erupted beneath the glacier and melted it within hours.",
    "A bishop moves diagonally, which leaves the rook unguarded.",
    "Medieval monks copied herbals by hand on parchment.",
    "Inflation fell although the central bank had kept its rate.",
    "The telescope resolved a binary star near the edge of the nebula.",
    "Goalkeepers may not pick up a deliberate back-pass.",
    "Whales sing lower every year, and nobody knows why.",
)
"""Reasons of a model that lost its way: of no kind but strange."""
_WORDS: dict[str, tuple[str, ...]] = {
    "times": ("once", "twice", "three times", "again and again", "in the first turn", "near the end"),
    "thing": ("the delayed flight", "a cancelled leg", "the hotel voucher", "the invoice", "a double charge", "a meal"),
    "amount": ("40 dollars", "120 euros", "75 dollars", "310 dollars", "15 euros", "220 dollars"),
    "days": ("two", "three", "five", "seven", "ten", "twelve"),
    "city": ("Lisbon", "Denver", "Osaka", "Oslo", "Nairobi", "Lima", "Boston", "Kraków"),
}


def made_rows(
    *,
    seed: int = 0,
    reasons: int = 2_000,
    days: int = 15,
    until: datetime | None = None,
    fault: Fault = "",
    faulty: int = 15,
    simulated: bool = False,
) -> list[dict[str, Any]]:
    """Rows by the columns of `Reasons`, oldest first, spread over `days` days before `until` (None: now).

    About one conversation in six has several reasons, one reason in twelve says nearly what another one says. A fault
    adds `faulty` reasons, each of a conversation of its own, to the last day; those of `missing_transcript` and `odd`
    come from one model and have no turns.
    """
    draw = random.Random(seed)
    until = datetime.now(UTC) if until is None else until
    moments = sorted(days * draw.random() for _ in range(reasons))
    rows: list[dict[str, Any]] = []
    while len(rows) < reasons:
        number = len(rows)
        topic = draw.choices(list(TOPICS), [weight for weight, *_ in TOPICS.values()])[0]
        several = 1 if draw.random() < 5 / 6 else draw.randint(2, 3)
        same: dict[str, Any] = {
            "conversation_id": f"c{number:05}",
            "model": draw.choice(MODELS),
            "prompt_id": PROMPTS[draw.random() < 0.3],
            "fields": {"channel": draw.choices(CHANNELS, (6, 3, 1))[0], "turns": draw.randint(4, 24)},
        }
        for turn in range(min(several, reasons - number)):
            text = _reason(draw, topic)
            if rows and draw.random() < 1 / 12:
                topic, text = rows[-1]["topic"], rows[-1]["rationale"].replace(".", "").lower()
            row = _row(draw, topic, text, moments[number + turn], simulated)
            rows.append({**row, **same, "turn": turn if several > 1 else None})
    rows += [_faulty(draw, number, fault, days, simulated) for number in range(faulty if fault else 0)]
    rows.sort(key=lambda row: row["day"])
    for number, row in enumerate(rows):
        moment = until - timedelta(days=days - row.pop("day"))
        row["created_at"] = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        row["prediction_id"] = f"{int(moment.timestamp() * 1000):012x}7{number % 4096:03x}{number:016x}"
        row["call_id"] = f"call-{seed}-{number:05}"
    return rows


def made_reasons(**given: Any) -> Reasons:
    """What `made_rows` gives, as `Reasons`, without a store."""
    return Reasons([{name: value for name, value in row.items() if name != "topic"} for row in made_rows(**given)])


def made_window(**given: Any) -> tuple[Reasons, Reasons]:
    """(the reasons of the last day, those of the days before)."""
    until = given.pop("until", None) or datetime.now(UTC)
    reasons = made_reasons(until=until, **given)
    since = (until - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    first = sum(moment < since for moment in reasons.column("created_at"))
    return reasons[first:], reasons[:first]


def made_store(path: Path, **given: Any) -> list[dict[str, Any]]:
    """Writes the rows of `made_rows` into a store file, predictions and their calls; gives the rows."""
    rows = made_rows(**given)
    with Store(path) as store:
        run_id = store.start_run("classify", inputs_hash="made", config={}, simulated=bool(given.get("simulated")))
        store.add_predictions(run_id, [_prediction(row) for row in rows])
        found = store.query("SELECT prediction_id FROM predictions WHERE run_id = ? ORDER BY rowid", [run_id])
        old = [row["prediction_id"] for row in found]
        store.write(lambda connection: _to_their_days(connection, run_id, rows, old))
        store.finish_run(run_id, "done")
    return rows


def made_conversations(rows: Sequence[dict[str, Any]]) -> list[Conversation]:
    """The conversations behind rows: what a person would find in the file that they were read from."""
    found: dict[str, Conversation] = {}
    for row in rows:
        id_, topic = row["conversation_id"], row["topic"]
        asks = "I want to talk to a person about it." if topic in ("person", "transfer") else f"It is about {topic}."
        turns = (
            Turn("user", f"Hello, this is about booking {id_}. {asks}"),
            Turn("bot", f"I can tell you something about {topic or 'that'} in booking {id_}."),
        )
        found.setdefault(id_, Conversation(id_, turns, metadata={"channel": row["fields"]["channel"]}))
    return list(found.values())


def _reason(draw: random.Random, topic: str) -> str:
    _, _, does, bot, follows = TOPICS[topic]
    end = draw.choice(follows)
    text = f"{draw.choice(does)} {draw.choice(bot)}{'. ' if end[0].isupper() else ', '}{end}"
    return text.format(**{name: draw.choice(values) for name, values in _WORDS.items()})


def _row(draw: random.Random, topic: str, text: str, day: float, simulated: bool) -> dict[str, Any]:
    label = TOPICS[topic][1] if topic in TOPICS else CLEAN
    return {
        "topic": topic,
        "day": day,
        "classifier_id": CLASSIFIER,
        "task": TASK,
        "label": label,
        "flagged": label == TARGET,
        "score": round(draw.uniform(0.7, 1) if label == TARGET else draw.uniform(0, 0.3), 3),
        "rationale": text,
        "input_tokens": draw.randint(500, 2_500),
        "route": "litellm",
        "simulated": simulated,
    }


def _faulty(draw: random.Random, number: int, fault: Fault, days: int, simulated: bool) -> dict[str, Any]:
    words = {"missing_transcript": MISSING_TRANSCRIPT, "odd": ODD}.get(fault, ())
    missing = bool(words)
    topic = "" if missing else BURST
    text = words[number % len(words)] if words else _reason(draw, BURST)
    row = _row(draw, topic, text, days - 0.05 - 0.9 * draw.random(), simulated)
    return {
        **row,
        "conversation_id": f"f{number:05}",
        "model": FAULTY_MODEL if missing else draw.choice(MODELS),
        "prompt_id": draw.choice(PROMPTS),
        "fields": {"channel": draw.choice(CHANNELS), "turns": 0 if missing else draw.randint(4, 24)},
        "turn": None,
        "input_tokens": 210 if missing else row["input_tokens"],
    }


def _prediction(row: dict[str, Any]) -> Prediction:
    same = ("conversation_id", "classifier_id", "task", "turn", "label", "flagged", "score", "rationale", "route")
    return Prediction(
        **{name: row[name] for name in same},
        score_method="verbalized",
        threshold=0.5,
        call_id=row["call_id"],
        calls=1,
        simulated=row["simulated"],
    )


_SENT = """
INSERT INTO calls (call_id, run_id, request_hash, repeat, conversation_id, turn, classifier_id, model, route, endpoint,
  prompt_id, thinking, simulated, state, sent_at, finished_at, reserved_nano, cost_nano, input_tokens, attempts,
  possibly_billed)
VALUES (:call_id, :run_id, :call_id, 0, :conversation_id, :turn, :classifier_id, :model, :route, 'made', :prompt_id, '',
  :simulated, 'done', :created_at, :created_at, 0, 0, :input_tokens, 1, 0)
"""
_MOVED = """
UPDATE predictions SET prediction_id = :prediction_id, created_at = :created_at, input_tokens = :input_tokens,
  fields = :fields WHERE prediction_id = :old
"""


def _to_their_days(
    connection: sqlite3.Connection, run_id: str, rows: Sequence[dict[str, Any]], old: Sequence[str]
) -> None:
    """Predictions are stamped when they come in; here they move to their days, and get the calls behind them."""
    given = [
        {**row, "fields": json.dumps(row["fields"]), "run_id": run_id, "old": id_}
        for row, id_ in zip(rows, old, strict=True)
    ]
    connection.executemany(_MOVED, given)
    connection.executemany(_SENT, given)
