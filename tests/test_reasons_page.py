"""The page of clustered reasons: what it says first, what it may quote, and that nothing in it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import pytest
from made_reasons import made_window
from reason_documents import LONG, QUOTE, empty_document, make_document, quotes_for
from test_report import HOSTILE, Parsed

import llmclf
from llmclf.reasons.judged import reading_text
from llmclf.reasons.report_charts import MOST_BUCKETS, Timeline
from llmclf.reasons.report_page import quoted_ids, reasons_page
from llmclf.reasons.report_words import chance, goes_with

RTL = "لا يوجد نص \u202eevil\u202c للمحادثة"


class Page(Parsed):
    """A page as a browser would see it, and its source."""

    def __init__(self, document: Mapping[str, Any], quotes: Mapping[str, Mapping[str, Any]]) -> None:
        self.html = reasons_page(document, quotes)
        super().__init__(self.html)

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of all foldable elements of a class."""
        return [given for tag, given in self.elements if tag == "details" and given.get("class") == name]


def page_of(document: Mapping[str, Any], *texts: str) -> Page:
    """The page with a quote for everything that it would quote."""
    return Page(document, quotes_for(quoted_ids(document), *texts))


def first_lines(page: Page) -> tuple[str, str]:
    """The state and the sentence under it, which is the first heading."""
    state, sentence = re.findall(r'<p class="state">(.*?)</p><h1>(.*?)</h1>', page.html)[0]
    return unescape(state), unescape(re.sub("<.*?>", "", sentence))


def test_an_anomaly_is_the_first_thing_said() -> None:
    """The state, the surest anomaly's sentence, and the fields that all of it have and others have not."""
    document = make_document()
    state, sentence = first_lines(page_of(document))
    fault = document["anomalies"][0]
    assert state == "ANOMALY"
    assert fault["sentence"] in sentence
    assert sentence.startswith("“transcript, empty, no turns”")
    assert "all have turns 0 and model model-b" in sentence
    assert "channel" not in sentence  # two of them have another one


def test_each_anomaly_comes_with_its_evidence() -> None:
    """Counts, expectation, interval, first seen, fields, the chance in words, the judge, quotes and commands."""
    document = make_document()
    text = page_of(document).text
    n = document["anomalies"][0]["conversations"]
    for said in (
        f"all {n} have turns 0; 3 % of the others do",
        f"{n - 2} of {n} have channel chat",
        "less than 1 quiet window in 1,000,000",
        "93 % (81 to 98 %) of those are one, as people would say",
        "system_fault",
        QUOTE,
        "the same words 2 times",
        "llmclf show example-0",
        "llmclf reasons promote c0063 --as alert --in 01jd3k9q",
        "llmclf reasons promote c0063 --as failure-mode",
        "Its examples are those of anomaly 1",
        "21 Nov 10:36",
    ):
        assert said.replace(" %", "\u00a0%") in text.replace(" %", "\u00a0%"), said


def test_a_judge_that_is_not_calibrated_is_only_a_hint() -> None:
    """Its state is shown, and no precision."""
    document = make_document()
    document["anomalies"][0]["judged"]["state"] = "not_calibrated"
    text = page_of(document).text
    assert "UNCALIBRATED" in text
    assert "take it as a hint" in text
    assert "as people would say" not in text


@pytest.mark.parametrize(
    ("document", "state", "said"),
    [
        (make_document(fault=False), "NO ANOMALY", "are like those of the baseline"),
        (make_document(fault=False, baseline=False), "CAN’T TELL", "nothing can be called new"),
        (empty_document(), "NOTHING TO LOOK AT", "There are no reasons in this window"),
        ({**empty_document(), "silence": "No reason came, where 90 a day are usual."}, "ANOMALY", "90 a day"),
    ],
)
def test_a_window_without_anomalies_says_so(document: dict[str, Any], state: str, said: str) -> None:
    """Quiet, without a baseline, empty, and silent where it never was, are four different things."""
    found, sentence = first_lines(page_of(document))
    assert (found, said in sentence) == (state, True)


