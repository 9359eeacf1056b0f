"""A webhook for alarms: signed, without words of conversations, and queued until it is delivered."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from llmclf.errors import ConfigError, LlmclfError
from llmclf.llm.runtime import Runtime
from llmclf.reasons.judged import reading_text
from llmclf.reasons.values import Anomaly
from llmclf.render.tables import counted
from llmclf.store.clusterings import Clusterings
from llmclf.workspace.reasoning import StoredClustering
from llmclf.workspace.told import Before, Told, again_words, told_before

SECRET_ENV = "LLMCLF_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
"""Where the secret stands that deliveries are signed with, if there is one."""
SIGNATURE, TIMESTAMP, DELIVERY = "X-Llmclf-Signature", "X-Llmclf-Timestamp", "X-Llmclf-Delivery"
"""Headers: `sha256=` and the HMAC of `TIMESTAMP.BODY` by the secret; seconds since 1970; the delivery's id."""
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_NAMED, _MOST_AT_ONCE = 5, 100
_AGAIN = frozenset({408, 425, 429})  # and every 5xx: asking again may help
_QUEUED = "SELECT delivery_id FROM deliveries WHERE clustering_id = ?"


@dataclass(frozen=True, slots=True)
class Sending:
    """How hard a delivery is tried."""

    attempts: int = 3
    timeout_seconds: float = 10.0
    """For one attempt as a whole."""
    wait_seconds: float = 0.5
    """Before the second attempt, and twice as long before each further one, with as much again by chance."""
    run_seconds: float = 30.0
    """For all deliveries of one call: what is not begun by then stays queued."""


@dataclass(frozen=True)
class Deliveries:
    """What became of the deliveries that were due."""

    delivered: tuple[str, ...] = ()
    """Ids, in the order they were sent."""
    queued: tuple[str, ...] = ()
    """Ids of those that did not arrive: they are sent next time."""
    given_up: tuple[str, ...] = ()
    """Ids of those that were tried for the last time."""
    why: str = ""
    """Why the last one failed, with no more of the URL than its host."""
    host: str = ""

    @property
    def failed(self) -> bool:
        """True where something could not be delivered."""
        return bool(self.queued or self.given_up or self.why)

    @property
    def sentence(self) -> str:
        """What became of them, in words; empty where nothing was due."""
        parts = [f"{counted(len(self.delivered), 'alarm')} delivered to {self.host}"] if self.delivered else []
        if self.queued:
            left = counted(len(self.queued), "alarm")
            parts.append(f"{left} not delivered ({self.why}); queued, and sent next time")
        if self.given_up:
            parts.append(f"{counted(len(self.given_up), 'alarm')} given up, and not sent any more: {self.why}")
        if self.why and not self.queued and not self.given_up:
            parts.append(f"the webhook can't be used: {self.why}")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            **asdict(self),
            "delivered": list(self.delivered),
            "queued": list(self.queued),
            "given_up": list(self.given_up),
        }


def to_send(stored: StoredClustering, runtime: Runtime) -> dict[str, Any] | None:
    """What is to be sent of a clustering: its anomalies that are new, or grew, since they were sent last.

    None where there is no such anomaly. For `cluster_stored(to_send=...)`, which queues it with the clustering.
    """
    if not stored.alarmed:
        return None
    before = told_before(stored, runtime.store)
    places, silence = before.due(stored)
    return body_of(stored, before) if places or silence else None


def alarm(
    stored: StoredClustering, runtime: Runtime, *, webhook: str | None, sending: Sending = Sending()
) -> Deliveries:
    """Sends the alarm of `stored` (see `to_send`), then what is queued, newest first, to the URL in `webhook`.

    `webhook` is the name of a variable; None: nothing is queued or sent. The body is JSON (`body_of`), signed where
    `LLMCLF_WEBHOOK_SECRET` is set. What does not arrive stays queued, and the result says why; where nobody answers,
    the rest is not tried. What is refused for good too often, or did not arrive within a day, is given up, which is
    told once. Two that send at once send different ones. A second call with the same clustering queues nothing. It
    never raises: whatever goes wrong is told as `why`.
    """
    if webhook is None:
        return Deliveries()
    try:
        return _sent(stored, runtime, webhook, sending)
    except LlmclfError as error:  # the alarm itself must still be told
        return Deliveries(why=error.message)
    except Exception as error:
        return Deliveries(why=f"{type(error).__name__}")  # its text may quote the URL


