"""Names for clusters of reasons by a model: asked with their terms and a few quotes, and never trusted blindly."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from llmclf.classifiers.asking import together
from llmclf.errors import ModelError
from llmclf.llm.answers import json_object, usable_text
from llmclf.llm.model import Message, Model, Output, Request, Subject
from llmclf.llm.runtime import Runtime
from llmclf.reasons.result import Clustering
from llmclf.reasons.values import Cluster
from llmclf.render import Prompt, load_prompt
from llmclf.render.redaction import Redaction
from llmclf.render.tables import counted
from llmclf.sweeps.plan import plan_requests
from llmclf.sweeps.planned import Plan
from llmclf.types import Conversation, Turn, content_hash
from llmclf.workspace.quoting import Quote, quotes_of

PROMPT = "reasons/name_cluster"
FILLED = frozenset({"group", "answer_format"})
"""What such a prompt's placeholders may name."""
LONGEST = 60
"""Characters of a name."""
_QUOTES, _QUOTED = 3, 600  # reasons that a model is shown of a cluster, and characters of each
_FORM = 'Answer with one JSON object and nothing else: {"name": "the name"}'
_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
_PLAIN = frozenset(" -'\u2019/,&()")
"""Besides letters and digits: nothing that a page, a terminal or a chat could take for more than words."""
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_MARK = re.compile(r"\[[A-Z]+_\d+\]")


@dataclass(frozen=True)
class Naming:
    """The clusters that a model is to name, and what it is asked."""

    runtime: Runtime
    model: Model
    prompt: Prompt
    clusters: tuple[Cluster, ...]
    """Those that may be quoted and have no better name than their terms."""
    quotes: dict[str, tuple[Quote, ...]] = field(repr=False)
    """Cluster to reasons of different conversations."""

    @cached_property
    def requests(self) -> tuple[Request, ...]:
        """One for each cluster."""
        return tuple(self._request(one) for one in self.clusters)

    def plan(self) -> Plan:
        """What it would cost and send; nothing is sent."""
        asked = [
            (self.quotes[one.id][0].conversation_id, [request])
            for one, request in zip(self.clusters, self.requests, strict=True)
        ]
        plan = plan_requests({("names of clusters", self.model): asked}, self.runtime, len(self.clusters))
        quoted = frozenset(quote.conversation_id for some in self.quotes.values() for quote in some)
        return replace(
            plan, cells=tuple(replace(cell, leaving=quoted if cell.leaving else cell.leaving) for cell in plan.cells)
        )

    def _request(self, cluster: Cluster) -> Request:
        lines = [f"Words: {', '.join(cluster.terms)}"]
        for number, quote in enumerate(self.quotes[cluster.id], 1):
            words = " ".join(self._sent(quote).split())[:_QUOTED]
            lines.append(f"| Reason {number}: {words}")
        values = {"group": "\n".join(lines), "answer_format": _FORM}
        messages = tuple(Message(role, text) for role, text in self.prompt.fill(values))  # type: ignore[arg-type]
        subject = Subject(
            "reasons", content_hash=content_hash(values["group"]), prompt_id=self.prompt.id, keeps_words=False
        )
        return Request(self.model, messages, Output("json", schema=_SCHEMA), subject)

    def _sent(self, quote: Quote) -> str:
        """The words as they may be sent in a request that is about other conversations, too."""
        whole = Conversation(quote.conversation_id, (Turn("system", quote.text),))
        return self.runtime.redacted(whole, for_others=True).turns[0].text


def naming_of(made: Clustering, model: str, runtime: Runtime) -> Naming:
    """What `model` is to be asked. ConfigError where the prompt is missing or names what nothing fills."""
    prompt = load_prompt(PROMPT, runtime.workspace)
    prompt.fill(dict.fromkeys(FILLED, ""))
    wanted = [one for one in made.clusters if one.quotable and one.named_by == "terms"]
    quotes = _quotes(made, wanted, runtime)
    chosen = tuple(one for one in wanted if quotes[one.id])
    return Naming(runtime, Model(model), prompt, chosen, quotes)


