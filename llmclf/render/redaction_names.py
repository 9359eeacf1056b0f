"""Names of people, found by introductions and forms of address.

"my name is Ana Kowalska", "this is Bob speaking", "I'm called ...", "Mr X", "Dear X", "Regards, X",
`"first_name": "X"`. Nothing is known about names themselves: a name that is never introduced stays.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from llmclf.render.redaction_patterns import NOT_INSIDE

_LETTER = r"[^\W\d_]"
_WORD = rf"(?:{_LETTER}\.(?=[ \u00a0])|{_LETTER}(?:{_LETTER}|['’\-](?={_LETTER}))*)"
_NAME = rf"(?P<name>{_WORD}(?:[ \u00a0]{{1,2}}{_WORD}){{0,4}})(?![\w])"
_TITLE = r"(?:mrs?|ms|mx|miss|dr|prof|professor|herr|frau|señora?|mme)\b\.?"

# Each is matched at the start of a word, so none of them asks for one.
# Said of oneself: believed in lower case too.
_PLAIN = (
    r"(?:my|his|her|their|the|customer|full|first|last|real|middle|family|given|sur) ?name(?:'s|’s| is|:) "
    rf"(?:{_TITLE} )?"
    r"|name's |(?:(?<=[\n\x00])|(?<![\s\S]))name[:=][ \t]{0,3}"
    r"|i(?:'m|’m| am) (?:called|named) "
    r"|(?:me llamo|mi nombre es|ich hei(?:ß|ss)e|mein name ist|je m['’]appelle|mon nom est|mi chiamo|il mio nome è"
    r"|meu nome é|me chamo|nazywam się|mam na imię|ik heet|mijn naam is|jag heter|jeg heter) "
    r"|(?:full|first|last|middle|family|given|sur|customer|passenger|contact|account|holder)[ _-]?name"
    r'\\{0,3}["\']?\s{0,2}[:=]\s{0,2}\\{0,3}["\']?'
)
# Believed only where it is written like a name.
_CAPITAL = (
    rf"{_TITLE} "
    rf"|dear (?:{_TITLE} )?"
    r"|calls? me "
    r"|(?:hi|hello|hey|good (?:morning|afternoon|evening|day))(?: there| all)?[,!. ]{1,3}(?:i'm|i’m|i am) "
    r"|(?:regards|wishes)[,.!]?\s{1,3}"
    r"|(?:sincerely|cheers|yours truly)[,.]\s{1,3}"
)
# Believed by what comes after it.
_FOLLOWED = r"this is |it(?:'s|’s| is) |i(?:'m|’m| am) "
_INTRODUCTION = re.compile(rf"(?i:(?P<plain>{_PLAIN})|(?P<capital>{_CAPITAL})|(?P<followed>{_FOLLOWED})){_NAME}")
_PLAIN_TITLE = re.compile(r"(?:mrs?|dr|MRS?|MS|DR)\b")
_SPEAKING = re.compile(r"\s+(?:speaking|calling)\b", re.I)
_HERE = re.compile(r"\s+(?:here|again)\b", re.I)
_FROM = re.compile(r"\s*(?:\s(?:from|with|at|your)\b|, (?:your|from|calling)\b)", re.I)
_CLAUSE_END = re.compile(r"\s*(?:$|[,.!?;:)\"\n\\\]}\x00])")
_CUES = tuple(
    "name|call|this is |it's |it’s |it is |i'm |i’m |i am |dear |regards|wishes|sincerely|cheers|truly|mr |mr.|mrs|ms "
    "|ms.|mx |mx.|miss |dr |dr.|prof|herr |frau |señor|mme |llamo|nombre|heiße |heisse |appelle|mon nom|chiamo|nome è"
    "|nome é|chamo|nazywam|na imię|heet |naam |heter ".split("|")
)
"""One of these stands in every introduction, at most so many characters after its start:"""
_CUE_REACH = 24

_PARTICLES = frozenset("de da di del della der den van von zu bin ibn al el la le dos du ter ten y e".split())
_NOT_NAMES = frozenset(
    """
    a about account actually afraid again agent agents ai all already also always am an and annoyed another any
    anybody anyone are as ask asking at available aware away back bad be because been before being best better
    booking bot but by call called calling can cannot client clients closed colleague colleagues complaint
    confused contact correct could crazy customer customers december department did different disappointed
    disgusted do does done dr email even everyone exactly extremely february file fine first folks for friday
    friend from fully furious get getting glad go going gone good great guest guys had happy has have having he
    hello help helping her here hey hi his hoping how i if important in incorrect interested is issue issues it
    its itself january july just known ladies last late later likely list listed look looking lost madam manager
    march may me member members miss missing misspelled monday more most mr mrs ms much my name named need never
    new no nobody none not nothing november now null number october of off offering ok okay on once one only or
    order our out over passenger people perfectly please possible problem prof quite reaching ready really
    redacted reference regarding registered ridiculous right sad same saturday seller sending september service
    shocked sick simply sir so some somebody someone something sorry speaking spelled spelt still stuck such
    sunday supervisor support supposed sure team terrible thank thanks that the their them then there these they
    thing this those thursday ticket tied to today together told tomorrow too totally traveler traveller trying
    tuesday unable unacceptable under understand unknown until upset urgent us user valued very virtual visitor
    waiting want was we wednesday well were what when where which while who whole why will with without
    wondering working worried would writing wrong yes yet you your yours
    """.split()
)
_ORDINARY = frozenset(
    """
    al ali an april art august bay bill bo bob brown bush carol chance chase christian cliff cook dawn day dean do dot
    drew el faith flora ford fox frank gene ginger grace grant gray green guy hall hazel heather holly hope hunter iris
    ivy jack jade jean jo joy jewel june king la lance le lee li long love ma major mark marshall mason max may miles mo
    my no norm pat pearl penny pepper pierce poppy price ray reed rich rob robin rock rose ruby rusty sage sandy
    scout short singer skip so star stone sue summer sunny taylor tom tony trip tu victor violet wade walker ward
    white will win wolf wood young
    """.split()
)
"""Names that are words as well: replaced only where they are written like a name."""


class Introduction(NamedTuple):
    """A name that a text introduces: where it stands and its words."""

    start: int
    end: int
    words: tuple[str, ...]


def introductions(texts: Sequence[str]) -> list[list[Introduction]]:
    """The names that each text introduces, in order; never one that stands in a placeholder.

    All texts are searched as one, which is much quicker for the many short ones of a conversation.
    """
    joined = "\0".join(texts)
    ends = list(accumulate(len(text) + 1 for text in texts))
    found: list[list[Introduction]] = [[] for _ in texts]
    done = 0
    for start in _starts(joined):
        match = _INTRODUCTION.match(joined, start) if start >= done else None
        words = _name_words(match) if match else []
        if match and words:
            name, done = match.start("name"), match.start("name") + words[-1].end()
            number = bisect_right(ends, name)
            offset = ends[number - 1] if number else 0
            found[number].append(Introduction(name - offset, done - offset, tuple(word[0] for word in words)))
    return found


def _starts(text: str) -> list[int]:
    """Where an introduction may begin: the starts of words shortly before a cue.

    Looking for plain texts first is what makes this quick: the regular expression takes fifty times
    as long for each place it is tried at.
    """
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)
    starts: set[int] = set()
    for cue in _CUES:
        place = lowered.find(cue)
        while place >= 0:
            near = range(max(0, place - _CUE_REACH), place + 1)
            starts.update(start for start in near if start not in starts and _starts_word(text, start))
            place = lowered.find(cue, place + 1)
    return sorted(starts)


def _starts_word(text: str, start: int) -> bool:
    if not text[start].isalpha():
        return False
    before = text[start - 1 : start]
    return not before.isalnum() or (before in "nrt" and text[start - 2 : start - 1] == "\\")


def _name_words(match: re.Match[str]) -> list[re.Match[str]]:
    words = list(re.finditer(_WORD, match["name"]))
    first, prefix = words[0][0], match["capital"]
    if first.casefold() in _NOT_NAMES and not _is_also_name(first, match["plain"] is not None):
        return []
    after = match.string[match.start("name") :]
    if _is_capital(first):
        words = _capital_run(words)
    elif prefix and not _PLAIN_TITLE.match(prefix):
        return []
    else:
        words = _plain_run(words, after)
    if not match["followed"]:
        return words
    return _followed(words, after, match["followed"].casefold())


def _is_also_name(word: str, plain: bool) -> bool:
    """True where a word that mostly is no name is one here: `I'm called Art`, `my name is will`."""
    return word.casefold() in _ORDINARY and (_is_capital(word) or (plain and word.casefold() in ("may", "will")))


def _followed(words: list[re.Match[str]], after: str, prefix: str) -> list[re.Match[str]]:
    """The words where what comes after them says that they are a name, else none."""
    for count in range(len(words), 0, -1):
        end = words[count - 1].end()
        if prefix.startswith(("this", "it")) and _SPEAKING.match(after, end):
            return words[:count]
        if not _is_capital(words[0][0]):
            continue
        if _HERE.match(after, end) or (not prefix.startswith("it") and _FROM.match(after, end)):
            return words[:count]
        if prefix.startswith("this") and _CLAUSE_END.match(after, end):
            return words[:count]
    return []


def _is_capital(word: str) -> bool:
    """True for `Ana`, `王`, `J.`; not for `ana` and `ANA`."""
    return not word[0].islower() and (len(word.rstrip(".")) == 1 or not word.isupper())


def _capital_run(words: list[re.Match[str]]) -> list[re.Match[str]]:
    count = 1
    for number, word in enumerate(words[1:], start=1):
        text = word[0]
        if text.casefold() in _PARTICLES and number + 1 < len(words):
            continue
        if text[0].islower() or text.casefold() in _NOT_NAMES or number > 3:
            break
        count = number + 1
    return words[:count]


def _plain_run(words: list[re.Match[str]], after: str) -> list[re.Match[str]]:
    """One word, or two where the clause ends after them: `my name is ana kowalska, i need ...`."""
    if len(words) == 1 or words[1][0].casefold() in _NOT_NAMES:
        return words[:1]
    closed = _CLAUSE_END.match(after, words[1].end()) or (len(words) > 2 and words[2][0].casefold() in _NOT_NAMES)
    return words[:2] if closed else words[:1]


def full_name_pattern(words: tuple[str, ...]) -> str:
    """A regular expression for a name of several words, in any case."""
    full = r"\.?[ \u00a0]{1,2}".join(re.escape(word.rstrip(".")) for word in words)
    return rf"(?i:{NOT_INSIDE}{full}(?![^\W_]))"


def part_patterns(words: tuple[str, ...]) -> list[str]:
    """Regular expressions for the parts of a name that stand for the person by themselves."""
    parts = (word.rstrip(".") for word in words)
    return [_part_pattern(part) for part in parts if len(part) > 1 and part.casefold() not in _PARTICLES]


def _part_pattern(part: str) -> str:
    capital = part[0].upper() + part[1:].lower() if part.isupper() or part.islower() else part
    end = r"(?![^\W_])"
    if part.casefold() in _ORDINARY or part.casefold() in _NOT_NAMES:
        word = re.escape(capital)
        return rf"(?:(?<=[^\s.!?:\"] ){word}{end}|{NOT_INSIDE}{word}(?=[,.!?]|$|\n|'s))"
    forms = {part, capital, capital.upper()}
    if len(part) > 2:
        forms.add(part.lower())
    return rf"{NOT_INSIDE}(?:{'|'.join(re.escape(form) for form in sorted(forms))}){end}"
