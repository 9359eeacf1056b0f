"""Keyword rules: what matches, what vetoes, and what mistakes say."""

import time

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.classifiers.conformance import small_dataset
from llmclf.classifiers.keyword import KeywordClassifier, KeywordRule
from llmclf.errors import ConfigError, DataError
from llmclf.types import Conversation, Event, Prediction, Turn

TASK, _ = small_dataset()
TURN_TASK, _ = small_dataset("turn")
ASKS = (r"\b(person|human|supervisor)\b",)
REFUSAL = KeywordRule("refused", user=ASKS, unless_event=("transfer",), unless_bot=(r"connecting you",))


def classify(turns: list[Turn], *rules: KeywordRule) -> Prediction:
    return KeywordClassifier(TASK, rules or (REFUSAL,)).classify(Conversation("c", tuple(turns)))


def test_match_gives_label_quote_and_turn() -> None:
    """A match is flagged, quotes the sentence it stands in and names the turn and the rule."""
    prediction = classify([Turn("user", "Hi. I want a\nperson now! Thanks."), Turn("bot", "No.")])
    assert (prediction.label, prediction.flagged, prediction.score) == ("refused", True, 1.0)
    assert [(e.quote, e.turn, e.grounded) for e in prediction.evidence] == [("I want a person now!", 0, True)]
    assert prediction.score_method == "keyword"
    assert prediction.rationale == "rule 0 (refused) matches"
    assert prediction.latency_seconds is not None


def test_no_match_is_clean() -> None:
    """Where no rule matches the label is the clean one, with nothing quoted."""
    prediction = classify([Turn("user", "Where is my parcel?"), Turn("bot", "On its way.")])
    assert (prediction.label, prediction.flagged, prediction.score, prediction.evidence) == ("neither", False, 0.0, ())


def test_only_the_named_side_is_searched() -> None:
    """Patterns for the user do not match what the bot says, nor the other way round."""
    assert not classify([Turn("bot", "A person will call."), Turn("user", "Fine."), Turn("bot", "Bye.")]).flagged
    rule = KeywordRule("refused", bot=("can't connect",))
    assert not classify([Turn("user", "You can't connect me?"), Turn("bot", "No.")], rule).flagged
    assert classify([Turn("bot", "I CAN'T connect you.")], rule).flagged


@pytest.mark.parametrize(
    "reply",
    [
        Turn("bot", "", events=(Event("transfer", "agents"),)),
        Turn("bot", "Sure, connecting you."),
        Turn("human_agent", "Hello, this is Ann."),
    ],
)
def test_vetoes(reply: Turn) -> None:
    """A transfer, words that announce it, or a human agent who speaks: not a refusal."""
    assert not classify([Turn("user", "A person please"), reply]).flagged


def test_transfer_after_the_reach_does_not_veto() -> None:
    """A transfer that comes only after the customer had to ask again does not undo the refusal."""
    turns = [Turn("user", "A human please"), Turn("bot", "No."), Turn("user", "Why not?"), Turn("bot", "Policy.")]
    done = Turn("bot", "", events=(Event("transfer"),))
    assert classify([*turns, done]).flagged is True
    assert classify([*turns[:2], done]).flagged is False


def test_tools_do_not_use_up_the_reach() -> None:
    """Turns of tools and wordless calls between request and reply don't count."""
    tools = [Turn("bot", events=(Event("tool_call", "f"),)), Turn("tool", events=(Event("tool_result", "f"),))] * 4
    rule = KeywordRule("refused", user=ASKS, bot=("unable",), within=1)
    assert classify([Turn("user", "A human please"), *tools, Turn("bot", "I am unable to.")], rule).flagged


def test_request_without_any_reply_is_no_refusal() -> None:
    """Nobody can have refused where the bot had no turn."""
    assert not classify([Turn("bot", "Hello"), Turn("user", "A person please")]).flagged


