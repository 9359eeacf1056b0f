"""The webhook of alarms: over real sockets, signed, queued until it is delivered, and never with words or secrets."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from wire import Reply, Wire

from llmclf.llm import Runtime
from llmclf.reasons.result import Clustering
from llmclf.reasons.values import Anomaly, ClusterSettings, FieldShare, PoolReading
from llmclf.store.clusterings import Clusterings
from llmclf.store.deliveries import MOST_REFUSALS
from llmclf.types import Estimate
from llmclf.types.reasons import Reasons
from llmclf.workspace.alerting import DELIVERY, SECRET_ENV, SIGNATURE, TIMESTAMP, Sending, alarm
from llmclf.workspace.clustering_rows import anomaly_rows
from llmclf.workspace.reasoning import StoredClustering

ENV = "LLMCLF_WEBHOOK_URL"
QUICK = Sending(attempts=2, timeout_seconds=0.5, wait_seconds=0.01)
FINE = Reply(body=b"{}")
READING = PoolReading("reason_anomaly", "f" * 64, "uncalibrated", {"missing_input": 9}, 9)
STRANGE = Anomaly(
    kind="new_cluster",
    cluster="k1",
    sentence="12 conversations have reasons like these, which are new.",
    p=0.001,
    reasons=12,
    conversations=12,
    expected=0.1,
    share=Estimate(0.05, 0.03, 0.09),
    ratio=None,
    first_seen="2026-11-04T10:30:00.000000Z",
    examples=("p1", "p2"),
    predictions=("p1", "p2", "p3"),
    fields=(FieldShare("turns", "0", 12, 12, 0.01, 0.0001),),
    judged=READING,
    name="transcript <!channel> & empty",
)
ANOTHER = replace(STRANGE, cluster="k2", name="another")


@pytest.fixture
def hook(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """A server that takes alarms at the URL in the variable."""
    monkeypatch.setenv(ENV, f"{wire.url}/T0P/HIDDEN")
    monkeypatch.delenv(SECRET_ENV, raising=False)
    wire.default = FINE
    return wire


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """A runtime on a store in memory."""
    with Runtime() as made:
        yield made


def stored(runtime: Runtime, *anomalies: Anomaly, silence: str = "") -> StoredClustering:
    """A clustering with these anomalies, as it stands in the store."""
    no_vectors = np.zeros((0, 256), np.float32)
    clustering = Clustering(
        reasons=Reasons(), clusters=(), parents=(), anomalies=anomalies, pool=(), cluster_ids=(), novelty=(), texts=0,
        conversations=0, simulated=False, settings=ClusterSettings(), embedder="words", centroids=no_vectors,
        parent_centroids=no_vectors,
    )  # fmt: skip
    clusterings = Clusterings(runtime.store)
    moments = ("2026-11-03T00:00:00.000000Z", "2026-11-04T00:00:00.000000Z")
    id_ = clusterings.start(
        run_id="r", since=moments[0], until=moments[1], embedder="words", reasons=0, conversations=0
    )
    clusterings.finish(id_, clusters=[], anomalies=anomaly_rows(clustering), result={"silence": silence})
    made = replace(clustering, clustering_id=id_, since=moments[0], until=moments[1])
    return StoredClustering(made, id_, "r", (), "refusal", silence=silence)


def queue(runtime: Runtime) -> list[dict[str, Any]]:
    return Clusterings(runtime.store).undelivered()


def test_an_alarm_is_delivered_once_with_its_evidence_and_no_words(hook: Wire, runtime: Runtime) -> None:
    """JSON with figures, names and fields; no ids of predictions, and nothing that Slack takes for a mention."""
    made = stored(runtime, STRANGE)
    sent = alarm(made, runtime, webhook=ENV, sending=QUICK)
    assert len(sent.delivered) == 1 and not sent.failed and sent.host == "127.0.0.1"
    body = hook.received[0].json
    assert (
        body["clustering"] == made.clustering_id
        and body["task"] == "refusal"
        and body["since"] == made.clustering.since
    )
    (one,) = body["anomalies"]
    assert (one["kind"], one["cluster"], one["p"], one["conversations"]) == ("new_cluster", "k1", 0.001, 12)
    assert one["fields"][0]["field"] == "turns" and one["judged"]["verdicts"] == {"missing_input": 9}
    assert one["judged"]["precision"]["value"] is None and one["share"]["low"] == 0.03
    assert "&lt;!channel&gt; &amp; empty" in body["text"] and "<" not in body["text"]
    assert "p1" not in hook.texts[0]
    again = alarm(made, runtime, webhook=ENV, sending=QUICK)
    assert again == replace(again, delivered=(), queued=()) and len(hook.received) == 1 and not again.sentence


def test_it_is_signed_where_there_is_a_secret(hook: Wire, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver can check that body and moment are ours; without a secret there is no signature."""
    alarm(stored(runtime, STRANGE), runtime, webhook=ENV, sending=QUICK)
    monkeypatch.setenv(SECRET_ENV, "s3cret")
    alarm(stored(runtime, ANOTHER), runtime, webhook=ENV, sending=QUICK)
    plain, signed = hook.received
    assert SIGNATURE.lower() not in plain.headers and plain.headers[DELIVERY.lower()]
    words = f"{signed.headers[TIMESTAMP.lower()]}.".encode() + signed.body
    expected = hmac.new(b"s3cret", words, hashlib.sha256).hexdigest()
    assert signed.headers[SIGNATURE.lower()] == f"sha256={expected}"
    assert "s3cret" not in "".join(hook.texts)


