"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const narrow = matchMedia("(max-width: 42rem)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

/* --- the surface: one plot for real cells, another for simulated ones, never both ------------- */

const axes = {
  recall: { title: "recall", range: [-0.05, 1.05], low: "recall_low", high: "recall_high" },
  seconds: { title: "p95 seconds" },
};

function bars(cells, key, low, high) {
  return {
    type: "data", symmetric: false, thickness: 1.2, width: 3,
    array: cells.map((cell) => Math.max(0, (cell[high] ?? cell[key]) - cell[key])),
    arrayminus: cells.map((cell) => Math.max(0, cell[key] - (cell[low] ?? cell[key]))),
  };
}

/* Cells whose markers cover each other are named together, beside the first of them: numbers never overprint.
   Distances are shares of the plot, which is what a marker's size is a share of. */
const CLOSE = { x: 0.025, y: 0.05 }, PER_LINE = 4;
function names(plot, axis) {
  const cells = plot.cells.filter((cell) => cell[axis] !== null);
  const x = shares(cells.map((cell) => cell.usd), plot.log), y = shares(cells.map((cell) => cell[axis]), axis === "seconds", axes[axis].range);
  const group = cells.map((_, at) => at);
  for (let one = 0; one < cells.length; one += 1) {
    for (let other = 0; other < one; other += 1) {
      if (Math.abs(x[one] - x[other]) > CLOSE.x || Math.abs(y[one] - y[other]) > CLOSE.y) continue;
      const from = group[one], to = group[other];
      group.forEach((at, place) => { if (at === from) group[place] = to; });
    }
  }
  const said = new Map();
  cells.forEach((cell, at) => {
    const own = cells.filter((_, place) => group[place] === group[at]), alone = own.length === 1;
    const numbers = own.map((one) => String(one.number));
    const lines = numbers.map((text, place) => (place && place % PER_LINE === 0 ? "<br>" : place ? " " : "") + text);
    const right = Math.max(...own.map((one) => x[cells.indexOf(one)])) < 0.8;
    said.set(cell, {
      text: own[0] === cell ? lines.join("") : "", alone,
      place: alone ? "middle center" : right ? "bottom right" : "bottom left",
    });
  });
  return said;
}

/* where values lie on their axis, from 0 to 1 */
function shares(values, log, range) {
  const scaled = values.map((value) => (log ? Math.log10(Math.max(value, 1e-9)) : value));
  const [from, to] = range ?? [log ? Math.min(...scaled) : 0, Math.max(...scaled)];
  return scaled.map((value) => (value - from) / (to - from || 1));
}

function traces(plot, axis) {
  const cells = plot.cells, said = names(plot, axis);
  const kinds = [...new Set(cells.map((cell) => cell.kind))];
  return kinds.map((kind) => {
    const own = cells.filter((cell) => cell.kind === kind && cell[axis] !== null);
    own.sort((one, other) => one.front - other.front); // a diamond is not hidden by a dot
    const name = data.kinds[kind], named = own.map((cell) => said.get(cell));
    return {
      name, type: "scatter", mode: "markers+text", x: own.map((cell) => cell.usd), y: own.map((cell) => cell[axis]),
      text: named.map((one) => one.text), textposition: named.map((one) => one.place),
      textfont: { color: named.map((one) => colour(one.alone ? "paper" : "ink")), size: 10 },
      hovertext: own.map((cell) => cell.hover), hoverinfo: "text",
      error_x: { ...bars(own, "usd", "usd_low", "usd_high"), color: colour(kind) },
      error_y: axes[axis].low ? { ...bars(own, axis, axes[axis].low, axes[axis].high), color: colour(kind) } : undefined,
      marker: {
        opacity: 0.8, size: 18, color: colour(kind), symbol: own.map((cell) => (cell.front ? "diamond" : "circle")),
        line: { color: own.map((cell) => (cell.front ? colour("ink") : colour("paper"))), width: 1.5 },
      },
    };
  });
}

/* 1, 2, 5, 10, ... over the values; only powers of ten where there are many */
function logTicks(values) {
  const known = values.filter((value) => value > 0), ticks = [];
  const from = Math.floor(Math.log10(Math.min(...known))), to = Math.ceil(Math.log10(Math.max(...known)));
  for (let power = from; power <= to; power += 1) {
    for (const step of to - from > 3 ? [1] : [1, 2, 5]) ticks.push(Number((step * 10 ** power).toPrecision(1)));
  }
  return { type: "log", tickmode: "array", tickvals: ticks, ticktext: ticks.map((tick) => tick.toLocaleString("en", { maximumSignificantDigits: 2 })) };
}

