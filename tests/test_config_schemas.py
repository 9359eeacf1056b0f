"""Every kind of file: what is read from it, and what is said of each mistake."""

from __future__ import annotations

from textwrap import dedent

import pytest
from pydantic import ValidationError

from llmclf.config import (
    LocalRow,
    SimRow,
    VendorRow,
    listing,
    load,
    load_models,
    load_prices,
    load_task,
    load_workspace,
)
from llmclf.config.files import KINDS, packaged_root
from llmclf.errors import ConfigError

SHA = "0" * 64
GOOD = {
    "task": """
        version = 1
        question = "Is a person refused?"
        [labels.refused]
        role = "target"
        definition = "asked and refused"
        rules = {R1 = "A queue is no refusal."}
        [labels.clean]
        role = "clean"
        definition = "nothing of it"
        [failure_modes]
        flat = "says no"
    """,
    "classifier": """
        version = 1
        kind = "llm"
        task = "refusal"
        model = "openai/gpt-4.1-mini"
        prompt = "refusal/v1"
        thinking = 2048
        last_turns = 12
    """,
    "dataset": """
        version = 1
        conversations = "c.jsonl"
        labels = "l.jsonl"
        [design]
        kind = "stratified"
        strata = [{name = "rest", population = 100, sampled = 10}]
    """,
    "sweep": """
        version = 1
        classifier = "refusal"
        dataset = "samples"
        budget_usd = 5
        [grid]
        model = ["sim/small"]
        thinking = ["off", 2048]
        [costs]
        conversations_per_month = 400_000
    """,
    "judge": """
        version = 1
        kind = "llm"
        question = "Is it rude?"
        sees = ["conversation", "quote"]
        prompt = "judges/rude"
        model = "openai/gpt-4.1-mini"
        thinking = 2048
        [verdicts.rude]
        role = "target"
        definition = "belittles somebody"
        rules = {R1 = "Short is not rude."}
        [verdicts.polite]
        role = "clean"
        definition = "anything else"
        [bar]
        positives = 20
    """,
    "models": f"""
        version = 1
        [models."local/m"]
        route = "local"
        [models."local/m".weights]
        package = "p"
        package_version = "1"
        wheel_sha256 = "{SHA}"
        member = "m"
        sha256 = "{SHA}"
        megabytes = 1
        [models."sim/m"]
        route = "sim"
        recall = 0.9
        false_alarm_rate = 0.01
        input_usd_per_million = 0.1
        output_usd_per_million = 1
        [models."ours/m"]
        route = "litellm"
        litellm_model = "openai/m"
        api_base = "http://127.0.0.1:8000/v1"
        key_env = "OUR_KEY"
    """,
    "prices": """
        version = 1
        [prices."ours/m"]
        input_usd_per_million = 0.15
        output_usd_per_million = 0.6
    """,
    "workspace": """
        version = 1
        usd_per_month = 20
        allowed_models = ["openai/*"]
        [privacy]
        redact = "sending"
        kinds = ["email"]
    """,
}


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_a_good_file_of_each_kind_is_read(kind: str, write) -> None:
    """Every kind has an example that loads, and the loaded file can't be changed."""
    loaded = load(kind, write("file.toml", GOOD[kind]))
    assert loaded.version == 1
    with pytest.raises(ValidationError):
        loaded.version = 2


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"prompt", "models", "prices", "workspace"}))
def test_every_packaged_file_is_right(kind: str) -> None:
    """What llmclf ships passes its own checks."""
    folder, ending, _ = KINDS[kind]
    for name in listing(kind):
        load(kind, packaged_root() / folder / f"{name}{ending}")


def test_packaged_models_and_prices_are_right() -> None:
    """The shipped models.toml and prices.toml load."""
    assert all(isinstance(row, LocalRow | SimRow | VendorRow) for row in load_models().values())
    load_prices()


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_an_unknown_key_is_an_error_with_the_nearest(kind: str, write) -> None:
    """A mistyped key at the top of any file names the key that was meant."""
    text = dedent(GOOD[kind]).replace("version = 1\n", "version = 1\nversoin = 1\n")
    with pytest.raises(ConfigError) as caught:
        load(kind, write("file.toml", text))
    assert caught.value.problems == ("versoin: unknown key; did you mean 'version'?",)


