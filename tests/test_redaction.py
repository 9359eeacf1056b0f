"""Personal data out of texts and conversations."""

from __future__ import annotations

import doctest
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings, strategies as st

import llmclf.render.redaction
from llmclf.errors import ConfigError
from llmclf.render.redaction import KINDS, Memory, Redaction
from llmclf.types import Conversation, Event, Turn

REDACTION = Redaction()
PLACEHOLDER = re.compile(r"\[[A-Z]+_\d+\]")


def redacted(text: str) -> str:
    return REDACTION.redact_text(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to ana.kowalska+x@mail.example.co.uk.", "write to [EMAIL_1]."),
        ("call 555-123-4567 or (555) 123-4567", "call [PHONE_1] or [PHONE_1]"),
        ("+48 601 234 567, 0048601234567", "[PHONE_1], [PHONE_1]"),
        ("ring 5551234567, not 07700 900123", "ring [PHONE_1], not [PHONE_2]"),
        ("06 12 34 56 78 / 01.23.45.67.89", "[PHONE_1] / [PHONE_2]"),
        ("my number is 6012345", "my number is [PHONE_1]"),
        ("555-123-4567 555-987-6543", "[PHONE_1] [PHONE_2]"),
        ("tel5551234567x12", "tel[PHONE_1]x12"),
        ("card 4111 1111 1111 1111, 4111-1111-1111-1111", "card [CARD_1], [CARD_1]"),
        ("378282246310005 is mine", "[CARD_1] is mine"),
        ("order 12 4111111111111111 123", "order 12 [CARD_1] 123"),
        ("GB82 WEST 1234 5698 7654 32 and then", "[IBAN_1] and then"),
        ("to DE89370400440532013000!", "to [IBAN_1]!"),
        ("AB12 my email ana@x.com", "AB12 my email [EMAIL_1]"),
        ("from 203.0.113.7 and 2001:db8::8a2e:370:7334", "from [IP_1] and [IP_2]"),
        ("ssn 123-45-6789 or 123 45 6789", "ssn [ID_1] or [ID_1]"),
        ("passport: X1234567, NI AB 12 34 56 C", "passport: [ID_1], NI [ID_2]"),
        ('{"first_name": "Mia", "last_name": "Li"} Li', '{"first_name": "[NAME_1]", "last_name": "[NAME_2]"} [NAME_2]'),
        ('{"note": "call\\n5551234567"}', '{"note": "call\\n[PHONE_1]"}'),
        ("My name is Ana Kowalska. Ana, KOWALSKA, Ana's", "My name is [NAME_1]. [NAME_1], [NAME_1], [NAME_1]'s"),
        ("this is Bob speaking. Thanks, Bob", "this is [NAME_1] speaking. Thanks, [NAME_1]"),
        ("hi, this is bob smith calling about", "hi, this is [NAME_1] calling about"),
        ("I'm called Zoë van der Berg!", "I'm called [NAME_1]!"),
        ("my name is ana kowalska, where is ana's bag", "my name is [NAME_1], where is [NAME_1]'s bag"),
        ("my name is bob please help", "my name is [NAME_1] please help"),
        ("MY NAME IS PETER PAN AND I WAIT", "MY NAME IS [NAME_1] AND I WAIT"),
        ("Mr. Smith and Dr O'Neil-Brown", "Mr. [NAME_1] and Dr [NAME_2]"),
        ("Dear Ms Pell, best regards,\nJohn Doe", "Dear Ms [NAME_1], best regards,\n[NAME_2]"),
        ("my name is will. Will you help? Thanks, Will.", "my name is [NAME_1]. Will you help? Thanks, [NAME_1]."),
        ("my name is 王小明, 王小明!", "my name is [NAME_1], [NAME_1]!"),
        ("me llamo José García.", "me llamo [NAME_1]."),
        ("It's Doreen Pemberly here", "It's [NAME_1] here"),
    ],
)
def test_finds(text: str, expected: str) -> None:
    """Each kind of personal data becomes a placeholder, the same value the same one."""
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-04 at 10:30:45, or 04/11/2026, or 2019-2020",
        "it cost $1,299.00 or 12.50, in total 1299.00 1500.00",
        "order 12345678, flight LH1234, seat 12A, 100 200",
        "gpt-5.4-mini-2026-03-17 and litellm 1.106.2",
        "3.14159265358979 is pi",
        "4111 is not a card and 10 20 30 is a list",
        "std::vector<int> ::1 a::b",
        "This is ridiculous. This is not speaking to me. Dear Customer, dear team",
        "I am so sorry, I am from Leeds. call me back later. My name is on the list",
        "Thanks, Bob",
        "I miss flying, 500 ms delay, the name is wrong",
        "d2f1a99b4e5c4f6a8b7c6d5e4f3a2b1c 1f0e9d8c7b6a5f4e3d2c1b0a99887766",
    ],
)
def test_leaves_alone(text: str) -> None:
    """Dates, prices, versions, order numbers and plain words stay."""
    assert redacted(text) == text


