"use strict";
// One case after the other: what is chosen, the keys, the time, and what happens when it is saved.

const IDLE = 60000;
const LOOK_AGAIN = 10000;
let shown = null; // the case in view
let marks = [];
let busy = true;
let last = null; // what was saved last, to have it back on undo
let takesBack = 0; // which label undo takes back: asked for twice, it is taken back once
let lastSelected = [];
let ruleTyped = null; // digits after r
const markButton = $("mark");

// --- time: while the page is in view and somebody is there ---

const clock = { sum: 0, since: null };

function tick() {
  const now = performance.now();
  if (clock.since !== null) clock.sum += Math.min(now - clock.since, IDLE);
  clock.since = document.hidden ? null : now;
}

for (const name of ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "touchmove"]) {
  addEventListener(name, tick, { passive: true, capture: true });
}
document.addEventListener("visibilitychange", tick);

// --- what is chosen ---

const chosen = () => document.querySelector("#choices input:checked");

function choose(label) {
  for (const input of document.querySelectorAll("#choices input")) input.checked = input.value === label;
  showMeaning();
}

function draft() {
  if (!shown) return;
  const label = chosen();
  keep(DRAFT, {
    item: shown.item, label: label ? label.value : "", rule: $("rule").value, note: $("note").value, marks, spent: clock.sum,
  });
}

function fill({ label = "", rule = "", note = "", marks: some = [], spent = 0 }) {
  choose(label);
  $("rule").value = rule;
  $("note").value = note;
  clock.sum = spent;
  setMarks(some);
}

function setMarks(some) {
  marks = some;
  showMarks(marks);
  const chips = marks.map((mark) => chipOf(mark, () => { setMarks(marks.filter((one) => one !== mark)); draft(); }));
  $("marks").replaceChildren(...chips, markButton);
}

// Marks for quotes that come from the server: where they stand first.
function marksOf(evidence) {
  return evidence.flatMap(({ turn, quote }) => {
    const said = [...document.querySelectorAll(`#turns .said[data-turn="${Number(turn)}"]`)].find((one) => one.textContent.includes(quote));
    if (!said) return [];
    const start = said.textContent.indexOf(quote);
    return [{ turn, part: Number(said.dataset.part), start, end: start + quote.length }];
  });
}

function addMarks(found) {
  const apart = (one) => !marks.some((mark) => mark.turn === one.turn && mark.part === one.part && one.start < mark.end && mark.start < one.end);
  const more = found.filter(apart);
  if (more.length) setMarks([...marks, ...more]);
  else hint("These words are highlighted already.");
  draft();
}

function highlight() {
  const found = selectedMarks().length ? selectedMarks() : lastSelected;
  lastSelected = [];
  getSelection().removeAllRanges();
  if (found.length) { addMarks(found); return; }
  const at = document.activeElement.closest ? document.activeElement.closest("#turns .turn") : null;
  const said = at && at.querySelector(".said");
  if (!said) { hint("Select words first, or go to a turn with j and k."); return; }
  const range = document.createRange();
  range.selectNodeContents(said);
  addMarks([markOf(said, range)].filter(Boolean));
}

// --- one case ---

function show(state) {
  busy = false;
  showProgress(state.progress);
  shown = state.ask;
  takesBack = state.last;
  $("work").hidden = !shown;
  $("end").hidden = Boolean(shown);
  if (!shown) {
    showEnd(state.progress);
    $("end-title").focus();
    document.title = $("end-title").textContent;
    if (state.progress.waiting && !state.progress.closed) setTimeout(lookAgain, LOOK_AGAIN);
    return;
  }
  $("practice").hidden = !shown.practice;
  $("practice-left").textContent = state.progress.practice_left;
  showJudged(shown);
  showConversation(shown);
  showOthers(shown);
  $("words").hidden = $("turns").hidden;
  const begun = kept(DRAFT);
  clock.since = document.hidden ? null : performance.now();
  if (begun && begun.item === shown.item) fill(begun);
  else if (last && last.item === shown.item) fill(last);
  else if (shown.earlier) fill({ ...shown.earlier, marks: marksOf(shown.earlier.evidence) });
  else fill({});
  setBusy(false);
  hint("");
  showEdges();
  ($("turns").hidden ? $("judged") : $("turns")).focus({ preventScroll: true });
}

