"use strict";
// How a case is shown. Texts become text nodes and nothing else.

const $ = (id) => document.getElementById(id);
const SPEAKERS = { user: "User", bot: "Bot", human_agent: "Human agent", system: "System", tool: "Tool" };
const EVENTS = {
  tool_call: "calls tool", tool_result: "tool result", transfer: "transfers to", queue: "puts in queue", hang_up: "hangs up",
};
const MEDIA = { image: "sends an image", audio: "sends a recording" };
const LONG = 320;

function make(tag, className, ...inside) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...inside);
  return made;
}

// A text that words can be highlighted in; `part` 0 is what was said, then come the events.
function quotable(tag, turn, part, text) {
  const made = make(tag, "said", text);
  made.dataset.turn = turn;
  made.dataset.part = part;
  return made;
}

function eventOf(event, turn, part) {
  const what = EVENTS[event.kind] || event.kind;
  const head = make("span", "what", event.name ? `${what} ${event.name}` : what);
  if (!event.text) return make("div", "event", head);
  const text = quotable("pre", turn, part, event.text);
  if (event.text.length <= LONG) return make("div", "event", head, text);
  const summary = make("summary", "", head, make("span", "soft", ` ${event.text.length.toLocaleString("en")} characters`));
  return make("details", "event", summary, text);
}

function turnOf(turn, number, about) {
  const head = make("p", "head", make("span", "number", `${number}`), make("b", "", SPEAKERS[turn.speaker] || turn.speaker));
  if (number === about) head.append(make("span", "stamp", "asked about"));
  const made = make("li", "turn", head);
  made.dataset.speaker = turn.speaker;
  made.dataset.number = number;
  made.tabIndex = -1;
  if (number === about) made.classList.add("about");
  if (turn.text) made.append(quotable("p", number, 0, turn.text));
  turn.media.forEach((kind) => made.append(make("p", "event", make("span", "what", MEDIA[kind] || kind))));
  turn.events.forEach((event, place) => made.append(eventOf(event, number, place + 1)));
  if (!turn.text && !turn.media.length && !turn.events.length) made.append(make("p", "event", make("span", "what", "(silent)")));
  return made;
}

function showConversation(shown) {
  const turns = shown.turns || [];
  $("turns").replaceChildren(...turns.map((turn, number) => turnOf(turn, number, shown.turn)));
  $("turns").hidden = !turns.length;
  $("turns").scrollTop = 0;
  const about = $("turns").querySelector(".about");
  if (about) about.scrollIntoView({ block: "center" });
}

function showJudged(shown) {
  const boxes = shown.shown.map(({ name, text }) =>
    make("div", "", make("h2", "", name.replaceAll("_", " ")), make("p", "said-of", text)));
  $("judged").replaceChildren(...boxes);
  $("judged").hidden = !boxes.length;
  $("judged").scrollTop = 0;
  $("left").classList.toggle("alone", !(shown.turns || []).length);
}

function showOthers(shown) {
  const cards = shown.others.map((one) => {
    const card = make("div", "other", make("p", "", make("b", "", one.who), " said ", make("b", "", one.label)));
    if (one.rule) card.querySelector("p").append(make("span", "soft", ` by ${one.rule}`));
    if (one.note) card.append(make("p", "note", one.note));
    one.evidence.forEach(({ turn, quote }) => card.append(make("p", "soft", `turn ${turn}: “${quote}”`)));
    return card;
  });
  $("others").replaceChildren(...cards);
  $("others").hidden = !cards.length;
}

function showProgress(progress) {
  $("bar").max = Math.max(progress.total, 1);
  $("bar").value = progress.done;
  const minutes = progress.minutes_left;
  const left = minutes === null || progress.done >= progress.total ? ""
    : `, about ${minutes < 1 ? "a minute" : `${Math.round(minutes)} min`} left`;
  const waiting = progress.waiting ? `, ${progress.waiting} not ready` : "";
  $("count").textContent = `${progress.done} of ${progress.total}${left}${waiting}`;
}

// What the chosen label means, under the choices and in the guideline, which scrolls there.
function showMeaning() {
  const inputs = [...document.querySelectorAll("#choices input")];
  const at = inputs.findIndex((input) => input.checked);
  const sections = [...document.querySelectorAll("#guideline section")];
  sections.forEach((section, place) => section.classList.toggle("chosen", place === at));
  const meaning = at < 0 ? "" : sections[at].querySelector("p").textContent;
  $("meaning").textContent = meaning || "What the label you choose means is told here.";
  $("meaning").title = meaning;
  const text = $("guideline").querySelector(".text");
  const [box, part] = [text, at < 0 ? text : sections[at]].map((one) => one.getBoundingClientRect());
  if (part.top < box.top || part.bottom > box.bottom) text.scrollTop += part.top - box.top - 6;
  showEdges();
}