@pytest.mark.parametrize("kind", sorted(GOOD))
@pytest.mark.parametrize("version", ["2", "true", "'1'", "1.5"])
def test_another_version_is_refused(kind: str, version: str, write) -> None:
    """Only the number 1 is version 1."""
    with pytest.raises(ConfigError, match="version: input should be 1"):
        load(kind, write("file.toml", dedent(GOOD[kind]).replace("version = 1\n", f"version = {version}\n")))


def problems(kind: str, text: str, write) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(kind, write("file.toml", text))
    assert "file.toml" in str(caught.value)
    return list(caught.value.problems)


def test_all_mistakes_of_a_file_are_in_one_message(write) -> None:
    """Missing, unknown, out of range, of the wrong type: each on its line with its place."""
    found = problems(
        "classifier",
        """
        version = 1
        kind = "llm"
        task = "../t"
        model = 3
        promt = "p"
        thinking = "hgh"
        threshold = nan
        last_turns = 0
        shots = 2
        """,
        write,
    )
    places = [problem.split(":")[0] for problem in found]
    assert sorted(places) == ["last_turns", "model", "prompt", "promt", "task", "thinking", "threshold"]
    by_place = dict(zip(places, found, strict=True))
    assert by_place["task"] == "task: is not a name: use letters, digits, '_', '-', '.' and '/'; got '../t'"
    assert by_place["thinking"].count("input should be") == 2
    assert by_place["prompt"] == "prompt: is missing"


def test_an_unknown_key_does_not_hide_a_broken_rule(write) -> None:
    """Rules over several keys are judged although a key is unknown."""
    found = problems(
        "classifier",
        """
        version = 1
        kind = "llm"
        task = "t"
        model = "x/y"
        prompt = "p"
        promt = "p"
        shots = 2
        """,
        write,
    )
    assert found == ["promt: unknown key; did you mean 'prompt'?", "`shots` and `shots_from` go together"]


@pytest.mark.parametrize("name", ["llm", "sim", "local", "keyword", "a.b"])
def test_places_are_written_as_in_the_file(name: str, write) -> None:
    """A table is called what the file calls it, also where its name is a word of llmclf."""
    quoted = f'"{name}"' if "." in name else name
    text = f"""
        version = 1
        question = "?"
        [labels.{quoted}]
        rol = "target"
        definition = "d"
        [labels.clean]
        role = "clean"
        definition = 3
    """
    assert problems("task", text, write) == [
        f"labels.{quoted}.role: is missing",
        f"labels.{quoted}.rol: unknown key; did you mean 'role'?",
        "labels.clean.definition: input should be a valid string; got 3",
    ]


@pytest.mark.parametrize(
    ("edit", "say"),
    [
        ('role = "clean"|role = "target"', "exactly one label must have role 'target', got ['refused', 'clean']"),
        ('role = "target"|role = "adjacent"', "exactly one label must have role 'target', got none"),
        ('role = "clean"|role = "adjacent"', "at least one label must have role 'clean'"),
        (
            '"nothing of it"|"nothing of it"\nrules = {R1 = "again"}',
            "rule ids must be unique in a task, got ['R1'] twice",
        ),
        ("unit|unit", ""),
    ],
)
def test_rules_of_a_task(edit: str, say: str, write) -> None:
    """One target, a clean label, rule ids that stand once."""
    old, new = edit.split("|")
    text = dedent(GOOD["task"]).replace(old, new)
    if say:
        assert problems("task", text, write) == [say]
    else:
        load("task", write("file.toml", text))


def test_a_turn_task_sees_no_later_turns_by_default(write, tmp_path) -> None:
    """The context of a turn is what came before it, unless the file says otherwise."""
    text = dedent(GOOD["task"]).replace("version = 1\n", 'version = 1\nunit = "turn"\n')
    write("configs/tasks/turns.toml", text)
    write("configs/tasks/whole.toml", text.replace('unit = "turn"\n', 'unit = "turn"\ncontext = "whole"\n'))
    write("configs/tasks/all.toml", GOOD["task"])
    assert load_task("turns", tmp_path).context == "so_far"
    assert load_task("whole", tmp_path).context == "whole"
    task = load_task("all", tmp_path)
    assert (task.context, task.target, task.failure_modes[0].name) == ("whole", "refused", "flat")
    assert task.labels[0].rules[0].id == "R1"