function setBusy(is) {
  busy = is;
  $("work").setAttribute("aria-busy", String(is));
  for (const name of ["save", "skip", "undo"]) $(name).setAttribute("aria-disabled", String(is));
}

function hint(text) { $("hint").textContent = text; }

function status(text, is = "") {
  $("kept").textContent = text;
  $("kept").dataset.is = is;
}

const notSaved = () => status("Not saved yet, trying again", "waiting");
const noAnswer = () => status("No connection, trying again", "waiting");

function clientId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function save(skipped = "") {
  if (busy || !shown) return;
  const label = chosen();
  if (!skipped && !label) { hint("Choose a label first."); return; }
  tick();
  const said = { item: shown.item, rule: $("rule").value, note: $("note").value, label: skipped ? null : label.value };
  const evidence = skipped ? [] : marks.map((mark) => ({ turn: mark.turn, quote: quoteOf(mark) }));
  const client_id = clientId();
  last = { ...said, label: label ? label.value : "", marks };
  keepUnsent(UNSENT + client_id, { at: Date.now(), body: { ...said, skipped, evidence, seconds: Math.round(clock.sum) / 1000, client_id } });
  draft(); // until it is saved: a label that is refused is chosen still
  setBusy(true);
  hint("");
  await deliver();
}

// Sends what is kept, then shows what comes next.
async function deliver() {
  const slow = setTimeout(() => status("Saving", "waiting"), 400);
  try {
    const saved = await sendKept(notSaved);
    const answer = saved || await askPatiently("current", undefined, noAnswer);
    status(!saved ? "" : last ? "Saved" : "Saved what was left from before", "saved");
    if (answer.practice) await tellPractice(answer.practice);
    show(answer);
  } catch (error) {
    await failed(error);
  } finally {
    clearTimeout(slow);
  }
}

async function failed(error) {
  if (error instanceof Gone) {
    $("work").hidden = true;
    $("end").hidden = false;
    $("end-undo").hidden = true;
    tellEnd("Open your link again", "This page is no longer known here. What you chose last is kept in this browser, and sent when you come back.");
    status("");
    return;
  }
  status("Not saved", "refused");
  setBusy(false);
  if (!shown) show(await askPatiently("current", undefined, noAnswer));
  if (shown) hint(error.message);
  else $("end-text").textContent = error.message;
}

async function undo() {
  if (busy || !shown && $("end-undo").hidden) return;
  if (!takesBack) { hint("There is nothing to take back."); return; }
  setBusy(true);
  try {
    const answer = await askPatiently("undo", { last: takesBack }, noAnswer);
    keep(DRAFT, null);
    show(answer);
    status("Undone", "saved");
  } catch (error) {
    draft();
    const now = error instanceof Refused ? await askPatiently("current", undefined, noAnswer).catch(() => null) : null;
    if (now) show(now); // another tab has saved something since, or somebody has decided
    await failed(error);
    status("");
  }
}

async function lookAgain() {
  if (shown || busy) return;
  try {
    const { progress } = await ask("progress");
    if (progress.total > progress.done) show(await ask("current"));
    else { showProgress(progress); showEnd(progress); }
    status("");
    if (!shown && (!progress.waiting || progress.closed)) return;
  } catch { noAnswer(); }
  if (!shown) setTimeout(lookAgain, LOOK_AGAIN);
}

function tellPractice({ said, known }) {
  $("told-title").textContent = said === known ? `Yes: ${known}` : `It is known as: ${known}`;
  $("told-text").textContent = said === known ? "You said the same." : `You said: ${said}. The guideline's rules may say why.`;
  $("told").showModal();
  return new Promise((go) => { $("told").addEventListener("close", go, { once: true }); });
}

// --- skipping ---

function openSkip() {
  if (busy || !shown) return;
  $("reason").value = "";
  $("skipping").showModal();
  $("reason").focus();
}

function skipWith(reason) {
  if (!reason.trim()) { $("reason").focus(); return; }
  $("skipping").close();
  save(reason.trim());
}

// --- keys ---

