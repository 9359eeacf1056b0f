"""Personal data that can be told by its shape: addresses, cards, accounts, phone numbers, ids.

Everything here is conservative towards dates, prices and versions, and generous otherwise: a
redacted order number costs little, a stored phone number much.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address
from itertools import accumulate, pairwise
from typing import Literal, get_args

Kind = Literal["email", "phone", "card", "iban", "ip", "id", "name"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Word = Literal["EMAIL", "PHONE", "CARD", "IBAN", "IP", "ID", "NAME", "PERSONAL"]
"""The word in a placeholder. PERSONAL is the value of a metadata field."""
Placeholder = Callable[[Word, str], str]
"""(word, the value in its plain form) to the placeholder that stands for it."""

PLACEHOLDER = re.compile(rf"\[({'|'.join(get_args(Word))})_(\d{{1,6}})\]")

# A boundary that also holds after an escaped line break, as JSON inside a text has it: \n5551234567
NOT_INSIDE = r"(?:(?<![^\W_])|(?<=\\[nrt]))"
_KEEP = rf"(?P<keep>{PLACEHOLDER.pattern})"
_EMAIL = r"(?P<email>[\w.%+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+)"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IP = (
    rf"(?P<ip>(?<![\w.:])(?:(?:{_OCTET}\.){{3}}{_OCTET}(?!\w|\.\d)"
    r"|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])))"
)
_ID = (
    r"(?P<id>(?i:\b(?:ssn|social security|passport|national id|id card|driver'?s? licen[cs]e|tax id|national insurance"
    r"|pesel|nino)(?: (?:number|no\.?|is|it's|#|:))*\s*[:=#]?\s*)"
    r"(?P<id_value>(?=[A-Za-z-]{0,8}\d)[A-Za-z0-9](?:-?[A-Za-z0-9]){4,19}))"
)
_GAP = r"[ \u00a0\u2009\u202f().\-\u2010-\u2013/]{0,3}"
_NUMBER = rf"(?P<number>(?<!\d)[+(]{{0,2}}\d(?:{_GAP}\d){{6,120}}(?!\d))"
_NINO = NOT_INSIDE + r"(?P<nino>[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D](?![A-Za-z0-9]))"

_IBAN = re.compile(NOT_INSIDE + r"[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_PHONE_GROUPS = 9  # no phone number is written in more

_DATE = re.compile(
    r"(?<![\d.\-/])(?:(?:19|20)\d\d([-/.])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)\d\d)(?![\d\-/]|\.\d)"
)
_PHONE_CUE = re.compile(
    r"(?:phone|tel|mobile|cell|call|whats ?app|fax|sms|dial|reach|my number)\W*[\w:.' ]{0,16}\Z", re.I
)
_GROUP = re.compile(r"\d+")
# A quick look before the slow one: four digits close together, or what the rarer shapes need.
_FOUR_DIGITS = re.compile(rf"\d(?:{_GAP}\d){{3}}")
_HEX_GROUPS = re.compile(r":[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:")
_ID_CUES = ("ssn", "social sec", "passport", "national", "id card", "licen", "tax id", "pesel", "nino")


def replace_patterns(text: str, kinds: frozenset[Kind], placeholder: Placeholder) -> str:
    """`text` with every address, card, account, phone number and id of `kinds` replaced.

    Placeholders that stand in the text already are left alone and nothing is read across them.
    """
    if not may_hold_any(text):
        return text

    def replaced(match: re.Match[str]) -> str:
        return _replace_match(match, kinds, placeholder)

    if "iban" in kinds:
        text = _replace_ibans(text, placeholder)
    return _shapes(kinds, "@" in text).sub(replaced, text)


def may_hold_any(text: str) -> bool:
    """False where no pattern can match: a quick look before the slow one."""
    if "@" in text or "::" in text or _FOUR_DIGITS.search(text) or _HEX_GROUPS.search(text):
        return True
    lowered = text.lower()
    for cue in _ID_CUES:
        if cue in lowered:
            return True
    return False


@cache
def _shapes(kinds: frozenset[Kind], with_email: bool) -> re.Pattern[str]:
    parts = [_KEEP]
    if with_email and "email" in kinds:
        parts.append(_EMAIL)
    if "ip" in kinds:
        parts.append(_IP)
    if "id" in kinds:
        parts += [_ID, _NINO]
    if kinds & {"card", "phone", "id"}:
        parts.append(_NUMBER)
    return re.compile("|".join(parts))


def _replace_match(match: re.Match[str], kinds: frozenset[Kind], placeholder: Placeholder) -> str:
    text = match[0]
    kind = match.lastgroup
    if match["keep"]:
        return text
    if kind == "email":
        tail = text[len(text.rstrip("'-")) :]
        return placeholder("EMAIL", text.rstrip("'-").casefold()) + tail
    if kind == "ip":
        return _replace_ip(text, placeholder)
    if kind in ("id", "id_value"):
        start = match.start("id_value") - match.start()
        return text[:start] + placeholder("ID", plain_key(text[start:]))
    if kind == "nino":
        return placeholder("ID", plain_key(text))
    return _replace_number(match.string, match.start(), match.end(), kinds, placeholder)


def plain_key(value: str) -> str:
    """A value without separators and case, so that two spellings of it are one."""
    return "".join(character for character in value.casefold() if character.isalnum() or character == "+")


def _replace_ibans(text: str, placeholder: Placeholder) -> str:
    """Accounts first and by themselves: what looks like one and is none is read again for the rest."""
    out: list[str] = []
    done = position = 0
    while match := _IBAN.search(text, position):
        end = _iban_end(match[0])
        if end:
            out += [text[done : match.start()], placeholder("IBAN", plain_key(match[0][:end]))]
            done = position = match.start() + end
        else:
            position = match.start() + 1
    return "".join([*out, text[done:]])


def _iban_end(text: str) -> int:
    """Where the account number at the start of `text` ends, at the end of a group; 0 where there is none."""
    for end in range(len(text), 14, -1):
        inside = end < len(text) and text[end].isalnum()
        if text[end - 1].isalnum() and not inside and _is_iban(text[:end]):
            return end
    return 0


def _is_iban(text: str) -> bool:
    plain = "".join(character for character in text if character.isalnum()).upper()
    if not (15 <= len(plain) <= 34 and plain.isascii()):
        return False
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


def _replace_ip(text: str, placeholder: Placeholder) -> str:
    try:
        ip_address(text)
    except ValueError:
        return text
    if ":" in text and sum(character in "0123456789abcdefABCDEF" for character in text) < 3:
        return text  # `::1` and `a::b` are code, not somebody's address
    return placeholder("IP", text.casefold())


# --- runs of digits -------------------------------------------------------------------------


def _replace_number(string: str, start: int, end: int, kinds: frozenset[Kind], placeholder: Placeholder) -> str:
    """A run of digits and separators with the cards, ids and phone numbers in it replaced; dates stay."""
    out: list[str] = []
    for date in _DATE.finditer(string, start, end):
        out.append(_replace_run(string, start, date.start(), kinds, placeholder))
        out.append(date[0])
        start = date.end()
    out.append(_replace_run(string, start, end, kinds, placeholder))
    return "".join(out)


def _replace_run(string: str, start: int, end: int, kinds: frozenset[Kind], placeholder: Placeholder) -> str:
    groups = [match.span() for match in _GROUP.finditer(string, start, end)]
    found = _find_cards(string, groups) if "card" in kinds else []
    for first, last in _between(found, len(groups)):
        found += _find_ids_and_phones(string, groups[first:last], first, kinds)
    out: list[str] = []
    for first, last, word in sorted(found):
        from_, to = groups[first][0], groups[last - 1][1]
        if word == "PHONE":
            from_ = _with_lead(string, from_, to, start)
        out.append(string[start:from_])
        key = plain_key(string[from_:to])
        out.append(placeholder(word, key.removeprefix("00") if key.startswith("00") else key.removeprefix("+")))
        start = to
    out.append(string[start:end])
    return "".join(out)


def _with_lead(string: str, from_: int, to: int, start: int) -> int:
    """The phone number's own `+` and `(` belong to it; a bracket around the whole number does not."""
    lead = "+(" if ")" in string[from_:to] else "+"
    while from_ > start and string[from_ - 1] in lead:
        from_ -= 1
    return from_