// Where a box holds more than is seen of it, its lower edge fades.
const SCROLLED = [...document.querySelectorAll("#guideline .text, #turns, #judged, #others")];

function showEdges() {
  for (const one of SCROLLED) one.classList.toggle("goes-on", one.scrollHeight - one.clientHeight - one.scrollTop > 3);
}

addEventListener("scroll", showEdges, { passive: true, capture: true });
const sizes = new ResizeObserver(showEdges);
SCROLLED.forEach((one) => sizes.observe(one));

// "ben has 12 to go, then you decide": no more of it than the server tells this person.
function stillToCome(still) {
  if (!still || !still.others) return "";
  if (still.left === undefined) return " Others are still labelling.";
  const each = still.people.map(({ who, left }) => `${who} has ${left} to go`).join(", ");
  return ` ${each || `${still.left} first ${still.left === 1 ? "label is" : "labels are"} still to come`}; then you decide where people differ.`;
}

function showEnd(progress) {
  const labelled = progress.done - progress.skipped;
  const skipped = progress.skipped ? ` and skipped ${progress.skipped}` : "";
  const counts = progress.done ? `You labelled ${labelled}${skipped}.` : "";
  const still = stillToCome(progress.still);
  if (progress.closed) tellEnd("This session is closed", `${counts} No more labels are taken.`);
  else if (progress.waiting) {
    tellEnd("Nothing to decide right now",
      `${progress.waiting} ${progress.waiting === 1 ? "case waits" : "cases wait"} for somebody's first label.${still} ${counts} This page looks again by itself.`);
  } else tellEnd("All done. Thank you!", `${counts} Everything is saved; you can close this page.${still}`);
  $("end-undo").hidden = progress.closed || !progress.done;
}

function tellEnd(title, text) {
  $("end-title").textContent = title;
  $("end-text").textContent = text;
}

// The texts with the highlighted words in <mark>.
function showMarks(marks) {
  for (const element of document.querySelectorAll("#turns .said")) {
    const [turn, part] = [Number(element.dataset.turn), Number(element.dataset.part)];
    const mine = marks.filter((mark) => mark.turn === turn && mark.part === part).sort((one, other) => one.start - other.start);
    if (!mine.length && !element.firstElementChild) continue;
    const text = element.textContent;
    const pieces = [];
    let at = 0;
    for (const { start, end } of mine) {
      if (start < at) continue;
      pieces.push(text.slice(at, start), make("mark", "", text.slice(start, end)));
      at = end;
    }
    element.replaceChildren(...pieces, text.slice(at));
  }
}

const quoteOf = (mark) => {
  const element = document.querySelector(`#turns .said[data-turn="${mark.turn}"][data-part="${mark.part}"]`);
  return element ? element.textContent.slice(mark.start, mark.end) : "";
};

function chipOf(mark, remove) {
  const quote = quoteOf(mark);
  const short = quote.length > 32 ? `${quote.slice(0, 30)}…` : quote;
  const chip = make("button", "chip", `× ${mark.turn}: “${short}”`);
  chip.type = "button";
  chip.setAttribute("aria-label", `Remove the highlight in turn ${mark.turn}: ${quote}`);
  chip.addEventListener("click", remove);
  return chip;
}

// What is selected in the conversation, as marks: one for each text it touches, without blanks around.
function selectedMarks() {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return [];
  const range = selection.getRangeAt(0);
  const touched = [...document.querySelectorAll("#turns .said")].filter((element) => range.intersectsNode(element));
  return touched.map((element) => markOf(element, range)).filter(Boolean);
}

function markOf(element, range) {
  const text = element.textContent;
  let start = element.contains(range.startContainer) ? lengthBefore(element, range.startContainer, range.startOffset) : 0;
  let end = element.contains(range.endContainer) ? lengthBefore(element, range.endContainer, range.endOffset) : text.length;
  while (start < end && !text[start].trim()) start += 1;
  while (end > start && !text[end - 1].trim()) end -= 1;
  return start < end ? { turn: Number(element.dataset.turn), part: Number(element.dataset.part), start, end } : null;
}

function lengthBefore(element, node, offset) {
  const range = document.createRange();
  range.setStart(element, 0);
  range.setEnd(node, offset);
  return range.toString().length;
}