def test_a_number_never_reaches_over_a_placeholder() -> None:
    """Digits on both sides of a placeholder are not one number."""
    assert redacted("4111 1111 [CARD_1] 1111 1111") == "4111 1111 [CARD_1] 1111 1111"
    assert redacted("555-[NAME_2]-123-45") == "555-[NAME_2]-123-45"


def test_numbering_goes_on_after_placeholders_that_are_there() -> None:
    """A new value never gets the placeholder of another one that was redacted earlier."""
    assert redacted("[PHONE_3] then 5551234567") == "[PHONE_3] then [PHONE_4]"
    assert redacted("[PHONE_99999] then 5551234567") == "[PHONE_99999] then [PHONE_1]"


def test_a_made_up_placeholder_hides_nothing() -> None:
    """A number dressed as a placeholder is found all the same."""
    assert "5551234567" not in redacted("[PHONE_5551234567]")


def test_a_conversation_is_redacted_as_one() -> None:
    """Turns, events and speaker ids share placeholders; a name introduced late is replaced from the start."""
    conversation = Conversation(
        "c1",
        (
            Turn("bot", "Good morning, Ana!", speaker_id="bot-2"),
            Turn("user", "my name is Ana Kowalska, 555-123-4567"),
            Turn("tool", events=(Event("tool_result", "find_ana_kowalska", '{"phone": "(555) 123-4567"}'),)),
            Turn("human_agent", "Hello", speaker_id="Ana Kowalska", time=datetime(2026, 11, 4, tzinfo=UTC)),
        ),
        metadata={"channel": "chat"},
    )
    result = REDACTION.redact(conversation)
    turns = result.conversation.turns
    assert [turn.text for turn in turns] == ["Good morning, [NAME_1]!", "my name is [NAME_1], [PHONE_1]", "", "Hello"]
    assert turns[2].events == (Event("tool_result", "find_[NAME_1]_[NAME_1]", '{"phone": "[PHONE_1]"}'),)
    assert turns[0].speaker_id == "bot-2"
    assert turns[3].speaker_id == "[NAME_1]"
    assert turns[3].time == conversation.turns[3].time
    assert result.conversation.metadata == {"channel": "chat"}
    assert result.mapping_count == 2
    assert REDACTION.redact(result.conversation).conversation == result.conversation


def test_personal_metadata_is_replaced_and_left_out() -> None:
    """Values of `metadata_keys` vanish from every text and from the metadata; a name by its parts too."""
    redaction = Redaction(metadata_keys=("customer_name", "account", "absent", "flag"), kinds=("phone",))
    conversation = Conversation(
        "c1",
        (Turn("user", "It is about account  ab-77, says Kowalska"), Turn("bot", "AB-77? Fine, Ana.")),
        metadata={"customer_name": "Ana Kowalska", "account": "AB-77", "channel": "chat", "flag": True},
    )
    result = redaction.redact(conversation).conversation
    assert [turn.text for turn in result.turns] == [
        "It is about account  [PERSONAL_1], says [NAME_1]",
        "[PERSONAL_1]? Fine, [NAME_1].",
    ]
    assert result.metadata == {"channel": "chat"}


def test_given_names_are_replaced_in_any_case() -> None:
    """Words of `names` need no introduction."""
    redaction = Redaction(names=("Ana Kowalska", "Nimbus"))
    text = redaction.redact_text("ANA  KOWALSKA asked Nimbus, not nimbusnet")
    assert text == "[NAME_1] asked [NAME_2], not nimbusnet"


def test_kinds_can_be_chosen() -> None:
    """Only the kinds asked for are looked for."""
    text = "my name is Ana, ana@x.com, 5551234567, 4111111111111111"
    assert Redaction(kinds=("card",)).redact_text(text).endswith("5551234567, [CARD_1]")
    assert Redaction(kinds=()).redact_text(text) == text


