"""Judge files: what their fingerprint follows, which mistakes are told, panels, and the judges that ship."""

from __future__ import annotations

import re

import pytest
from judging_help import BACKED, CONVERSATION, PROMPT, case, opened, said, sent, write_judges
from wire import Received, Wire, chat, failure

import llmclf
from llmclf.config import listing
from llmclf.config.files import packaged_root
from llmclf.errors import ConfigError
from llmclf.judges import majority
from llmclf.workspace.checking import check_file, check_workspace

HELD = {"c1": CONVERSATION}
SHIPPED = ["annotation_audit", "coherence", "evidence", "faithfulness", "reason_anomaly", "safety"]


@pytest.fixture
def judges(workspace, write):
    """The workspace with judge files."""
    write_judges(write)
    return workspace


def fingerprint(workspace, name: str = "backed") -> str:
    with opened(workspace, name) as judge:
        return judge.fingerprint


CHANGES = {
    "question": ("borne out?", "borne out at all?"),
    "definition": ("states what is not so", "states something that is not so"),
    "rule": ("Words nobody said count.", "Words nobody said always count."),
    "rule id": ("R1 =", "R9 ="),
    "verdict": ("[verdicts.backed]", "[verdicts.supported]"),
    "roles": ('role = "clean"', 'role = "target"'),
    "sees": ('["conversation", "label", "rationale"]', '["conversation", "rationale", "label"]'),
    "context": ('model = "wire/m"', 'model = "wire/m"\ncontext = "so_far"'),
    "model": ('model = "wire/m"', 'model = "wire/unpriced"'),
    "thinking": ('model = "wire/m"', 'model = "wire/m"\nthinking = "low"'),
    "temperature": ('model = "wire/m"', 'model = "wire/m"\ntemperature = 0.5'),
    "output limit": ('model = "wire/m"', 'model = "wire/m"\nmax_output_tokens = 900'),
    "window": ('model = "wire/m"', 'model = "wire/m"\nlast_turns = 5'),
}


@pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)
def test_whatever_decides_a_verdict_is_in_the_fingerprint(old: str, new: str, judges, write) -> None:
    """One change of the file, another fingerprint; and back again."""
    before = fingerprint(judges)
    text = BACKED
    if "target" in new:  # the roles exchanged
        text = text.replace('role = "target"', 'role = "adjacent"')
    changed = text.replace(old, new, 1)
    assert changed != BACKED
    write("judges/backed.toml", changed)
    assert fingerprint(judges) != before
    write("judges/backed.toml", BACKED)
    assert fingerprint(judges) == before


def test_the_prompt_and_what_the_model_is_are_in_the_fingerprint(judges, write) -> None:
    """A word in the prompt, or the deployment behind a model's name, makes it another judge."""
    before = fingerprint(judges)
    write("prompts/backed.txt", PROMPT.replace("One of", "Choose one of"))
    assert fingerprint(judges) != before
    write("prompts/backed.txt", PROMPT)
    models = judges / "configs" / "models.toml"
    text = models.read_text()
    models.write_text(text.replace("openai/wire-model", "openai/wire-model-2"))
    assert fingerprint(judges) != before


ROWS = {
    "http": (
        'route = "http"\napi_base = "http://127.0.0.1:1/v1"\nmodel = "m"\n'
        "price = {input_usd_per_million = 1, output_usd_per_million = 1}\n",
        ('api_base = "http://127.0.0.1:1/v1"', 'api_base = "http://127.0.0.1:2/v1"'),
        ('model = "m"\n', 'model = "m"\ntemperature = false\n'),
        ('model = "m"\n', 'model = "m"\njson_schema = true\n'),
        ('model = "m"\n', 'model = "m"\nthinking_tokens = "budget"\n'),
    ),
    "sim": (
        'route = "sim"\nrecall = 0.9\nfalse_alarm_rate = 0.01\ninput_usd_per_million = 1\noutput_usd_per_million = 1\n',
        ("recall = 0.9", "recall = 0.5"),
        ("false_alarm_rate = 0.01", "false_alarm_rate = 0.2"),
    ),
    "replay": ('route = "replay"\nmodel = "wire/m"\nsource = "a.jsonl"\n', ("a.jsonl", "b.jsonl")),
    "local": ('route = "local"\npath = "m.gguf"\n', ('"m.gguf"', '"m.gguf"\ncontext_tokens = 4096')),
}


@pytest.mark.parametrize("kind", ROWS)
def test_the_row_of_a_model_is_in_the_fingerprint(kind: str, judges, write) -> None:
    """Where it stands, its flags, its settings and its source; not what it costs, nor a default that is written out."""
    row, *changes = ROWS[kind]
    models = judges / "configs" / "models.toml"
    before = models.read_text()
    write("judges/mine.toml", BACKED.replace("wire/m", "mine/m"))

    def made(text: str) -> str:
        models.write_text(f'{before}\n[models."mine/m"]\n{text}')
        return fingerprint(judges, "mine")

    plain = made(row)
    assert len({plain, *(made(row.replace(old, new)) for old, new in changes)}) == 1 + len(changes)
    assert made(row.replace("input_usd_per_million = 1", "input_usd_per_million = 2")) == plain
    if kind == "http":
        assert made(row.replace('model = "m"', 'model = "m"\ntemperature = true')) == plain


