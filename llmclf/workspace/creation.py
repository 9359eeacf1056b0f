"""Write a workspace of the user's own: task, prompt, classifiers, sweep, optimization, and what to edit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from llmclf.config.files import packaged_root
from llmclf.errors import ConfigError
from llmclf.types import Unit


@dataclass(frozen=True, slots=True)
class NewWorkspace:
    """The answers a new workspace is made from."""

    question: str
    """What is looked for, as a question."""
    target: str
    """Label of what is looked for."""
    adjacent: tuple[str, ...]
    """Labels that look like it and are not."""
    unit: Unit = "conversation"
    language: str = "en"


def create(folder: Path, new: NewWorkspace) -> list[Path]:
    """Writes the workspace into `folder` and returns its files. Nothing that exists is overwritten.

    Raises ConfigError for labels that are no names, and lists files that are in the way.
    """
    _check_labels(new)
    texts = _texts(new)
    in_the_way = [str(folder / name) for name in texts if (folder / name).exists()]
    if in_the_way:
        raise ConfigError(
            "these files exist already", where=str(folder), problems=in_the_way, fix="choose a new folder"
        )
    written = []
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _check_labels(new: NewWorkspace) -> None:
    import re

    names = (new.target, *new.adjacent)
    wrong = [name for name in names if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", name)]
    if wrong:
        raise ConfigError("labels are made of letters, digits, '_', '-' and '.'", got=wrong)
    if len(set(names)) < len(names) or "clean" in names:
        raise ConfigError("labels must differ, and 'clean' is added by itself", got=list(names))


def _texts(new: NewWorkspace) -> dict[str, str]:
    name = new.target
    prompt_source = "refusal/v1" if new.unit == "conversation" else "breakdown/v1"
    prompt = (packaged_root() / "prompts" / f"{prompt_source}.txt").read_text(encoding="utf-8")
    return {
        "llmclf.toml": _WORKSPACE,
        "configs/models.toml": _MODELS,
        f"configs/tasks/{name}.toml": _task(new),
        f"prompts/{name}/v1.txt": prompt,
        f"configs/classifiers/{name}_keyword.toml": _KEYWORD.format(name=name),
        f"configs/classifiers/{name}_probe.toml": _PROBE.format(name=name),
        f"configs/classifiers/{name}.toml": _LLM.format(name=name),
        f"configs/datasets/{name}.toml": _DATASET.format(name=name),
        f"configs/sweeps/{name}.toml": _SWEEP.format(name=name),
        f"configs/optimizations/{name}.toml": _OPTIMIZATION.format(name=name),
        "data/conversations.jsonl": _example_conversation(new),
        "README.md": _readme(new),
        "configs/columns.toml": _COLUMNS,
        ".gitignore": _GITIGNORE,
    }


def _task(new: NewWorkspace) -> str:
    text = json.dumps  # a JSON string is a TOML basic string
    parts = [
        f"# {new.question}\n#   llmclf check configs/tasks/{new.target}.toml\nversion = 1\n"
        f"question = {text(new.question, ensure_ascii=False)}\n"
        f"unit = {text(new.unit)}\nlanguage = {text(new.language)}\n",
        f'[labels."{new.target}"]\nrole = "target"\n'
        'definition = "Say in one sentence when this label is right."\n'
        f'[labels."{new.target}".rules]\n'
        'R1 = "A boundary case that counts, with an example in quotes."\n'
        'R2 = "A boundary case that does not count."\n',
    ]
    for label in new.adjacent:
        parts.append(
            f'[labels."{label}"]\nrole = "adjacent"\n'
            f'definition = "Looks like {new.target} and is not: say what it is."\n'
        )
    parts.append('[labels.clean]\nrole = "clean"\ndefinition = "None of the others."\n')
    parts.append('[failure_modes]\n# flat = "One way in which it happens; recall is reported for each."\n')
    return "\n".join(parts)


def _example_conversation(new: NewWorkspace) -> str:
    rows = [
        {
            "id": "example-1",
            "turns": [
                {"speaker": "user", "text": "Hello, my parcel has not come."},
                {"speaker": "bot", "text": "Let me look that up. It arrives tomorrow."},
                {"speaker": "user", "text": "Good, thank you."},
                {"speaker": "bot", "text": "You are welcome."},
            ],
            "metadata": {"channel": "chat", "note": "replace this file by conversations of your own"},
        }
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _readme(new: NewWorkspace) -> str:
    return _README.format(name=new.target, question=new.question)


_WORKSPACE = """\
# Rules of this workspace; docs/files.md explains each. A line that begins with "# " is off: take the "# " away.
#   llmclf check
version = 1