def test_then() -> None:
    """With both sides given, the bot's turn must come after the user's and within reach."""
    rule = KeywordRule("refused", user=ASKS, bot=("unable",), within=2)
    asked, other, refused = Turn("user", "A human please"), Turn("user", "Hm"), Turn("bot", "I am unable to.")
    prediction = classify([asked, other, refused], rule)
    assert prediction.flagged
    assert [e.turn for e in prediction.evidence] == [0, 2]
    assert not classify([asked, other, other, refused], rule).flagged
    assert not classify([refused, asked], rule).flagged


def test_first_rule_that_matches_wins() -> None:
    """Rules are tried in order; an adjacent label's rule before the target's keeps it from being flagged."""
    adjacent, target = KeywordRule("transferred", user=ASKS), KeywordRule("refused", user=ASKS)
    turns = [Turn("user", "A person please"), Turn("bot", "No.")]
    assert classify(turns, adjacent, target).label == "transferred"
    assert classify(turns, adjacent, target).flagged is False
    assert classify(turns, target, adjacent).label == "refused"


def test_turn_task_matches_only_at_the_turn_asked_about() -> None:
    """For a task about turns a rule counts where the turn asked about is part of the match, and only from so far."""
    rule = KeywordRule("refused", user=ASKS, bot=("unable",))
    classifier = KeywordClassifier(TURN_TASK, [rule])
    turns = (Turn("user", "A human please"), Turn("bot", "I am unable to."), Turn("user", "Oh"), Turn("bot", "Bye."))
    flags = [prediction.flagged for prediction in classifier.classify_turns(Conversation("c", turns))]
    assert flags == [True, False]
    vetoed = KeywordClassifier(TURN_TASK, [REFUSAL])
    later = (Turn("user", "A human"), Turn("bot", "No."), Turn("bot", events=(Event("transfer"),)))
    assert [p.flagged for p in vetoed.classify_turns(Conversation("c", later))] == [True, False]


def test_all_mistakes_at_once() -> None:
    """Every rule's mistakes are listed in one ConfigError, with the place of each."""
    rules = [
        KeywordRule("refusd", user=("a(",)),
        KeywordRule("refused"),
        KeywordRule("refused", bot=("*",), unless_bot=("[",), within=0, unless_event=("transfr",)),
        {"label": "refused", "user": "person"},
    ]
    with pytest.raises(ConfigError) as caught:
        KeywordClassifier(TASK, rules)
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 8
    for part in ("rules[0].label", "rules[0].user: 'a('", "rules[1]: needs", "rules[2].bot", "rules[2].within"):
        assert part in text
    assert "did you mean 'transfer'?" in text
    with pytest.raises(ConfigError, match="no rule"):
        KeywordClassifier(TASK, [])


def test_unknown_conversation() -> None:
    """An item about a conversation that was not given is misuse, not a failed item."""
    from llmclf.types import Item

    with pytest.raises(DataError, match="not given"):
        KeywordClassifier(TASK, [REFUSAL]).predict({}, [Item("nowhere")])


def test_a_huge_turn_is_searched_in_its_first_part() -> None:
    """A turn of a million characters costs no more than its first 20,000."""
    huge = Turn("user", "a human, " + "x " * 500_000)
    started = time.perf_counter()
    prediction = classify([huge, Turn("bot", "No.")])
    assert prediction.flagged
    assert time.perf_counter() - started < 2.0
    assert not classify([Turn("user", "x " * 500_000 + "a human"), Turn("bot", "No.")]).flagged


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["user", "bot"]), st.text(max_size=60)), max_size=6))
def test_quotes_are_verbatim(turns: list[tuple[str, str]]) -> None:
    """Whatever is said, evidence stands word for word in the turn it names, white space collapsed."""
    conversation = Conversation("c", tuple(Turn(speaker, text) for speaker, text in turns))
    rule = KeywordRule("refused", user=(r"\w[.?!]*",))
    prediction = KeywordClassifier(TASK, [rule]).classify(conversation)
    for evidence in prediction.evidence:
        assert evidence.quote
        assert evidence.quote in " ".join(conversation.turns[evidence.turn].text.split())
        assert len(evidence.quote) <= 200