function step(by) {
  const turns = [...document.querySelectorAll("#turns .turn")];
  if (!turns.length) { $("judged").scrollBy({ top: by * 80 }); return; }
  const at = turns.indexOf(document.activeElement);
  const about = turns.findIndex((turn) => turn.classList.contains("about"));
  const next = at >= 0 ? at + by : about >= 0 ? about + by : by > 0 ? 0 : turns.length - 1;
  const turn = turns[Math.max(0, Math.min(turns.length - 1, next))];
  turn.focus({ preventScroll: true });
  turn.scrollIntoView({ block: "nearest" });
}

// After r: digits name a rule by its place; it ends when no longer number is possible, or at another key.
function typeRule(event) {
  const digits = String(page.rules.length).length;
  if (!/^[0-9]$/.test(event.key)) {
    ruleTyped = null;
    hint("");
    return event.key === "Enter" || event.key === "Escape";
  }
  ruleTyped += event.key;
  const rule = page.rules[Number(ruleTyped) - 1];
  $("rule").value = rule || "";
  draft();
  hint(rule ? `Rule ${rule} cited.` : Number(ruleTyped) ? "There is no such rule." : "No rule cited.");
  if (ruleTyped.length >= digits) ruleTyped = null;
  return true;
}

function startRule() {
  if (!page.rules.length) { hint("This guideline has no rules to cite."); return; }
  ruleTyped = "";
  hint(`Rule: its number, 1 to ${page.rules.length}; 0 for none.`);
}

const KEYS = {
  u: undo, s: openSkip, h: highlight, n: () => $("note").focus(), r: startRule, j: () => step(1), k: () => step(-1),
  "?": () => $("help").showModal(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat && event.key === "Enter") return;
  if (document.querySelector("dialog[open]")) { inDialog(event); return; }
  const target = event.target;
  if (target === $("note")) { inNote(event); return; }
  if (target === $("rule") && event.key !== "Enter") return; // a list takes letters and digits itself
  if (ruleTyped !== null && typeRule(event)) { event.preventDefault(); return; }
  if (event.key === "Enter") {
    if (target.closest("button, summary")) return;
    event.preventDefault();
    save();
  } else if (/^[1-9]$/.test(event.key) && page.labels[Number(event.key) - 1] !== undefined && shown && !busy) {
    choose(page.labels[Number(event.key) - 1]);
    hint("");
    draft();
  } else if (Object.hasOwn(KEYS, event.key) && (shown || "u?".includes(event.key))) {
    event.preventDefault();
    KEYS[event.key]();
  }
}

function inNote(event) {
  if (event.key === "Escape" || event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    ($("turns").hidden ? $("judged") : $("turns")).focus({ preventScroll: true });
  }
}

function inDialog(event) {
  if ($("told").open && event.key === "Enter" && event.target.tagName !== "BUTTON") $("told").close();
  if ($("help").open && event.key === "?") { event.preventDefault(); $("help").close(); }
  if (!$("skipping").open) return;
  const reasons = [...document.querySelectorAll("[data-reason]")];
  if (event.key === "Enter" && event.target === $("reason")) { event.preventDefault(); skipWith($("reason").value); }
  if (/^[1-3]$/.test(event.key) && !$("reason").value) {
    event.preventDefault();
    skipWith(reasons[Number(event.key) - 1].dataset.reason);
  }
}

addEventListener("keydown", onKey);
$("choices").addEventListener("change", () => { hint(""); showMeaning(); draft(); });
$("rule").addEventListener("change", draft);
$("note").addEventListener("input", draft);
$("save").addEventListener("click", () => save());
$("skip").addEventListener("click", openSkip);
$("undo").addEventListener("click", undo);
$("end-undo").addEventListener("click", undo);
markButton.addEventListener("pointerdown", () => { lastSelected = selectedMarks(); });
markButton.addEventListener("click", highlight);
$("open-help").addEventListener("click", () => $("help").showModal());
$("skip-now").addEventListener("click", () => skipWith($("reason").value));
for (const one of document.querySelectorAll("[data-reason]")) one.addEventListener("click", () => skipWith(one.dataset.reason));
for (const one of document.querySelectorAll("[data-closes]")) one.addEventListener("click", () => $(one.dataset.closes).close());
addEventListener("pagehide", () => { tick(); draft(); });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
if (matchMedia("(max-width: 56rem)").matches) $("guideline").open = false;
deliver();