def test_what_is_redacted_before_sending_is_in_the_fingerprint(judges, write) -> None:
    """On or off, the kinds and the names; not what is done before storing, nor the order of a list."""

    def made(privacy: str) -> str:
        write("llmclf.toml", f"version = 1\n[privacy]\n{privacy}")
        return fingerprint(judges)

    both, off = made(""), made('redact = "off"')
    assert len({both, off, made('kinds = ["email"]'), made('names = ["Jane Roe"]')}) == 4
    assert made('redact = "storing"') == off and made('redact = "sending"') == both
    assert made('kinds = ["name", "id", "ip", "iban", "card", "phone", "email"]') == both


def test_nothing_else_is_in_the_fingerprint(judges, write, wire: Wire, monkeypatch, tmp_path) -> None:
    """Neither the judge's name, its bar, comments, which key pays, what it costs, nor what was judged."""
    wire.default = chat(said())
    before = fingerprint(judges)
    write("judges/renamed.toml", "# a comment\n" + BACKED + "[bar]\nsensitivity = 0.9\nlooks = 2\n")
    assert fingerprint(judges, "renamed") == before
    models = judges / "configs" / "models.toml"
    text = models.read_text()
    models.write_text(text.replace("WIRE_KEY", "OTHER_KEY"))
    write("configs/prices.toml", 'version = 1\n[prices."wire/m"]\ninput_usd_per_million=9\noutput_usd_per_million=9\n')
    assert fingerprint(judges) == before
    models.write_text(text)
    with opened(judges) as judge:
        llmclf.judge([case()], judge, conversations=HELD)
        assert judge.fingerprint == before


MISTAKES = {
    'scale = "binary"': ('scale = "yes"', "scale: "),
    'role = "target"': ('role = "clean"', "some verdicts must have role 'target'"),
    "[verdicts.backed]": ("[verdicts.cannot_tell]", "cannot_tell may always be answered"),
    'prompt = "backed"': ('promt = "backed"', "did you mean 'prompt'?"),
    '"label", "rationale"]': ('"a", "rationale"]', "two answers to choose between go together"),
    '"label",': ('"label", "label",', "names label twice"),
    "sees = ": ("bar = {sensitivity = 1.5}\nsees = ", "bar.sensitivity: "),
    'kind = "llm"': ('kind = "lm"', "kind: must be one of llm, panel, recorded"),
}