# Dollars that everything that uses this workspace's store may spend together, in a clock hour, a day, a month (UTC).
# usd_per_hour = 5.0
# usd_per_day = 20.0
# usd_per_month = 50.0
confirm_above_usd = 1.0           # a command that may cost more asks first

# What may be asked: names of models, or patterns. Without this line: any.
# allowed_models = ["openai/*", "replay/*", "local/*", "sim/*"]
# Where texts may go: vendors, base URLs as in configs/models.toml, or patterns. Without this line: anywhere.
# allowed_endpoints = ["openai", "http://10.0.0.5:8911/v1", "https://llm.example.com/*"]

[privacy]
redact = "both"                   # before sending and before storing
# names = ["Jane Roe"]            # replaced wherever they stand
# metadata_keys = ["customer_name"]
# send_media = true               # recordings and pictures may go to vendors: nothing can be replaced in them

# What classifiers say why, watched for what is new: docs/reasons.md.
#   llmclf reasons anomalies
# [reasons]
# fields = ["channel", "language"]  # metadata kept with each prediction, so that strange reasons can be traced to it
# window = "24h"                  # what is looked at
# baseline = "15d"                # the time before it, which it is held against
# false_alarms = 0.05             # chance of any alarm in a window in which nothing is new
# judge = "reason_anomaly"        # reads what is strange; that pays a model
"""

_MODELS = """\
# Models that need more than a vendor's name, and how fast models are asked. docs/files.md has every key.
# Vendors' models (openai/..., anthropic/..., gemini/...) need no row. Keys stay in the environment.
#   llmclf models show mine/fast
version = 1

# [models."mine/fast"]            # speaks OpenAI's chat completions: vLLM, llama.cpp's server, a gateway
# route = "http"
# api_base = "http://10.0.0.5:8911/v1"
# model = "Qwen/Qwen3-8B"         # its name there
# key_env = "MY_GATEWAY_KEY"      # the environment variable that holds the key
# json_schema = true
# price = { input_usd_per_million = 0, output_usd_per_million = 0 }

# [models."mine/large"]           # a vendor's model as litellm names it, here a deployment at Azure
# route = "litellm"
# litellm_model = "azure/my-deployment"
# api_base = "https://my-resource.openai.azure.com"
# api_version = "2026-01-01"
# key_env = "AZURE_API_KEY"
# json_schema = true

# [models."replay/march"]         # answers that were bought earlier: nobody is asked, nothing is paid
# route = "replay"
# model = "openai/gpt-5.4-mini"
# source = "march.db"             # a store file, a folder of `llmclf store export`, or JSON Lines

# [pace."openai/*"]               # all processes on one store share it
# requests_per_minute = 500
# tokens_per_minute = 200_000
# concurrency = 8
"""

_GITIGNORE = """\
# conversations are private: nothing that may hold them is committed
llmclf.db*
.llmclf/
data/
*.csv
*.jsonl
*.html
sample.json
"""

_COLUMNS = """\
# Which column of a table (CSV, SQL, Parquet) holds what; one row is one turn. docs/data.md has every key.
#   llmclf data import logs.csv --format csv --map configs/columns.toml --out data/conversations.jsonl
version = 1
conversation_id = "conversation_id"
speaker = "speaker"
text = "text"
# time = "timestamp"
# metadata = ["channel"]

# [speakers]                      # value of the speaker column to user, bot, human_agent, system or tool
# CUSTOMER = "user"
# ASSISTANT = "bot"
"""

_KEYWORD = """\
# The honest baseline. Write patterns that a person would search for.
#   llmclf classify {name}_keyword chat.txt
version = 1
kind = "keyword"
task = "{name}"