def test_a_test_that_could_not_be_made_is_no_quiet_window() -> None:
    """Without a p of the pool it can't be told, and the page says what is needed."""
    document = make_document(fault=False)
    document["pool"] |= {"p": None, "why_not": "the baseline has 12 conversations; 88 more are needed"}
    assert first_lines(page_of(document)) == (
        "CAN’T TELL",
        f"{document['reasons']} reasons from {document['conversations']} conversations; whether any are new can’t be "
        "told: the baseline has 12 conversations; 88 more are needed.",
    )


def test_hostile_texts_are_only_text() -> None:
    """Names, terms, quotes, ids, fields, labels and notes run nothing and end nothing."""
    calm = [name for name, _ in page_of(make_document()).elements]
    for text in HOSTILE:
        document = make_document()
        fault = document["clusters"][-1] if document["clusters"][-1]["kind"] == "new" else document["clusters"][0]
        for one in (*document["clusters"], *document["anomalies"], *document["parents"]):
            one["name"] = text
        fault |= {"terms": [text], "labels": {text: 2}, "errors": {text: 1}}
        for field in document["anomalies"][0]["fields"]:
            field |= {"field": text, "value": text}
        document["anomalies"][0] |= {"sentence": text, "examples": [text, "b", "c"]}
        document["notes"], document["clustering"] = [text], text
        page = Page(document, quotes_for(["b", "c", "medoid-1"], text))
        assert {name for name, _ in page.elements} <= {*calm}
        assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
        assert len(page.scripts) == 2  # the data and our own
        page.html.encode()  # half characters would stop it


def test_a_hostile_cluster_id_stays_in_its_attribute() -> None:
    """An id with quotes and blanks is one attribute, one link, and one word of a command."""
    document = make_document()
    bad = 'a\' "b"; rm -rf /'
    for one in document["clusters"]:
        one["id"] = bad if one["kind"] == "new" else one["id"]
    document["anomalies"][0]["cluster"] = bad
    page = page_of(document)
    ids = [attributes.get("data-id") for _, attributes in page.elements]
    assert bad in ids
    assert "promote 'a'\"'\"' \"b\"; rm -rf /' --as alert" in page.text


def test_directions_and_lengths_stay_inside_a_quote() -> None:
    """Text from right to left is isolated; a long one is folded, a huge one cut with how much is left out."""
    html = reasons_page(make_document(), quotes_for(quoted_ids(make_document()), RTL, "x" * 100_000, LONG))
    assert f'<blockquote dir="auto">{RTL}</blockquote>' in html
    assert "all 100,000 characters" in html
    assert "cut here: 96,000 characters more" in html
    assert len(html) < 1_000_000


def test_small_clusters_show_no_words() -> None:
    """Neither terms nor quotes, whatever quotes are handed in; an anomaly of too few conversations neither."""
    document = make_document()
    small = document["clusters"][3]
    small |= {"name": "(too few to show)", "medoid": "", "terms": ["secretterm"]}
    document["anomalies"][0] |= {"conversations": 2, "predictions": ["example-0"]}
    document["anomalies"][1] |= {"conversations": 2}
    assert "example-0" not in quoted_ids(document)
    quotes = quotes_for(["example-0", "example-1", small["id"], ""], "secret words")
    text = reasons_page(document, quotes)
    assert "secretterm" not in text
    assert "secret words" not in text
    assert "too few to be shown in words" in text


def test_fields_that_are_one_fact_stand_in_one_line() -> None:
    """A model, its classifier and its route are said once; an alert that fires too is said after the fields."""
    document = make_document()
    fault = document["anomalies"][0]
    one = {**fault["fields"][0], "field": "model", "value": "model-b"}
    fault["fields"] = [one, {**one, "field": "route", "value": "r1"}]
    fault |= {"alerts": ["watch"], "sentence": "12 are new. It also fires watch.", "expected": 0.069}
    page = page_of(document)
    assert "have model model-b and route r1" in page.text and "fewer than 1" in page.text
    assert first_lines(page)[1].endswith("12 are new; all have model model-b. It also fires watch.")