@pytest.mark.parametrize(("old", "new", "said"), [(old, *rest) for old, rest in MISTAKES.items()], ids=str)
def test_a_mistake_in_a_file_is_told(old: str, new: str, said: str, judges, write) -> None:
    """By loading and by `llmclf check` alike, with its place."""
    path = write("judges/wrong.toml", BACKED.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught, opened(judges, "wrong"):
        pass
    assert said in str(caught.value)
    assert said in check_file(path, judges).problem


def test_check_reads_judges_and_their_prompts(judges, write) -> None:
    """A right workspace has no mistake; a prompt without the case, a lost prompt, an unknown model each are one."""
    assert [one for one in check_workspace(judges) if one.problem] == []
    assert {one.name for one in check_workspace(judges) if one.kind == "judge"} == {"backed", "choice"}
    write("prompts/odd.txt", PROMPT.replace("{{question}}", "{{qestion}}"))
    for name, old, new in (
        ("odd", '"backed"', '"odd"'),
        ("bare", '"backed"', '"ask"'),
        ("lost", '"backed"', '"gone"'),
        ("model", '"wire/m"', '"wire/nowhere"'),
        ("thinks", '"wire/m"', '"wire/m"\nthinking = "max"'),
    ):
        write(f"judges/{name}.toml", BACKED.replace(old, new, 1))
    found = {f"{one.kind} {one.name}": one.problem or one.blocked_by for one in check_workspace(judges)}
    assert "did you mean 'question'?" in found["prompt odd"]
    assert found["judge odd"].endswith("odd.txt")
    assert "{{case}}" in found["judge bare"]
    assert "there is no prompt 'gone'" in found["judge lost"]
    assert "there is no such model" in found["judge model"]
    assert "takes thinking low, high" in found["judge thinks"]


PANEL = 'version = 1\nkind = "panel"\njudges = ["one", "two", "three"]\n'


@pytest.fixture
def panel(judges, write):
    """Three judges of one rubric, told apart by their question, and a panel of them."""
    for name in ("one", "two", "three"):
        write(f"judges/{name}.toml", BACKED.replace("borne out?", f"borne out, {name}?"))
    write("judges/panel.toml", PANEL)
    return judges


def votes(**said_by: str):
    """Answers by which member asks."""

    def reply(request: Received):
        name = re.search(r"borne out, (\w+)\?", sent(request))[1]  # type: ignore[index]
        answer = said_by[name]
        return failure(401) if answer == "failed" else chat(said(answer, f"{name} thinks so"))

    return reply


@pytest.mark.parametrize(
    ("said_by", "verdict"),
    [
        (("backed", "backed", "unbacked"), "backed"),
        (("unbacked", "unbacked", "failed"), "unbacked"),
        (("backed", "unbacked", "failed"), "cannot_tell"),
        (("backed", "unbacked", "cannot_tell"), "cannot_tell"),
        (("backed", "failed", "failed"), "cannot_tell"),
        (("failed", "failed", "failed"), None),
    ],
)
def test_a_panel_says_what_more_than_half_say(said_by, verdict, panel, wire: Wire) -> None:
    """A tie is cannot_tell, all failing is a failure; every vote is kept, and the cost is that of all."""
    names = ("one", "two", "three")
    wire.default = votes(**dict(zip(names, said_by, strict=True)))
    with opened(panel, "panel") as judge:
        (judgment,) = llmclf.judge([case()], judge, conversations=HELD)
        assert judgment.verdict == verdict
        given = [None if one == "failed" else one for one in said_by]
        assert judgment.votes == tuple(zip(names, given, strict=True))
        assert (judgment.error is None) == (verdict is not None)
        assert judgment.cost_nano_usd == 300_000 * sum(one is not None for one in given)
        assert judge.runtime.store.judgments("panel") == [judgment]
        if verdict is None:
            assert "every member failed" in judgment.error.message
        elif verdict == "cannot_tell":
            assert judgment.reason
        else:
            assert "one thinks so" in judgment.reason
        if None not in given:
            again = judge.judge([case()], HELD)
            assert again[0].cached and len(wire.received) == 3


def test_a_panel_that_meets_a_cap_fails_as_over_budget(panel, wire: Wire) -> None:
    """Half a panel is no verdict: once the cap is raised the rest is asked."""
    wire.default = chat(said(), usage={"prompt_tokens": 100, "completion_tokens": 2000, "total_tokens": 2100})
    with opened(panel, "panel", max_usd=0.05, concurrency=1) as judge:
        (judgment,) = llmclf.judge([case()], judge, conversations=HELD)
        assert judgment.error is not None and judgment.error.kind == "over_budget"
    with opened(panel, "panel") as judge:
        assert llmclf.judge([case()], judge, conversations=HELD)[0].verdict == "backed"
    assert len(wire.received) == 3


def test_a_panel_follows_its_members(panel, write) -> None:
    """A change of a member is a change of the panel; the order of its members is none."""
    before = fingerprint(panel, "panel")
    write("judges/panel.toml", PANEL.replace('"one", "two", "three"', '"three", "one", "two"'))
    assert fingerprint(panel, "panel") == before
    write("judges/two.toml", BACKED.replace("borne out?", "borne out, two, really?"))
    assert fingerprint(panel, "panel") != before


def test_members_that_do_not_go_together_are_named(panel, write) -> None:
    """Other verdicts, a panel in a panel, the same judge twice, a judge that is not there."""
    for members, message in (
        ('["one", "choice"]', "choice has first, second, tie"),
        ('["one", "panel"]', "can't be a member of a panel"),
        ('["one", "one"]', "stand twice"),
        ('["one", "gone"]', "there is no judge 'gone'"),
    ):
        path = write("judges/odd.toml", PANEL.replace('["one", "two", "three"]', members))
        with pytest.raises(ConfigError, match=re.escape(message)), opened(panel, "odd"):
            pass
        assert message in check_file(path, panel).problem


def test_majority_is_of_all_votes() -> None:
    """Failed votes count as votes for nothing; four votes need three."""
    assert majority([]) == "cannot_tell"
    assert majority(["a", "a", "b", "b"]) == "cannot_tell"
    assert majority(["a", "a", "a", "b"]) == "a"
    assert majority(["cannot_tell", "cannot_tell", "a"]) == "cannot_tell"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_judge_can_be_asked(name: str) -> None:
    """Each ships with rules, a prompt, a bar and the command that runs it in its first comment."""
    assert set(SHIPPED) <= set(listing("judge"))
    lines = (packaged_root() / "judges" / f"{name}.toml").read_text().splitlines()
    assert lines[0].startswith("# ") and f"llmclf judge run {name} " in lines[1]
    with llmclf.Runtime() as runtime:
        judge = llmclf.load_judge(name, runtime=runtime)
        assert judge.status.state == "uncalibrated" and len(judge.rubric.rules) >= 6
        assert judge.rubric.scale == ("categorical" if name == "reason_anomaly" else "binary")
        assert judge.rubric.verdicts[0].role == "target"
        shown = dict.fromkeys(judge.rubric.sees, "some words")
        (request,) = judge.requests(case(shown=shown), CONVERSATION)
        words = "\n".join(message.content for message in request.messages)
        assert all(f"{rule}. " in words for rule in judge.rubric.rules)
        assert "jane@example.com" not in words and "{{" not in words
    assert check_file(packaged_root() / "judges" / f"{name}.toml", None).problem == ""