def _sent(stored: StoredClustering, runtime: Runtime, webhook: str, sending: Sending) -> Deliveries:
    clusterings = Clusterings(runtime.store)
    if not runtime.store.query(_QUEUED, (stored.clustering_id,)):
        body = to_send(stored, runtime)
        if body is not None:
            clusterings.queue_delivery(stored.clustering_id, body)
    try:
        target = _target(webhook)
    except ConfigError as error:
        waiting = tuple(row["delivery_id"] for row in clusterings.undelivered(_MOST_AT_ONCE))
        return Deliveries((), waiting, why=error.message)
    ends = time.monotonic() + sending.run_seconds
    done, left, given_up, last = list[str](), list[str](), list[str](), ""
    claimed = clusterings.claim_deliveries(_MOST_AT_ONCE)
    for place, row in enumerate(claimed):
        content = json.dumps(row["body"], ensure_ascii=False).encode("utf-8", "replace")
        tried = runtime.run(_delivered(target, row["delivery_id"], content, sending))
        last = tried.why or last
        if not tried.why:
            clusterings.delivered(row["delivery_id"])
            done.append(row["delivery_id"])
        elif clusterings.failed(row["delivery_id"], why=tried.why, permanent=tried.permanent):
            given_up.append(row["delivery_id"])
        else:
            left.append(row["delivery_id"])
        if tried.unreachable or time.monotonic() > ends:
            rest = [one["delivery_id"] for one in claimed[place + 1 :]]
            clusterings.release_deliveries(rest)
            left += rest
            last = last or f"{sending.run_seconds:g} s were over"
            break
    return Deliveries(tuple(done), tuple(left), tuple(given_up), last, target.host)


def body_of(stored: StoredClustering, before: Before | None = None) -> dict[str, Any]:
    """What is sent: figures, ids, names and terms that conversations share, and no word of a single one.

    `text` at the top is what Slack and those who speak its format show. Of `before`, what stood in earlier clusterings
    too, only what grew is sent again; `told_before` counts the rest.
    """
    before = before or Before({})
    places, silence = before.due(stored)
    found = stored.clustering.anomalies
    whole = stored.to_dict()
    return {
        "text": _text(stored, before),
        "kind": "llmclf.reasons",
        "version": 1,
        "clustering": stored.clustering_id,
        "since": whole["since"],
        "until": whole["until"],
        "baseline": whole["baseline"],
        "task": stored.task,
        "simulated": whole["simulated"],
        "reasons": whole["reasons"],
        "conversations": whole["conversations"],
        "silence": stored.silence if silence else "",
        "anomalies": [_anomaly(found[place], before.anomalies.get(place)) for place in places],
        "told_before": len(found) - len(places),
    }


def _anomaly(one: Anomaly, told: Told | None) -> dict[str, Any]:
    judged = one.judged
    return {
        "kind": one.kind,
        "cluster": one.cluster_or_pool,
        "name": one.name,
        "alerts": list(one.alerts),
        "sentence": one.sentence,
        "p": one.p,
        "reasons": one.reasons,
        "conversations": one.conversations,
        "expected": one.expected,
        "share": one.share.to_dict(),
        "ratio": one.ratio,
        "first_seen": one.first_seen,
        "told_before": None if told is None else told.first,
        "fields": [asdict(each) for each in one.fields],
        "judged": None
        if judged is None
        else {
            **asdict(judged),
            "verdicts": dict(judged.verdicts),
            "precision": judged.precision.to_dict(),
            "fault_share": judged.fault_share.to_dict(),
            "errors": dict(judged.errors),
            "sentence": reading_text(asdict(judged)),
        },
    }