def test_keyword_rules_name_a_broken_pattern(write) -> None:
    """A pattern that is no regular expression is shown with the reason, at its rule."""
    found = problems(
        "classifier",
        """
        version = 1
        kind = "keyword"
        task = "t"
        [[rules]]
        label = "x"
        user = ["fine", "("]
        [[rules]]
        label = "x"
        """,
        write,
    )
    assert found[0].startswith("rules[0]: pattern '(' is not a regular expression")
    assert found[1] == "rules[1]: a rule needs `user` or `bot` patterns"


@pytest.mark.parametrize(
    ("kind", "text", "say"),
    [
        ("classifier", 'version = 1\nkind = "lm"\n', "kind: must be one of keyword, probe, llm; got 'lm'"),
        ("classifier", "version = 1\n", "kind: is missing"),
        (
            "models",
            'version = 1\n[models.x]\nroute = "ftp"\n',
            "models.x.route: must be one of local, sim, litellm, http, replay; got 'ftp'",
        ),
        ("models", 'version = 1\n[models."a/b"]\n', 'models."a/b".route: is missing'),
        ("models", 'version = 1\n[models.x]\nroute = "local"\n', "models.x: give either `path` or `weights`"),
        ("sweep", 'version = 1\ndataset = "d"\n[grid]\n', "the grid is empty: give at least one axis"),
        (
            "sweep",
            'version = 1\ndataset = "d"\n[grid]\nmodel = ["a"]\n',
            "grid.model varies a classifier: set `classifier` to an llm classifier",
        ),
        (
            "dataset",
            'version = 1\nconversations = "c"\n[design]\nkind = "stratified"\n',
            "design: `strata` and kind 'stratified' go together",
        ),
        (
            "prices",
            "version = 1\n[prices.x]\ninput_usd_per_million = -1\noutput_usd_per_million = inf\n",
            "prices.x.input",
        ),
        ("workspace", 'version = 1\n[privacy]\nkinds = ["e-mail"]\n', "privacy.kinds[0]: input should be 'email'"),
    ],
)
def test_what_is_said_of_one_mistake(kind: str, text: str, say: str, write) -> None:
    """The line names the place and what would be right."""
    assert problems(kind, text, write)[0].startswith(say)


def test_a_wrong_entry_is_not_also_an_empty_list(write) -> None:
    """A list whose only entry is wrong is one mistake, not two."""
    text = dedent(GOOD["sweep"]).replace('["sim/small"]', "[3]")
    assert problems("sweep", text, write) == ["grid.model[0]: input should be a valid string; got 3"]


@pytest.mark.parametrize(
    "base", ["http://user:secret@host/v1", "https://host/v1?api-key=secret", "host:8000", "ftp://host"]
)
def test_an_endpoint_holds_no_secret(base: str, write) -> None:
    """A user, a key or a query in a base URL would end in the store, so it is refused."""
    text = f'version = 1\n[models.x]\nroute = "litellm"\nlitellm_model = "openai/m"\napi_base = "{base}"\n'
    found = problems("models", text, write)
    assert found == ["models.x: `api_base` must be http(s)://HOST[:PORT][/PATH], without a user, key or query"]
    assert "secret" not in found[0]


def test_a_workspace_without_a_file_has_the_defaults(tmp_path, write) -> None:
    """No llmclf.toml: no cap, any model, redaction on."""
    rules = load_workspace(tmp_path)
    assert (rules.usd_per_month, rules.allowed_models, rules.privacy.redact) == (None, (), "both")
    write("llmclf.toml", GOOD["workspace"])
    assert load_workspace(tmp_path).usd_per_month == 20


def test_values_in_messages_are_short(write) -> None:
    """A wrong value of 100 kB does not make a message of 100 kB."""
    assert len(problems("prices", f'version = 1\nprices = "{"x" * 100_000}"\n', write)[0]) < 200