def test_a_judge_that_did_not_answer_gives_no_all_clear() -> None:
    """Where all of it failed, no share and no `0 of 12` is said, but why."""
    reading = {"judge": "j", "state": "uncalibrated", "simulated": False, "faults": 0}
    failed = reading_text({**reading, "verdicts": {"(failed)": 12}, "errors": {"network": 12}})
    assert failed == "judge j, UNCALIBRATED, did not answer: 12 of 12 reasons failed (network 12)"
    some = reading_text({**reading, "verdicts": {"(failed)": 2, "clean": 3}, "errors": {"timeout": 2}})
    assert "0 of 3 reasons" in some and "2 not read (timeout 2)" in some


def test_what_is_forgotten_is_said_to_be() -> None:
    """A quote that no store has any more is `(forgotten)`; the figures stay."""
    document = make_document()
    page = Page(document, {})
    assert "(forgotten)" in page.text
    assert QUOTE not in page.text
    assert f"{document['anomalies'][0]['reasons']} reasons" in page.text


def test_simulated_reasons_are_stamped() -> None:
    """The stamp stands before everything else, and only where so."""
    simulated = page_of({**make_document(), "simulated": True}).html
    assert 0 < simulated.index("SIMULATED") < simulated.index("<h1>")
    assert "SIMULATED" not in page_of(make_document()).text


def test_three_hundred_clusters_make_a_page_that_opens() -> None:
    """Under 3 MB; only the families of anomalies are open at first; all rows are there without a script."""
    document = make_document(clusters=300)
    page = page_of(document)
    assert len(page.html) < 3_000_000
    assert len(page.of_class("cluster")) == 301
    families = page.of_class("family")
    assert 0 < sum("open" in one for one in families) < len(families)


def test_clusters_of_an_anomaly_come_first_then_new_then_grown() -> None:
    """The order of rows is that of what matters."""
    page = page_of(make_document())
    first = page.of_class("cluster")[0]
    assert (first["data-alarm"], first["data-kind"]) == ("1", "new")


@pytest.mark.parametrize("hours", [1, 30, 119, 121, 700])
def test_buckets_put_together_lose_nothing(hours: int) -> None:
    """However many there are: at most about 120 remain, counts add up, and window and baseline stay apart."""
    first = hours * 7 // 8
    times = [f"2026-11-{1 + place // 24:02}T{place % 24:02}:00:00Z" for place in range(hours)]
    document = {"times": times, "window_from": first, "until": "2026-12-01T00:00:00Z"}
    line = Timeline.of(document, list(range(hours)))
    assert len(line) <= MOST_BUCKETS + 2
    assert sum(line.totals) == sum(range(hours))
    assert sum(line.counts([1] * hours)[: line.window_from]) == first
    assert len(line.labels()) == len(line)


def test_chances_are_words() -> None:
    """Rounded to two digits; never 0, never less than 1."""
    assert [chance(p) for p in (1.0, 0.05, 0.00123, 1e-30, 0.0)] == [
        "1 quiet window in 1",
        "1 quiet window in 20",
        "1 quiet window in 810",
        *["less than 1 quiet window in 1,000,000"] * 2,
    ]


def test_a_field_in_words() -> None:
    """All, some, and none of the others; an empty value has a name."""
    field = {"field": "model_id", "value": "", "inside": 3, "of": 4, "outside": 0.0, "p": 0.1}
    assert re.sub("<.*?>", "", goes_with(field)) == "3 of 4 have model id (empty); none of the others does"


@pytest.mark.parametrize("fault", ["", "missing_transcript"])
def test_what_a_real_clustering_gives_makes_a_page(fault: str) -> None:
    """`to_dict` of made reasons is a document that the page takes, with and without a fault or a baseline."""
    window, baseline = made_window(fault=fault, reasons=900, faulty=15)
    for against in (baseline, None):
        made = llmclf.cluster_reasons(window, against)
        page = page_of(made.to_dict())
        state, _ = first_lines(page)
        assert (state == "ANOMALY") == bool(made.anomalies)
        assert len(page.of_class("cluster")) == len(made.clusters)