[[rules]]
label = "{name}"
user = ['\\b(example|pattern)\\b']
# bot = ['...']                   # a later turn of the bot must match, too
# unless_event = ["transfer"]     # no match where this happens afterwards
"""

_PROBE = """\
# Logistic regression over words and static embeddings; needs about 50 labelled targets to be of use.
#   llmclf train {name}_probe --dataset {name}
version = 1
kind = "probe"
task = "{name}"
"""

_LLM = """\
# A prompt and a model. Any model that litellm names will do; the key stays in the environment.
#   llmclf classify {name} chat.txt --max-usd 0.10
version = 1
kind = "llm"
task = "{name}"
model = "openai/gpt-5.4-mini"
thinking = "low"
prompt = "{name}/v1"
answer = "explained"
"""

_DATASET = """\
# Your conversations and their labels.
#   llmclf data check {name}
version = 1
conversations = "../../data/conversations.jsonl"
# labels = "../../data/labels.jsonl"     # written by: llmclf data labels import

[design]                          # replace this part by what `llmclf data labels import` prints
kind = "unknown"
"""

_SWEEP = """\
# Which configuration should we run? Dollars, seconds and errors of each.
#   llmclf sweep plan {name}     then     llmclf sweep run {name}
version = 1
classifier = "{name}"
dataset = "{name}"
seed = 7
budget_usd = 5.00

[grid]
model = ["openai/gpt-5.4-mini", "anthropic/claude-haiku-4-5"]
thinking = ["low", "high"]

[costs]
missed_usd = 40.0
false_alarm_usd = 2.0
review_minutes = 1.5
reviewer_usd_per_hour = 48.0
prevalence = 0.005
"""

_OPTIMIZATION = """\
# A better prompt, found with your labels and kept only where a test on labels that nothing learned from shows it.
#   llmclf optimize {name} --plan     then     llmclf optimize {name}
version = 1
classifier = "{name}"
dataset = "{name}"
optimizer = "gepa"                # "labeled-few-shot" and "bootstrap" need no [reflection]
prompt = "{name}/v2"              # the file that is written; it must not be there yet
demonstrations = 8                # at most; they are conversations of yours. 0: none
seed = 7

[reflection]                      # reads conversations and what was wrong, and writes instructions
model = "openai/gpt-5.4"
thinking = "medium"

[budget]                          # neither is ever passed
task_usd = 5.00
reflection_usd = 2.00

[costs]
missed_usd = 40.0
false_alarm_usd = 2.0
review_minutes = 1.5
reviewer_usd_per_hour = 48.0
prevalence = 0.005
"""

_README = """\
# {name}

{question}

1. `configs/tasks/{name}.toml`: write the definitions and boundary rules. Everything else follows from them.
2. `data/conversations.jsonl`: put your conversations there. `llmclf data import` reads chat messages, CSV, SQL and
   Parquet; for tables `configs/columns.toml` says which column holds what.
3. `llmclf data check data/conversations.jsonl`
4. `llmclf data sample data/conversations.jsonl --task {name} --n 400 --sheet data/labels.csv --out data/sample.json`:
   draws conversations to label, and writes a sheet. Fill in the column `label`, then
   `llmclf data labels import data/labels.csv --sample data/sample.json --task {name} --out data/labels.jsonl`.
   Two people label in the browser instead of a sheet, blind and each on their own, and a third decides where they
   differ: `llmclf calibrate start {name} --items {name} --annotators ana,ben --adjudicator cara --plan` says what that
   takes; without `--plan` it begins. Then `llmclf calibrate label`, `llmclf calibrate report` for how far they agree,
   and `llmclf calibrate export last data/labels.jsonl --examples` in place of `labels import`.
5. `configs/datasets/{name}.toml`: set `labels`, and replace its `[design]` by the one that `labels import` or
   `calibrate export` printed.
6. `configs/classifiers/{name}_keyword.toml`: patterns. `llmclf evaluate {name}_keyword --dataset {name}`
7. `llmclf evaluate {name}_probe --dataset {name}`: trains and tests by cross-validation.
8. `configs/classifiers/{name}.toml` and `prompts/{name}/v1.txt`: a vendor's model. `llmclf sweep plan {name}` says
   what a comparison costs before it is bought.
9. `configs/optimizations/{name}.toml`: a better prompt from your labels. `llmclf optimize {name} --plan` says what the
   search costs; it writes a prompt only where that is shown to be better.
10. Once it answers real traffic: `llmclf reasons anomalies`, each day, says which reasons it never gave before, such as
   that there was no conversation to read. `[reasons]` in `llmclf.toml` has the settings.

`llmclf check` validates every file here; `llmclf status` says where you stand.
"""
