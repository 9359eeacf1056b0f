/* Rows can be searched, filtered and ordered, and a bucket tells its counts. Texts are set as text, never as markup. */
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const map = document.querySelector(".map");
const clusters = [...document.querySelectorAll("details.cluster")];
const families = [...document.querySelectorAll("details.family")];
const number = new Intl.NumberFormat("en-US");

/* --- what a bucket holds: under the pointer, or by arrow keys on a row ------------------------- */

const tip = document.createElement("div");
tip.className = "tip";
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("role", "status");
document.body.append(tip);
const cursor = document.createElement("span");
cursor.className = "cursor";
let place = data.window;

const counts = new Map(Object.entries(data.counts));

/* of one cluster, or of all clusters of a family */
function countsOf(row) {
  const own = counts.get(row.dataset.id);
  if (row.classList.contains("cluster")) return own ?? [];
  const all = [...row.querySelectorAll("details.cluster")].map((one) => counts.get(one.dataset.id) ?? []);
  return data.buckets.map((_, bucket) => all.reduce((sum, one) => sum + (one[bucket] ?? 0), 0));
}

function tell(strip, bucket) {
  const count = countsOf(strip.closest("details"))[bucket] ?? 0, total = data.totals[bucket] ?? 0;
  const share = total ? " (" + (100 * count / total).toFixed(1) + " %)" : "";
  const when = data.buckets[bucket] + (bucket < data.window ? ", baseline" : data.window ? ", window" : "");
  tip.textContent = when + ": " + number.format(count) + " of " + number.format(total) + " reasons" + share;
  const box = strip.getBoundingClientRect(), width = box.width / data.buckets.length;
  cursor.style.left = (100 * bucket / data.buckets.length) + "%";
  cursor.style.width = "max(3px, " + (100 / data.buckets.length) + "%)";
  strip.append(cursor);
  tip.hidden = false;
  const left = Math.min(box.left + bucket * width, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = Math.max(left, 8) + "px";
  const above = box.top - tip.offsetHeight - 6;
  tip.style.top = (above > 0 ? above : box.bottom + 6) + "px";
}

function hush() {
  tip.hidden = true;
  cursor.remove();
}

if (map && data.buckets.length) {
  map.addEventListener("pointermove", (event) => {
    const strip = event.target.closest(".strip");
    if (!strip) return hush();
    const box = strip.getBoundingClientRect();
    const at = Math.floor((event.clientX - box.left) / box.width * data.buckets.length);
    place = Math.min(Math.max(at, 0), data.buckets.length - 1);
    tell(strip, place);
  });
  map.addEventListener("pointerleave", hush);
  map.addEventListener("focusout", hush);
  map.addEventListener("keydown", (event) => {
    const line = event.target.closest("summary.line");
    if (!line) return;
    const rows = [...map.querySelectorAll("summary.line")].filter((one) => one.offsetParent !== null);
    const steps = { ArrowLeft: -1, ArrowRight: 1 }, lines = { ArrowUp: -1, ArrowDown: 1 };
    if (event.key in steps) {
      if (!tip.hidden) place = Math.min(Math.max(place + steps[event.key], 0), data.buckets.length - 1);
      tell(line.querySelector(".strip"), place);
    } else if (event.key in lines) {
      const next = rows[rows.indexOf(line) + lines[event.key]];
      if (next) { next.focus(); tell(next.querySelector(".strip"), place); }
    } else if (event.key === "Escape") hush();
    else return;
    event.preventDefault();
  });
}

/* --- search, filters and order ----------------------------------------------------------------- */

const form = document.querySelector(".filters");
const words = new Map();

/* names, terms and quotes of a row, read when first searched */
function wordsOf(row) {
  if (!words.has(row)) words.set(row, (row.dataset.words + " " + [...row.querySelectorAll("blockquote")].map((one) => one.textContent).join(" ")).toLowerCase());
  return words.get(row);
}

function filter() {
  const find = form.find.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const kind = form.kind.value, only = form.only.checked;
  let found = 0;
  for (const row of clusters) {
    const fits = (!kind || row.dataset.kind === kind) && (!only || row.dataset.alarm) && find.every((word) => wordsOf(row).includes(word));
    row.hidden = !fits;
    found += fits ? 1 : 0;
  }
  const narrowed = find.length || kind || only;
  for (const family of families) {
    family.hidden = !family.querySelector("details.cluster:not([hidden])");
    if (narrowed && !family.hidden) family.open = true;
  }
  form.found.textContent = narrowed ? number.format(found) + " of " + number.format(clusters.length) + " clusters" : "";
  document.getElementById("none").hidden = found > 0;
}

/* a family stands where the first of its rows does */
function reorder() {
  const by = form.order.value;
  const value = (row) => by === "first" ? row.dataset.first : row.dataset[by] === "" ? (row.dataset.kind === "new" ? Infinity : -1) : Number(row.dataset[by]);
  const compare = (one, other) => {
    if (!by) return first.get(one) - first.get(other);
    const a = value(one), b = value(other);
    return a === b ? first.get(one) - first.get(other) : a < b ? 1 : -1;
  };
  const sorted = [...clusters].sort(compare), seen = new Set();
  for (const row of sorted) {
    const family = row.closest("details.family");
    if (family && !seen.has(family)) { seen.add(family); map.append(family); }
    (family ? family.querySelector(".rows") : map).append(row);
  }
}
const first = new Map(clusters.map((row, index) => [row, index]));

if (form) {
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.order.addEventListener("change", reorder);
}

/* --- links to rows, and commands to copy ------------------------------------------------------- */

function reveal() {
  const row = location.hash && document.getElementById(location.hash.slice(1));
  if (!row) return;
  if (row.hidden) { form.reset(); filter(); reorder(); }
  for (let one = row; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  row.scrollIntoView();
  row.querySelector("summary")?.focus({ preventScroll: true });
}
addEventListener("hashchange", reveal);
reveal();

for (const code of document.querySelectorAll(".command")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(code);
    if (document.execCommand("copy")) button.textContent = "copied"; // works in a file that was opened, too
  });
  code.after(button);
}