def test_own_function_is_applied_to_every_text() -> None:
    """`custom` sees each text first, and its failure stops everything."""
    redaction = Redaction(custom=lambda text: text.replace("Room 12", "[ROOM]"))
    assert redaction.redact_text("Room 12, 5551234567") == "[ROOM], [PHONE_1]"
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        Redaction(custom=lambda text: str(1 / 0)).redact_text("secret")
    with pytest.raises(ConfigError, match="must return text"):
        Redaction(custom=lambda text: None).redact_text("secret")  # type: ignore[arg-type,return-value]


def test_memory_carries_names_from_text_to_text() -> None:
    """What one text introduces is replaced in later ones about the same conversation, and only there."""
    memory = Memory()
    assert REDACTION.redact_text("my name is Ana", memory) == "my name is [NAME_1]"
    assert REDACTION.redact_text("Ana asked for a person", memory) == "[NAME_1] asked for a person"
    assert REDACTION.redact_text("Ana asked for a person") == "Ana asked for a person"


def test_when_is_asked_before_sending_and_storing() -> None:
    """The four settings say when to redact."""
    settings = [Redaction(when="off"), Redaction(when="sending"), Redaction(when="storing"), Redaction(when="both")]
    assert [one.before_sending for one in settings] == [False, True, False, True]
    assert [one.before_storing for one in settings] == [False, False, True, True]


def test_mistakes_are_listed_all_at_once() -> None:
    """Unknown kinds and moments come in one message, with the nearest right word."""
    with pytest.raises(ConfigError) as caught:
        Redaction(when="allways", kinds=("phones", "card"), names="Ana")  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3
    assert "phone" in str(caught.value)


PIECES = st.sampled_from(
    ["my name is ", "this is ", "Ana", "will", "Will", "Bob Smith", " speaking", "Dear ", "Mr ", "I'm ", "call me ",
     ", ", ". ", " ", "-", "\n", "+", "(", ")", "[", "]", "[NAME_1]", "[PHONE_2]", "[CARD_", "_1]", "x", "é", "İ",
     "4111 1111 1111 1111", "555-123-4567", "123-45-6789", "12", "7", "0048", "@", "ana@x.com", "AB12", "1.2.3.4",
     "GB82WEST12345698765432", "::", "2026-11-04", "name: ", '"first_name": "', "\\n", "٣٤٥", "regards,\n", "and",
     "NAME", "CARD"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=60)


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_redacting_twice_changes_nothing(texts: list[str]) -> None:
    """What was redacted is left as it is, in any order of pieces, also with what is remembered."""
    memory = Memory()
    once = REDACTION.redact_texts(texts, memory)
    assert REDACTION.redact_texts(once) == once
    assert REDACTION.redact_texts(once, memory) == once


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from(["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"]), TEXTS)
def test_a_planted_card_never_survives(before: str, card: str, after: str) -> None:
    """A valid card number is gone wherever it stands by itself."""
    assert "-> [CARD_" in redacted(f"{before} -> {card}, {after}")


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS)
def test_placeholders_that_are_there_stay_whole(before: str, after: str) -> None:
    """A placeholder comes through as it was."""
    assert "[PHONE_77]" in redacted(f"{before} [PHONE_77] {after}")


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_same_placeholder_same_value(texts: list[str]) -> None:
    """A placeholder stands for one value only: as many placeholders as values were found."""
    plain = [PLACEHOLDER.sub("", text) for text in texts]
    memory = Memory()
    found = {mark for text in REDACTION.redact_texts(plain, memory) for mark in PLACEHOLDER.findall(text)}
    assert len(found) <= len(memory)


def test_the_example_in_the_docstring_holds() -> None:
    """What the documentation shows is what happens."""
    assert doctest.testmod(llmclf.render.redaction).failed == 0


def test_every_kind_is_named() -> None:
    """The kinds are those of the workspace file."""
    assert KINDS == ("email", "phone", "card", "iban", "ip", "id", "name")


@pytest.mark.parametrize("text", ["a" * 200_000, "1" * 200_000, "1 " * 8_000, "a@" * 50_000, "A1" * 100_000,
                                  "my name is " * 20_000, "[" * 100_000, "::" * 50_000, "1.2." * 50_000])  # fmt: skip
@pytest.mark.timeout(20)
def test_hostile_texts_take_no_longer(text: str) -> None:
    """Long runs of anything are read in time that grows with their length, not with its square."""
    redacted(text)
