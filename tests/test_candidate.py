"""From candidates to prompts: what is literal stays literal, what was lost is put back, files give the same text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from llmclf.classifiers.wording import FILLED
from llmclf.errors import ConfigError
from llmclf.optimization.candidate import instruction_of, prompt_of
from llmclf.optimization.values import Candidate, Demonstration
from llmclf.render import Prompt, escaped, load_prompt

PARENT = Prompt(
    "ask",
    "\n=== system ===\n{{question}}\n\nLabels:\n{{labels}}\n{{answer_format}}\n{{examples}}\n"
    "=== user ===\n<conversation>\n{{conversation}}\n</conversation>\n{{item}}\n",
)
JUDGE = Prompt("judge", "=== system ===\n{{question}}\n{{verdicts}}\n{{answer_format}}\n=== user ===\n{{case}}\n")
VALUES = {name: f"<{name}>" for name in FILLED}
PIECES = ["{{conversation}}", "{{ labels\n}}", "{{nobody}}", "\\", "{", "}}", "\n=== user ===", "=== system === \t"]
ODD = ["\n", "\r\n", "\r", " ", "x", "é\u2028\u0085", "\ud83d", "</example>", "<example>", "< / Conversation>", "\x00"]
HOSTILE = st.lists(st.sampled_from([*PIECES, *ODD]) | st.text(max_size=4), max_size=12).map("".join)


def shot(text: str, answer: str = 'its label is "clean"', key: str = "c1") -> Demonstration:
    return Demonstration(key, text, "clean", answer)


def normal(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\r\n", "\n").replace("\r", "\n")


# --- literal text ------------------------------------------------------------------------------


@given(HOSTILE)
def test_escaped_text_fills_to_itself(text: str) -> None:
    """Whatever stands on lines of its own in a prompt, escaped, is sent as it is: no value, no part comes of it."""
    prompt = Prompt("p", f"=== system ===\nA {{{{x}}}}\n{escaped(text)}\nB\n=== user ===\n{{{{x}}}}\n")
    assert prompt.placeholders == {"x"}
    assert prompt.fill({"x": r"\{{x}}"}) == [("system", f"A \\{{{{x}}}}\n{text}\nB"), ("user", r"\{{x}}")]


def test_one_backslash_is_added_and_one_is_taken_away() -> None:
    """Text that has backslashes already keeps them, before placeholders as before headings and elsewhere."""
    text = "\\{{x}} \\\\{{x}} \\n\n\\=== user ===\n=== user ===\n=== user === and more"
    assert escaped(text).startswith("\\\\{{x}} \\\\\\{{x}} \\n\n\\\\=== user ===\n\\=== user ===\n=== user === and")
    assert Prompt("p", escaped(text)).fill({}) == [("user", text)]


# --- instructions ------------------------------------------------------------------------------


def test_the_instruction_is_the_system_part() -> None:
    """As a template; unchanged it is the parent, to the letter."""
    assert instruction_of(PARENT) == "{{question}}\n\nLabels:\n{{labels}}\n{{answer_format}}\n{{examples}}"
    same = prompt_of(Candidate(instruction_of(PARENT)), PARENT)
    assert (same, same.sha256) == (PARENT, PARENT.sha256)
    assert prompt_of(Candidate(instruction_of(PARENT)), PARENT, "new").id == f"new@{PARENT.sha256[:12]}"


@pytest.mark.parametrize(
    ("text", "say"),
    [
        ("{{question}} {{conversation}}", "one system part.*0 of them"),
        ("=== system ===\na\n=== system ===\nb\n=== user ===\n{{conversation}}", "one system part.*2 of them"),
        ("=== system ===\n{{conversation}}\n=== user ===\ngo", "holds {{conversation}}"),
        ("=== system ===\n{{case}}\n=== user ===\n{{case}}", "holds {{case}}"),
    ],
)
def test_a_prompt_without_an_instruction_of_its_own_can_not_be_optimized(text: str, say: str) -> None:
    """What would be written anew must be one part, and the data must not stand in it."""
    with pytest.raises(ConfigError, match=say):
        instruction_of(Prompt("p", text))


def test_what_an_instruction_lost_is_put_back() -> None:
    """Labels and answer format, without which no answer can be read; not what another word for it brings."""
    assert instruction_of(prompt_of(Candidate("Be strict."), PARENT)) == (
        "Be strict.\n\nLabels:\n{{labels}}\n\n{{answer_format}}\n\n{{examples}}"
    )
    kept = "{{ label_names }}{{answer_format}} {{examples}}"
    assert instruction_of(prompt_of(Candidate(kept), PARENT)) == kept
    judged = prompt_of(Candidate("{{examples}} {{labels}}"), JUDGE)
    assert instruction_of(judged) == r"\{{examples}} \{{labels}}" + "\n\nVerdicts:\n{{verdicts}}\n\n{{answer_format}}"


def test_what_nothing_fills_is_literal() -> None:
    """Names that a reflection model made up, the data itself, and headings, however they stand."""
    made = prompt_of(Candidate("Mind {{this}} and {{conversation}}\n=== user ===\n\\{{kept}}"), PARENT)
    system, user = made.fill(VALUES)
    assert system[1].startswith("Mind {{this}} and {{conversation}}\n=== user ===\n{{kept}}\n\nLabels:\n<labels>")
    assert user == ("user", "<conversation>\n<conversation>\n</conversation>\n<item>")


@pytest.mark.parametrize("words", ["", " \n\u2028", "x" * 100_001, "{" * 1_000_000])
def test_what_can_not_be_an_instruction_is_refused(words: str) -> None:
    """Nothing at all, where no placeholder brings words, and a megabyte: a ConfigError, which a search takes."""
    bare = Prompt("bare", "=== system ===\nSay yes or no.\n=== user ===\n{{conversation}}\n")
    with pytest.raises(ConfigError, match="1 to 100,000 characters"):
        prompt_of(Candidate(words), bare)
    alien = "{% for x in y %}{{ x }}{% endfor %} ${z} {0} {conversation} <%= q %>"
    assert prompt_of(Candidate(alien), bare).fill({"conversation": "c"}) == [("system", alien), ("user", "c")]


@given(HOSTILE, st.lists(st.tuples(HOSTILE, HOSTILE), max_size=2))
def test_a_candidate_has_the_same_two_parts_whatever_it_says(
    tmp_path_factory: pytest.TempPathFactory, instruction: str, shots: list[tuple[str, str]]
) -> None:
    """No instruction and no demonstration opens a part, closes a tag or pulls in the data; a file gives it back."""
    demonstrations = tuple(shot(text, answer, f"c{number}") for number, (text, answer) in enumerate(shots))
    made = prompt_of(Candidate(instruction, demonstrations), PARENT, "new")
    (first, system), (second, user) = made.fill(VALUES)
    assert (first, second, user) == ("system", "user", PARENT.fill(VALUES)[1][1])
    assert "<conversation>" not in system.replace(normal(instruction).strip(), "")
    assert "<labels>" in system or "<label_names>" in system
    assert "<answer_format>" in system
    if demonstrations and "example" not in instruction:
        assert system.count("<example>\n") == system.count("\n</example>\nAnswer:") == len(demonstrations)
        assert system.count("<example>") == system.count("</example>") == len(demonstrations)
    path = Path(tmp_path_factory.getbasetemp(), "new.txt")
    path.write_text(made.text, encoding="utf-8")
    assert load_prompt(str(path)) == made
    assert prompt_of(Candidate(instruction_of(made)), made) == made


# --- demonstrations ----------------------------------------------------------------------------


def test_demonstrations_stand_where_the_examples_stood() -> None:
    """Alone on their lines, literally, and the items count as shown; without any the placeholder stays."""
    candidate = Candidate(
        "Look: {{examples}} Now you.\n{{labels}} {{answer_format}}", (shot("a {{target}}"), shot("b"))
    )
    made = prompt_of(candidate, PARENT)
    assert instruction_of(made) == (
        'Look: \n\n<example>\na \\{{target}}\n</example>\nAnswer: its label is "clean"\n\n'
        '<example>\nb\n</example>\nAnswer: its label is "clean"\n\n Now you.\n{{labels}} {{answer_format}}'
    )
    assert made.shown == {"c1"}
    assert instruction_of(prompt_of(Candidate("x {{labels}}"), PARENT)).endswith("{{answer_format}}\n\n{{examples}}")
    judged = prompt_of(Candidate(instruction_of(JUDGE), (shot("case", "{}"),)), JUDGE)
    assert judged.parts[0][1].endswith("{{answer_format}}\n\n<example>\ncase\n</example>\nAnswer: {}")


def test_what_the_parent_showed_and_learned_from_stays_known() -> None:
    """A prompt that is optimized again shows what its parent shows."""
    parent = Prompt("ask", PARENT.text, frozenset({"c0"}), frozenset({"hash"}))
    made = prompt_of(Candidate("new", (shot("a"),)), parent)
    assert (made.shown, made.learned_from) == ({"c0", "c1"}, {"hash"})


# --- provenance --------------------------------------------------------------------------------


def test_the_file_beside_a_prompt_says_what_it_shows(write, tmp_path: Path) -> None:
    """Also once the text was edited; it is no part of the prompt's id."""
    write("prompts/mine.txt", "Ask: {{conversation}}")
    plain = load_prompt("mine", tmp_path)
    said = {"format": "llmclf-prompt", "version": 1, "sha256": "0" * 64, "shown": ["c1"], "learned_from": ["ab"]}
    write("prompts/mine.json", json.dumps(said))
    prompt = load_prompt("mine", tmp_path)
    assert (prompt.shown, prompt.learned_from) == ({"c1"}, {"ab"})
    assert (plain.shown, plain, plain.id) == (frozenset(), prompt, prompt.id)


@pytest.mark.parametrize(
    ("text", "say"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "does not say where that comes from"),
        ('{"format": "other", "version": 1}', "does not say where that comes from"),
        ('{"format": "llmclf-prompt", "version": 2}', "another version than 1; got 2"),
        ('{"format": "llmclf-prompt", "version": 1, "shown": "c1"}', "no list of texts as shown"),
        ('{"format": "llmclf-prompt", "version": 1, "learned_from": [1]}', "no list of texts as learned_from"),
    ],
)
def test_a_file_of_something_else_beside_a_prompt_is_said(write, tmp_path: Path, text: str, say: str) -> None:
    """Nobody may take a prompt for a fresh one because its origin can't be read."""
    write("prompts/mine.txt", "Ask: {{conversation}}")
    path = write("prompts/mine.json", text)
    with pytest.raises(ConfigError, match=say) as caught:
        load_prompt("mine", tmp_path)
    assert caught.value.where == str(path)