/* From the cells alone; the line of flagging nothing is drawn where it is not far off, else named at the edge. */
function dollarAxis(plot) {
  const lows = plot.cells.map((cell) => cell.usd_low ?? cell.usd);
  const highs = plot.cells.map((cell) => cell.usd_high ?? cell.usd);
  const nothing = plot.nothing_usd, far = plot.log ? 4 : 1.4;
  const least = Math.min(...lows), most = Math.max(...highs);
  const near = nothing !== null && nothing <= far * most && (!plot.log || nothing >= least / far);
  const from = near ? Math.min(least, nothing) : least, to = near ? Math.max(most, nothing) : most;
  if (!plot.log) return { near, axis: { range: [0, 1.08 * to || 1] } };
  return { near, axis: { ...logTicks([from, to]), range: [Math.log10(from) - 0.08, Math.log10(to) + 0.08] } };
}

function layout(plot, axis) {
  const line = colour("line"), soft = colour("soft"), dollars = dollarAxis(plot);
  const shared = { gridcolor: line, zeroline: false, linecolor: line, tickcolor: line, automargin: true };
  const shapes = [], annotations = [], font = { color: soft, size: 12 };
  if (dollars.near) {
    shapes.push({
      type: "line", x0: plot.nothing_usd, x1: plot.nothing_usd, yref: "paper", y0: 0, y1: 1,
      line: { dash: "dot", color: soft, width: 1.5 },
    });
    annotations.push({
      x: plot.log ? Math.log10(plot.nothing_usd) : plot.nothing_usd, yref: "paper", y: 0.98, xanchor: "left",
      yanchor: "top", showarrow: false, text: " flag nothing", font,
    });
  } else if (plot.nothing_usd !== null) {
    annotations.push({
      xref: "paper", yref: "paper", x: 1, y: 0.02, xanchor: "right", yanchor: "bottom", showarrow: false, font,
      text: "flag nothing: $" + plot.nothing_usd.toLocaleString("en", { maximumFractionDigits: 2 }),
    });
  }
  if (plot.stamp) {
    annotations.push({
      xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false, text: plot.stamp, opacity: 0.18,
      font: { size: narrow.matches ? 34 : 64, color: colour("warn") }, textangle: -12,
    });
  }
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("ink"), size: 13 },
    margin: { l: 52, r: 14, t: 10, b: 48 }, hovermode: "closest", shapes, annotations,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: colour("ink") },
    hoverlabel: { bgcolor: colour("wash"), bordercolor: line, font: { color: colour("ink") }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" }, showlegend: true,
    xaxis: {
      ...shared, title: { text: "dollars per 1,000 " + plot.unit }, tickprefix: "$", tickformat: ",", hoverformat: ".2f",
      ...dollars.axis,
    },
    yaxis: {
      ...shared, title: { text: axes[axis].title }, range: axes[axis].range,
      ...(axis === "seconds" ? logTicks(plot.cells.map((cell) => cell.seconds)) : {}),
    },
  };
}

function draw(name) {
  const place = document.getElementById("plot-" + name);
  if (!place) return;
  const plot = data.plots[name], axis = place.dataset.axis;
  const options = { responsive: true, displaylogo: false, displayModeBar: narrow.matches ? false : "hover",
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]] };
  Plotly.react(place, traces(plot, axis), layout(plot, axis), options);
}

function drawAll() { Object.keys(data.plots).forEach(draw); }

for (const button of document.querySelectorAll(".choice button")) {
  button.addEventListener("click", () => {
    const name = button.parentElement.dataset.plot;
    document.getElementById("plot-" + name).dataset.axis = button.dataset.axis;
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
    draw(name);
  });
}
dark.addEventListener("change", drawAll);
narrow.addEventListener("change", drawAll);
drawAll();

/* --- conversations: built when opened, as text and never as markup ---------------------------- */

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
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

function turns(verdict) {
  const about = JSON.parse(verdict.dataset.about);
  const list = element("ol", "turns");
  for (const [number, speaker, text] of data.conversations[about.conversation]) {
    const classes = [about.labelled.includes(number) ? "labelled" : "", about.turn === number ? "asked" : ""];
    const row = element("li", classes.join(" ").trim());
    const quotes = about.quotes.filter(([turn]) => turn === number || turn === null).map(([, quote]) => quote);
    row.append(element("span", "who", "[" + number + "] " + speaker), highlighted(text, quotes));
    list.append(row);
  }
  return list;
}

for (const verdict of document.querySelectorAll("details.verdict")) {
  verdict.addEventListener("toggle", () => {
    const body = verdict.querySelector(".body");
    if (verdict.open && !body.querySelector(".turns")) body.append(turns(verdict));
  });
}