def test_a_server_that_fails_once_is_asked_again_with_the_same_id(hook: Wire, runtime: Runtime) -> None:
    """500 and then 200: one delivery, and both attempts carry one id, so that the receiver can tell a second one."""
    hook.next(Reply(500), FINE)
    sent = alarm(stored(runtime, STRANGE), runtime, webhook=ENV, sending=QUICK)
    assert len(sent.delivered) == 1
    assert len({one.headers[DELIVERY.lower()] for one in hook.received}) == 1 and len(hook.received) == 2


REFUSALS = {
    "answers 500": (Reply(500), "answered 500, 2 attempts"),
    "answers 404": (Reply(404), "answered 404"),
    "hangs": (Reply(delay=3), "gave no answer within 0.5 s, 2 attempts"),
    "redirects": (
        Reply(302, headers={"location": "http://127.0.0.1:1/else"}),
        "answered 302: redirects are not followed",
    ),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_what_does_not_arrive_stays_queued_and_is_told(how: str, hook: Wire, runtime: Runtime) -> None:
    """The alarm stays an alarm; the next call sends its own first, then what is queued."""
    reply, why = REFUSALS[how]
    hook.default = reply
    first = stored(runtime, STRANGE)
    sent = alarm(first, runtime, webhook=ENV, sending=QUICK)
    assert first.alarmed and sent.failed and sent.why.endswith(why), sent
    assert "HIDDEN" not in json.dumps([sent.to_dict(), queue(runtime)]) and "/v1" not in sent.sentence
    assert queue(runtime)[0]["attempts"] == 1 and queue(runtime)[0]["why"] == sent.why
    hook.reset()
    hook.default = FINE
    second = stored(runtime, ANOTHER)
    assert len(alarm(second, runtime, webhook=ENV, sending=QUICK).delivered) == 2
    assert [one.json["clustering"] for one in hook.received] == [second.clustering_id, first.clustering_id]
    assert not queue(runtime)


def test_one_that_is_refused_for_good_does_not_hold_up_the_others(hook: Wire, runtime: Runtime) -> None:
    """400 for the first: the next one is delivered all the same."""
    hook.next(Reply(400))
    alarm(stored(runtime, STRANGE), runtime, webhook=ENV, sending=QUICK)
    hook.next(Reply(400))
    sent = alarm(stored(runtime, ANOTHER), runtime, webhook=ENV, sending=QUICK)
    assert len(sent.delivered) == 1 and len(sent.queued) == 1


def test_nobody_listens(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is told with the host alone."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv(ENV, f"http://127.0.0.1:{taken.getsockname()[1]}/HIDDEN")
        sent = alarm(stored(runtime, STRANGE), runtime, webhook=ENV, sending=QUICK)
    assert sent.failed and sent.why == "127.0.0.1 could not be reached (ConnectError), 2 attempts"


def test_no_log_holds_the_url(hook: Wire, runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    """Also where an application logs everything."""
    with caplog.at_level(logging.DEBUG):
        alarm(stored(runtime, STRANGE), runtime, webhook=ENV, sending=QUICK)
    assert "HIDDEN" not in caplog.text


UNFIT = {
    "http elsewhere": "http://example.com/HIDDEN",
    "no scheme": "example.com/HIDDEN",
    "a file": "file:///HIDDEN",
    "no host": "https:///HIDDEN",
    "a password": "https://HIDDEN:SECRET@example.com/",
    "a bad port": "https://example.com:HIDDEN/",
    "a bad address": "https://[HIDDEN/",
    "empty": "",
}


@pytest.mark.parametrize("url", UNFIT.values(), ids=UNFIT)
def test_an_unfit_url_is_refused_and_not_repeated(url: str, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm is queued, and it is told; a quiet window tells it as well."""
    monkeypatch.setenv(ENV, url)
    assert alarm(stored(runtime), runtime, webhook=ENV, sending=QUICK).failed
    sent = alarm(stored(runtime, STRANGE), runtime, webhook=ENV, sending=QUICK)
    assert sent.failed and "HIDDEN" not in sent.why and len(queue(runtime)) == 1


def test_the_url_itself_is_no_name_of_a_variable(runtime: Runtime) -> None:
    """Somebody put the URL into the file: it is not repeated."""
    sent = alarm(stored(runtime), runtime, webhook="https://example.com/HIDDEN")
    assert "name of an environment variable" in sent.why and "HIDDEN" not in sent.why


def test_silence_is_an_alarm_and_a_quiet_window_none(hook: Wire, runtime: Runtime) -> None:
    """A window without reasons is sent in its sentence; a quiet one sends nothing, but what is queued."""
    assert not alarm(stored(runtime), runtime, webhook=ENV, sending=QUICK).delivered
    assert not alarm(stored(runtime, STRANGE), runtime, webhook=None, sending=QUICK).delivered and not queue(runtime)
    silent = stored(runtime, silence="No reason at all.")
    assert len(alarm(silent, runtime, webhook=ENV, sending=QUICK).delivered) == 1
    body = hook.received[0].json
    assert body["silence"] == "No reason at all." in body["text"] and body["anomalies"] == []


def test_a_store_that_can_not_be_written_does_not_hide_the_alarm(runtime: Runtime, hook: Wire) -> None:
    """What goes wrong with the queue is told as a delivery that failed."""
    made = stored(runtime, STRANGE)
    runtime.store.write(lambda connection: connection.execute("DROP TABLE deliveries").rowcount)
    sent = alarm(made, runtime, webhook=ENV, sending=QUICK)
    assert made.alarmed and sent.failed and "can't be used" in sent.sentence and not hook.received


def test_what_was_sent_is_sent_again_only_where_it_doubled(hook: Wire, runtime: Runtime) -> None:
    """An hourly look at one fault pages once, again at twice the conversations, and anew after a quiet look."""
    sizes = (12, 13, 23, 24, 30)
    counts = [
        len(alarm(stored(runtime, replace(STRANGE, conversations=size)), runtime, webhook=ENV, sending=QUICK).delivered)
        for size in sizes
    ]
    assert counts == [1, 0, 0, 1, 0]
    (again,) = hook.received[1].json["anomalies"]
    assert again["told_before"] and "told before, first" in hook.received[1].json["text"]
    both = stored(runtime, replace(STRANGE, conversations=31), ANOTHER)
    assert len(alarm(both, runtime, webhook=ENV, sending=QUICK).delivered) == 1
    body = hook.received[2].json
    assert [one["cluster"] for one in body["anomalies"]] == ["k2"] and body["told_before"] == 1
    alarm(stored(runtime), runtime, webhook=ENV, sending=QUICK)
    assert len(alarm(stored(runtime, STRANGE), runtime, webhook=ENV, sending=QUICK).delivered) == 1


def test_another_pool_is_new(hook: Wire, runtime: Runtime) -> None:
    """The novelty pool has no id: it is the same where it has a prediction in common with the last one."""
    pool = replace(STRANGE, kind="novelty", cluster="", name="")
    pools = [replace(pool, predictions=ids) for ids in (("p1", "p2"), ("p2", "p3"), ("p3", "p4"), ("p8", "p9"))]
    sent = [alarm(stored(runtime, one), runtime, webhook=ENV, sending=QUICK) for one in pools]
    assert [len(one.delivered) for one in sent] == [1, 0, 0, 1]


def test_a_look_without_a_webhook_does_not_keep_it_from_being_sent(hook: Wire, runtime: Runtime) -> None:
    """Somebody looked by hand a minute before: the alarm is sent all the same. Silence is sent once."""
    alarm(stored(runtime, STRANGE), runtime, webhook=None)
    assert len(alarm(stored(runtime, STRANGE), runtime, webhook=ENV, sending=QUICK).delivered) == 1
    silent = [alarm(stored(runtime, silence="None."), runtime, webhook=ENV, sending=QUICK) for _ in range(3)]
    assert [len(one.delivered) for one in silent] == [1, 0, 0]


def test_one_that_is_always_refused_is_given_up_and_told_once(hook: Wire, runtime: Runtime) -> None:
    """400 each time: it is tried with each call, then not any more; a quiet window is quiet again. Or it is dropped."""
    hook.default = Reply(400)
    first = stored(runtime, STRANGE)
    tries = [alarm(first, runtime, webhook=ENV, sending=QUICK) for _ in range(MOST_REFUSALS + 1)]
    assert [len(one.given_up) for one in tries] == [0] * (MOST_REFUSALS - 1) + [1, 0]
    assert "given up" in tries[-2].sentence and not tries[-1].failed and len(hook.received) == MOST_REFUSALS
    second = stored(runtime, ANOTHER)
    assert alarm(second, runtime, webhook=ENV, sending=QUICK).queued
    assert Clusterings(runtime.store).drop_deliveries() == 1
    assert not alarm(second, runtime, webhook=ENV, sending=QUICK).failed


def test_a_call_ends_in_time(hook: Wire, runtime: Runtime) -> None:
    """What is not begun by then stays queued, free for the next call."""
    for number in range(3):
        alarm(stored(runtime, replace(STRANGE, cluster=f"k{number}")), runtime, webhook="NOWHERE", sending=QUICK)
    sent = alarm(stored(runtime), runtime, webhook=ENV, sending=replace(QUICK, run_seconds=0))
    assert len(sent.delivered) == 1 and len(sent.queued) == 2 and "were over" in sent.why
    assert len(alarm(stored(runtime), runtime, webhook=ENV, sending=QUICK).delivered) == 2


def test_a_strange_secret_signs_and_whatever_fails_is_told(
    hook: Wire, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are no UTF-8, and a host that no name can be: no exception, and nothing of the URL."""
    monkeypatch.setenv(SECRET_ENV, "s\udcff")
    alarm(stored(runtime, STRANGE), runtime, webhook=ENV, sending=QUICK)
    (one,) = hook.received
    words = f"{one.headers[TIMESTAMP.lower()]}.".encode() + one.body
    assert (
        one.headers[SIGNATURE.lower()] == f"sha256={hmac.new(b's' + bytes([255]), words, hashlib.sha256).hexdigest()}"
    )
    for url in ("https://xn--/HIDDEN", f"https://{'a' * 70}.example/HIDDEN"):
        monkeypatch.setenv(ENV, url)
        sent = alarm(stored(runtime, ANOTHER), runtime, webhook=ENV, sending=QUICK)
        assert sent.failed and sent.queued and "HIDDEN" not in sent.sentence
