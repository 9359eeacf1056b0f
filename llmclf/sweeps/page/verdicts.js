
/* --- wrong verdicts: built when opened, as text and never as markup ---------------------------- */

const verdicts = data.verdicts;
const OUTCOMES = {
  f: "flagged it, rightly", a: "flagged it by mistake", m: "missed it", q: "left it alone, rightly", x: "failed on it",
};
const MOST_NAMED = 40;

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content.filter((one) => one !== ""));
  return made;
}

/* what `build` gives is put in when it is opened for the first time */
function folded(className, summary, build) {
  const made = element("details", className, element("summary", "", ...summary));
  made.addEventListener("toggle", () => { if (made.open && made.children.length === 1) made.append(...build()); });
  return made;
}

function highlighted(text, quotes) {
  const said = element("span", "said");
  let rest = text;
  while (rest) {
    let at = -1, found = "";
    for (const quote of quotes) {
      const where = quote ? rest.indexOf(quote) : -1;
      if (where >= 0 && (at < 0 || where < at)) { at = where; found = quote; }
    }
    if (at < 0) break;
    said.append(rest.slice(0, at), element("mark", "", found));
    rest = rest.slice(at + found.length);
  }
  said.append(rest);
  return said;
}

function turns(item, verdict) {
  const list = element("ol", "turns"), labelled = item.labelled ?? [];
  const grounded = (verdict.quotes ?? []).filter(([, , isThere]) => isThere);
  for (const [number, speaker, text] of verdicts.conversations[item.conversation]) {
    const classes = [labelled.includes(number) ? "labelled" : "", item.turn === number ? "asked" : ""];
    const quotes = grounded.filter(([turn]) => turn === number || turn === null).map(([, quote]) => quote);
    list.append(element("li", classes.join(" ").trim(), element("span", "who", "[" + number + "] " + speaker), highlighted(text, quotes)));
  }
  return list;
}

function score(verdict) {
  if (verdict.score === undefined) return "";
  const limit = verdict.threshold === undefined ? "" : ", threshold " + verdict.threshold.toFixed(2);
  return "score " + verdict.score.toFixed(3) + limit;
}

function quoted(verdict) {
  return (verdict.quotes ?? []).map(([turn, quote, isThere]) => element("blockquote", "",
    turn === null ? "" : element("span", "soft", "turn " + turn + ": "), quote,
    isThere ? "" : element("span", "stamp", "NOT IN THE CONVERSATION")));
}

function annotations(item) {
  if (!item.annotations) return [];
  const rows = item.annotations.map(([who, label, rule, note]) => {
    const why = [rule, note].filter(Boolean).join(" \u00b7 ");
    return element("li", "", who + ": ", element("b", "", label), why ? element("span", "soft", " " + why) : "");
  });
  return [element("h4", "", "What people said"), element("ul", "annotations", ...rows)];
}

/* the other cells of the same group; real and simulated ones never beside each other */
function others(cell, place) {
  const asked = verdicts.cells.filter((other) => other !== cell && other.group === cell.group && other.said[place] !== "-");
  if (!asked.length) return [];
  const wrong = asked.filter((other) => "max".includes(other.said[place])).length;
  const doubt = wrong === asked.length && wrong > 1 && "max".includes(cell.said[place]) ? " Is the label right?" : "";
  const groups = Object.entries(OUTCOMES).map(([code, words]) => {
    const own = asked.filter((other) => other.said[place] === code);
    if (!own.length) return "";
    const shown = own.slice(0, MOST_NAMED).map((other) => {
      const hundredths = other.hundredths[place] ?? -1; // of its score; less than 0: it has none
      const chip = element("span", "chip", other.number + (hundredths < 0 ? "" : " (" + (hundredths / 100).toFixed(2) + ")"));
      chip.title = other.label;
      return chip;
    });
    const rest = own.length - shown.length;
    return element("li", "", element("span", "soft", own.length + " " + words + ": "), ...shown, rest > 0 ? " and " + rest + " more" : "");
  });
  const title = "What other configurations said: wrong in " + wrong + " of " + asked.length + "." + doubt;
  return [element("h4", "", title), element("ul", "others", ...groups.filter(Boolean))];
}

function command(words, text) {
  const code = element("code", "command", text), button = element("button", "copy", "copy");
  button.type = "button";
  button.addEventListener("click", () => {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    if (document.execCommand("copy")) button.textContent = "copied"; // works in a file that was opened, too
  });
  return element("li", "", element("span", "soft", words), code, button);
}

function commands(cell, item, verdict) {
  const show = (options) => "llmclf show --run " + cell.run + options + " " + (item.command ?? item.id);
  const by = ' --by "$USER"';
  const list = [command(verdict.asked ? "the exact prompt and the raw answer" : "all that is known of it", show(""))];
  if (verdict.relabel) list.push(command("the label is wrong", show(" --relabel " + verdict.relabel + by)));
  if (verdict.hard_negative) list.push(command("make it a hard negative", show(" --hard-negative" + by)));
  return [element("h4", "", "From here"), element("ul", "commands", ...list)];
}

function body(cell, verdict) {
  const item = verdicts.items[verdict.item];
  const facts = [...(item.facts ?? []), ...(verdict.truncated ? ["it did not see the whole conversation"] : [])];
  return [element("div", "body",
    verdict.message ? element("p", "", verdict.message) : "",
    verdict.rationale ? element("p", "", verdict.rationale) : "",
    ...quoted(verdict),
    facts.length ? element("p", "soft", facts.join(" \u00b7 ")) : "",
    turns(item, verdict),
    ...annotations(item), ...others(cell, verdict.item), ...commands(cell, item, verdict))];
}

function kindOf(cell, kind) {
  const { count, verdicts: listed } = cell.lists[kind], [one, many, meaning] = verdicts.kinds[kind];
  const rest = count - listed.length;
  return folded("", [count + " " + (count === 1 ? one : many) + " ", element("span", "soft", meaning)], () => {
    const shown = listed.map((verdict) => {
      const item = verdicts.items[verdict.item];
      const summary = [item.id + ": is ", element("b", "", item.label), ", said ", element("b", "", verdict.said ?? "nothing"),
        element("span", "soft", " " + score(verdict))];
      return folded("verdict", summary, () => body(cell, verdict));
    });
    if (rest > 0) {
      const all = "llmclf errors " + cell.run + " --kind " + kind.replace("_", "-") + " --limit " + count;
      shown.push(element("p", "soft", "and " + rest + " more, in the store: ", element("code", "", all)));
    }
    return shown;
  });
}

for (const place of document.querySelectorAll("details.cell-verdicts")) {
  const cell = verdicts.cells[Number(place.dataset.cell)];
  place.addEventListener("toggle", () => {
    if (place.open && !place.querySelector("details")) place.append(...Object.keys(cell.lists).map((kind) => kindOf(cell, kind)));
  });
}