def _between(found: list[tuple[int, int, Word]], length: int) -> list[tuple[int, int]]:
    """The stretches of groups that no card covers."""
    edges = [0, *(edge for first, last, _ in sorted(found) for edge in (first, last)), length]
    return [(edges[i], edges[i + 1]) for i in range(0, len(edges), 2) if edges[i] < edges[i + 1]]


def _find_cards(string: str, groups: list[tuple[int, int]]) -> list[tuple[int, int, Word]]:
    found: list[tuple[int, int, Word]] = []
    before = [0, *accumulate(end - start for start, end in groups)]  # digits before each group
    first = 0
    while first < len(groups):
        for last in range(min(len(groups), first + 19), first, -1):
            digits = before[last] - before[first]
            if digits < 13:
                break
            if digits <= 19 and _is_card_shaped(string, groups[first:last]):
                found.append((first, last, "CARD"))
                first = last - 1
                break
        first += 1
    return found


def _is_card_shaped(string: str, groups: list[tuple[int, int]]) -> bool:
    """True for digits that pass the check, with one kind of gap or in fours: not for the ends of two phones."""
    gaps = {string[left[1] : right[0]] for left, right in pairwise(groups)}
    if len(gaps) > 1 and any(end - start != 4 for start, end in groups[:-1]):
        return False
    return _is_card("".join(string[start:end] for start, end in groups))