def _text(stored: StoredClustering, before: Before) -> str:
    """A line for each anomaly. Names come out of conversations: nothing of them is a mention or a link to Slack."""
    places, silence = before.due(stored)
    stamp = "SIMULATED: " if stored.clustering.simulated else ""
    of = f" of task {stored.task}" if stored.task else ""
    lines = [f"{stamp}llmclf: something is strange about the reasons{of}"]
    lines += [stored.silence] if silence else []
    for place in places[:_MOST_NAMED]:
        one, told = stored.clustering.anomalies[place], before.anomalies.get(place)
        again = f" ({again_words(told)})" if told else ""
        lines.append(f"- {one.name}: {one.sentence}{again}" if one.name else f"- {one.sentence}{again}")
    more, known = len(places) - _MOST_NAMED, len(stored.clustering.anomalies) - len(places)
    lines += [f"- and {more} more"] if more > 0 else []
    lines += [f"- and {known} that {'was' if known == 1 else 'were'} told before"] if known else []
    return "\n".join(lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# --- the way there ----------------------------------------------------------------------------


class _Target(NamedTuple):
    """Where alarms go. The URL is a secret: it is in no message, no log and no table."""

    url: str
    host: str
    is_here: bool
    """True on this machine."""


def _target(webhook: str) -> _Target:
    if not _ENV_NAME.fullmatch(webhook):
        raise ConfigError(
            "webhook_env is the name of an environment variable, not the URL itself",
            where="webhook",
            fix="put the URL into a variable such as LLMCLF_WEBHOOK_URL, and its name here",
        )
    url = os.environ.get(webhook, "").strip()
    if not url:
        raise ConfigError("the variable with the webhook's URL is not set", where="webhook", got=webhook)
    parts = _parts(url, webhook)
    host = parts.hostname or ""
    is_here = _is_loopback(host)
    problems = [] if host else ["it names no host"]
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        problems.append("it must begin with https:// (http:// only on this machine)")
    if parts.username or parts.password:
        problems.append("it must hold no user and password; sign with LLMCLF_WEBHOOK_SECRET in their place")
    if problems:
        raise ConfigError("the webhook's URL can't be used", where=webhook, problems=problems)
    return _Target(url, host, is_here)


def _parts(url: str, webhook: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        raise ConfigError("the webhook's URL can't be read", where=webhook) from None  # the cause quotes it
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _AgainError(Exception):
    """An attempt that failed in a way that may go away."""


class _Tried(NamedTuple):
    """What became of one delivery."""

    why: str = ""
    """Why it did not arrive."""
    permanent: bool = False
    """It was refused: asking again for the same will hardly help."""
    unreachable: bool = False
    """Nobody answers: another one would fare no better."""


async def _delivered(target: _Target, delivery_id: str, content: bytes, sending: Sending) -> _Tried:
    from tenacity import (
        AsyncRetrying,
        RetryError,
        retry_if_exception_type,
        stop_after_attempt,
        wait_exponential,
        wait_random,
    )

    attempts = AsyncRetrying(
        stop=stop_after_attempt(sending.attempts),
        wait=wait_exponential(multiplier=sending.wait_seconds) + wait_random(0, sending.wait_seconds),
        retry=retry_if_exception_type(_AgainError),
    )
    why = ""
    try:
        async for attempt in attempts:
            with attempt:
                why = await _once(target, _headers(delivery_id, content), content, sending)
    except RetryError as error:
        return _Tried(f"{error.last_attempt.exception()}, {counted(sending.attempts, 'attempt')}", unreachable=True)
    return _Tried(why, permanent=bool(why))


def _headers(delivery_id: str, content: bytes) -> dict[str, str]:
    """Headers of one attempt; its moment is signed as well, so that nobody can send it again later."""
    stamp = str(int(time.time()))
    headers = {"Content-Type": "application/json", "User-Agent": "llmclf", DELIVERY: delivery_id, TIMESTAMP: stamp}
    secret = os.environ.get(SECRET_ENV, "")
    if secret:
        digest = hmac.new(os.fsencode(secret), f"{stamp}.".encode() + content, hashlib.sha256).hexdigest()
        headers[SIGNATURE] = f"sha256={digest}"
    return headers


async def _once(target: _Target, headers: Mapping[str, str], content: bytes, sending: Sending) -> str:
    """Why one attempt failed for good; empty where it arrived. _AgainError where another one may help.

    The transport is asked without a client around it, which would write the URL to the log. It follows no redirect.
    """
    import httpx

    try:
        async with (
            asyncio.timeout(sending.timeout_seconds),
            httpx.AsyncHTTPTransport(proxy=_proxy(target)) as transport,
        ):
            response = await transport.handle_async_request(
                httpx.Request("POST", target.url, headers=headers, content=content)
            )
            status = response.status_code
            await response.aclose()
    except TimeoutError:
        raise _AgainError(f"{target.host} gave no answer within {sending.timeout_seconds:g} s") from None
    except (httpx.InvalidURL, ValueError):  # idna raises one of its own, which quotes the name
        return f"the URL of {target.host} can't be read"
    except (httpx.HTTPError, OSError) as error:
        raise _AgainError(f"{target.host} could not be reached ({type(error).__name__})") from None
    if 200 <= status < 300:
        return ""
    if status in _AGAIN or status >= 500:
        raise _AgainError(f"{target.host} answered {status}")
    return f"{target.host} answered {status}" + (": redirects are not followed" if 300 <= status < 400 else "")


def _proxy(target: _Target) -> str | None:
    """The proxy that the environment names for this host, if any."""
    if target.is_here or proxy_bypass(target.host):
        return None
    return getproxies().get(urlsplit(target.url).scheme)