def named(made: Clustering, naming: Naming) -> tuple[Clustering, tuple[str, ...]]:
    """(the clustering with the model's names, why some clusters keep their terms for a name).

    The words that are sent are of several conversations, so that `forget` would not find them: they are not written to
    the store. Raises, before anything is sent, what `Runtime.check` raises.
    """
    if not naming.clusters:
        return made, ()
    runtime = naming.runtime
    runtime.check([naming.model])
    runtime.store.put_prompt(naming.prompt.name, naming.prompt.sha256, naming.prompt.text)
    answers = runtime.run(_asked(naming))
    names, whys = dict[str, str](), Counter[str]()
    for one, (answer, why) in zip(naming.clusters, answers, strict=True):
        name, refused = ("", why) if why else checked_name(answer, one.terms, naming.quotes[one.id])
        if name:
            names[one.id] = name
        else:
            whys[refused] += 1
    told = ", ".join(f"{why} ({count:,})" if count > 1 else why for why, count in whys.most_common())
    kept = counted(whys.total(), "cluster")
    notes = (f"{kept} named by terms, as {naming.model.id} gave no name that can be used: {told}",) if whys else ()
    return made.with_names(names, naming.model.id), notes


def checked_name(text: str, terms: Sequence[str], quotes: Sequence[Quote]) -> tuple[str, str]:
    """(name, nothing), or (nothing, why it can't be used).

    A name is one line of plain words. What looks like personal data is none, nor is a word that is only ever written
    with a capital in the quotes and stands in no more than one conversation's and no term: it may be somebody's name.
    """
    name = " ".join(text.split()).strip("\"'`\u201c\u201d. ")
    if not name or "\n" in text.strip():
        return "", "the name is not one line of words"
    if len(name) > LONGEST:
        return "", f"the name is longer than {LONGEST} characters"
    shared = {word.casefold() for term in terms for word in re.findall(r"\w+", term)}
    if _MARK.search(name) or Redaction().redact_text(name) != name or _is_of_one(name, shared, quotes):
        return "", "the name may hold personal data"
    digits = [word for word in re.findall(r"\w+", name) if any(each.isdigit() for each in word)]
    if any(word.casefold() not in shared for word in digits):
        return "", "the name holds a number"
    if any(unicodedata.category(each)[0] not in "LMN" and each not in _PLAIN for each in name):
        return "", "the name holds marks that are no words"
    return name, ""


def _is_of_one(name: str, shared: set[str], quotes: Sequence[Quote]) -> bool:
    """True where a word of the name may be the name of somebody in a single conversation."""
    seen: dict[str, set[str]] = {}
    small: set[str] = set()
    for quote in quotes:
        for word in _WORD.findall(quote.text):
            seen.setdefault(word.casefold(), set()).add(quote.conversation_id)
            if word[0].islower():
                small.add(word)
    words = [word.casefold() for word in _WORD.findall(name)]
    return any(len(seen.get(word, ())) == 1 and word not in shared and word not in small for word in words)


async def _asked(naming: Naming) -> list[tuple[str, str]]:
    """(name as the model gave it, why there is none) for each cluster."""

    async def one(request: Request) -> tuple[str, str]:
        try:
            text, _ = usable_text(await naming.runtime.arespond(request), naming.model.id)
            found = json_object(text, naming.model.id)
        except ModelError as error:
            return "", f"{error.kind}"
        name = found.get("name")
        return (name, "") if isinstance(name, str) and list(found) == ["name"] else ("", "unparsable")

    return await together([one(request) for request in naming.requests])


def _quotes(made: Clustering, clusters: Sequence[Cluster], runtime: Runtime) -> dict[str, tuple[Quote, ...]]:
    """Of each cluster its medoid, and the next reasons of other conversations."""
    ids, conversations = made.reasons.column("prediction_id"), made.reasons.column("conversation_id")
    wanted: dict[str, dict[str, str]] = {one.id: {} for one in clusters}
    place_of = {id_: place for place, id_ in enumerate(ids)}
    for one in clusters:
        if one.medoid in place_of:
            wanted[one.id][conversations[place_of[one.medoid]]] = one.medoid
    for id_, conversation, cluster in zip(ids, conversations, made.cluster_ids, strict=True):
        if cluster in wanted and len(wanted[cluster]) < _QUOTES:
            wanted[cluster].setdefault(conversation, id_)
    found = quotes_of(made, runtime.store, [id_ for some in wanted.values() for id_ in some.values()])
    return {one: tuple(found[id_] for id_ in some.values() if id_ in found) for one, some in wanted.items()}
