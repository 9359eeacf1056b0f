"use strict";
// What is sent to the server, and kept in this browser until the server has it.

const page = JSON.parse(document.getElementById("data").textContent);
const KEPT = `llmclf ${page.address} `;
const UNSENT = `${KEPT}unsent `;
const DRAFT = `${KEPT}draft`;
const LONGEST_WAIT = 8000;

function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
  } catch { /* a browser that keeps nothing */ }
}

function kept(name) {
  try { return JSON.parse(localStorage.getItem(name)); } catch { return null; }
}

// Labels that the server may not have: in this page, and in the browser where it keeps anything.
const unsent = new Map();

function keepUnsent(name, value) {
  if (value === null) unsent.delete(name);
  else unsent.set(name, value);
  keep(name, value);
}

function allUnsent() {
  let names = [];
  try { names = Object.keys(localStorage).filter((name) => name.startsWith(UNSENT)); } catch { /* only those of this page */ }
  const all = new Map([...names.map((name) => [name, kept(name)]), ...unsent]);
  return [...all].filter(([, value]) => value).sort(([, one], [, other]) => one.at - other.at);
}

// Only our own server knows what became of a label: what a firewall, a proxy or a login page answers is no answer.
class Refused extends Error {}
class Gone extends Error {}

async function ask(path, body) {
  const options = { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(20000) };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  }
  const answer = await fetch(`${page.address}/api/${path}`, options);
  const given = await answer.json();
  if (answer.ok && given && given.progress) return given;
  if (!given || given.from !== "llmclf" || answer.status >= 500) throw new Error(answer.statusText);
  if (answer.status === 401 || answer.status === 404) throw new Gone(given.error.message);
  throw new Refused(given.error.message);
}

const pause = (milliseconds) => new Promise((go) => {
  const timer = setTimeout(go, milliseconds);
  addEventListener("online", () => { clearTimeout(timer); go(); }, { once: true });
});

// Asks until there is an answer; `waiting` is told each time there is none.
async function askPatiently(path, body, waiting) {
  for (let wait = 500; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
    try {
      return await ask(path, body);
    } catch (error) {
      if (error instanceof Refused || error instanceof Gone) throw error;
      waiting();
      await pause(wait);
    }
  }
}

// Sends everything that is not saved yet, oldest first, each as often as needed: the server keeps it once.
// Gives the answer to the last, or null where there was nothing to send.
async function sendKept(waiting) {
  let answer = null;
  for (const [name, { body }] of allUnsent()) {
    try {
      answer = await askPatiently("save", body, waiting);
      keepUnsent(name, null);
      if ((kept(DRAFT) || {}).item === body.item) keep(DRAFT, null);
    } catch (error) {
      if (error instanceof Refused) keepUnsent(name, null); // asking again would change nothing
      throw error;
    }
  }
  return answer;
}
