"""What a judge said of an anomaly's reasons, in the one sentence that page, terminal and webhook show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmclf.render.rates import rate_text
from llmclf.render.tables import counted
from llmclf.types import FAILED, Estimate


def reading_text(reading: Mapping[str, Any]) -> str:
    """A `PoolReading` as a mapping in words; its estimates are estimates, or mappings as JSON has them.

    A judge that read none of the reasons did not answer: that is no all-clear.
    """
    verdicts = dict(reading["verdicts"])
    failed, total = verdicts.get(FAILED, 0), sum(verdicts.values())
    whys = ", ".join(f"{kind} {count}" for kind, count in dict(reading.get("errors") or {}).items())
    stamps = {"calibrated": ""}.get(reading["state"], ", UNCALIBRATED") + ", SIMULATED" * bool(reading["simulated"])
    who = f"judge {reading['judge']}{stamps}"
    if failed == total:
        return f"{who}, did not answer: {failed} of {counted(total, 'reason')} failed{f' ({whys})' if whys else ''}"
    mix = ", ".join(f"{name} {count}" for name, count in sorted(verdicts.items(), key=lambda pair: -pair[1]))
    text = f"{who}: {reading['faults']} of {counted(total - failed, 'reason')} speak of a fault of the system ({mix})"
    if failed:
        text += f"; {failed} not read{f' ({whys})' if whys else ''}"
    if reading["state"] != "calibrated":
        return text
    precision, share = (_estimate(reading.get(name)) for name in ("precision", "fault_share"))
    text += f"; {_rate(precision)} of those are one, as people would say" if _rate(precision) else ""
    return text + (f"; {_rate(share)} of all that were read are one" if _rate(share) else "")


def _rate(share: Estimate) -> str:
    """`93 % (81 to 98 %)`, or a bound where that is all that is known."""
    if share.low is None or share.high is None:
        return ""
    low, high = (rate_text(end, ".0%").removesuffix("%") for end in (share.low, share.high))
    if share.value is None:
        return f"between {low} and {high} %"
    return f"{rate_text(share.value, '.0%').removesuffix('%')} % ({low} to {high} %)"


def _estimate(given: Any) -> Estimate:
    if isinstance(given, Estimate):
        return given
    return Estimate(**given) if given else Estimate.unknown("not measured")