def _is_card(digits: str) -> bool:
    if not 13 <= len(digits) <= 19:
        return False
    values = [int(digit) for digit in reversed(digits)]
    doubled = (value * 2 - 9 if value > 4 else value * 2 for value in values[1::2])
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def _find_ids_and_phones(
    string: str, groups: list[tuple[int, int]], offset: int, kinds: frozenset[Kind]
) -> list[tuple[int, int, Word]]:
    found: list[tuple[int, int, Word]] = []
    first = 0
    while first < len(groups):
        lengths = [end - start for start, end in groups[first : first + 3]]
        if "id" in kinds and lengths == [3, 2, 4] and _spaced(string, groups[first : first + 3]):
            found.append((offset + first, offset + first + 3, "ID"))
            first += 3
            continue
        last = _longest_phone(string, groups, first) if "phone" in kinds else 0
        if last:
            found.append((offset + first, offset + last, "PHONE"))
        first = last or first + 1
    return found


def _spaced(string: str, groups: list[tuple[int, int]]) -> bool:
    gaps = {string[left[1] : right[0]] for left, right in pairwise(groups)}
    return len(gaps) == 1 and gaps <= {" ", "-", "\u2010", "\u2011", "\u2013"}


def _longest_phone(string: str, groups: list[tuple[int, int]], first: int) -> int:
    """Where the phone number that starts with group `first` ends; 0 where none starts there.

    The whole rest is tried first, then a split into two numbers, then the longest beginning.
    """
    ends = range(min(len(groups), first + _PHONE_GROUPS), first, -1)
    if ends and ends[0] == len(groups) and _is_phone(string, groups[first:]):
        return len(groups)
    for last in ends:
        two = 0 < len(groups) - last <= _PHONE_GROUPS
        if two and _is_phone(string, groups[first:last]) and _is_phone(string, groups[last:]):
            return last
    return next((last for last in ends if _is_phone(string, groups[first:last])), 0)


def _is_phone(string: str, groups: list[tuple[int, int]]) -> bool:
    start, end = groups[0][0], groups[-1][1]
    lengths = [to - from_ for from_, to in groups]
    count = sum(lengths)
    if not 7 <= count <= 17:
        return False
    lead = string[max(0, start - 2) : start]
    digits = [string[from_:to] for from_, to in groups]
    if lead.endswith("+") or lead == "+(" or (digits[0].startswith("00") and count >= 10):
        return count >= 8
    if len(groups) > 1 and min(lengths[1:]) < 2:
        return False
    cued = _PHONE_CUE.search(string, max(0, start - 40), start) is not None
    before, after = string[start - 1 : start], string[end : end + 1]
    glued = (before.isalnum() and string[start - 2 : start - 1] != "\\") or (after.isalpha() and after not in "xXeE")
    inside = (before == "." and string[start - 2 : start - 1].isdigit()) or _dashed(string, start, end)
    if inside or before in ("$", "€", "£") or after == "%" or ((glued or before == "#") and not cued):
        return False
    if len(groups) == 1:
        return 9 <= count <= 12 or (cued and count <= 15)
    gaps = [string[left[1] : right[0]] for left, right in pairwise(groups)]
    return _is_spaced_phone(digits, lengths, gaps, cued)


def _dashed(string: str, start: int, end: int) -> bool:
    """True where dashes tie the groups to more digits: a part of something else."""
    return string[start - 1 : start] == "-" or (string[end : end + 1] == "-" and string[end + 1 : end + 2].isdigit())


def _is_spaced_phone(digits: list[str], lengths: list[int], gaps: list[str], cued: bool) -> bool:
    count = sum(lengths)
    if count > 15 or all(_is_year(group) for group in digits):
        return False
    if any(")" in gap for gap in gaps):
        return True
    if any("." in gap for gap in gaps):
        even = max(lengths) == 2 and digits[0].startswith("0")
        return (
            set(gaps) == {"."} and len(gaps) > 1 and 9 <= count and (even or (lengths[-1] == 4 and max(lengths) == 4))
        )
    if max(lengths) <= 2:
        return (digits[0].startswith("0") and count == 10) or (cued and count >= 8)
    dashed = all(gap.strip() for gap in gaps)
    if count < 9:
        return (lengths in ([3, 4], [4, 4]) and dashed) or cued
    return max(lengths) <= 8


def _is_year(group: str) -> bool:
    return len(group) == 4 and group[:2] in ("19", "20")
