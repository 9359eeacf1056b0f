"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const narrow = matchMedia("(max-width: 42rem)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

/* --- the surface: one plot for real cells, another for simulated ones, never both ------------- */

const axes = {
  recall: { title: "recall", low: "recall_low", high: "recall_high" },
  seconds: { title: "p95 seconds" },
};

/* seconds on a log scale only where they differ much: else it would have hardly a tick */
function isLog(plot, axis) {
  const seconds = plot.cells.map((cell) => cell.seconds).filter((value) => value > 0);
  return axis === "seconds" && seconds.length > 0 && Math.max(...seconds) > 5 * Math.min(...seconds);
}

/* recall from a little below the lowest interval up to 1; seconds as their ticks have it */
function range(plot, axis) {
  if (axis === "seconds") return undefined;
  const least = Math.min(...plot.cells.map((cell) => cell.recall_low ?? cell.recall ?? 0));
  return [Math.floor(10 * least) / 10 - 0.05, 1.05];
}

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
  const x = shares(cells.map((cell) => cell.usd), plot.log), y = shares(cells.map((cell) => cell[axis]), isLog(plot, axis), range(plot, axis));
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
function shares(values, log, ends) {
  const scaled = values.map((value) => (log ? Math.log10(Math.max(value, 1e-9)) : value));
  const [from, to] = ends ?? [log ? Math.min(...scaled) : 0, Math.max(...scaled)];
  return scaled.map((value) => (value - from) / (to - from || 1));
}

/* The surer a cell is to be on the front, the larger; of many cells only those on the front have numbers and bars. */
const MANY = 60;
const size = (cell, many) => (cell.chance === null ? (many ? 12 : 18) : (many ? 9 : 14) + 8 * Math.sqrt(cell.chance));
const opacity = (cell) => (cell.chance === null ? 0.8 : 0.55 + 0.35 * cell.chance);

function traces(plot, axis) {
  const many = plot.cells.length > MANY, cells = plot.cells;
  const named = names({ ...plot, cells: many ? cells.filter((cell) => cell.front) : cells }, axis);
  const quiet = { text: "", alone: true, place: "middle center" };
  const kinds = [...new Set(cells.map((cell) => cell.kind))];
  const dots = kinds.map((kind) => {
    const own = cells.filter((cell) => cell.kind === kind && cell[axis] !== null);
    own.sort((one, other) => one.front - other.front); // a diamond is not hidden by a dot
    const said = own.map((cell) => named.get(cell) ?? quiet), barred = own.map((cell) => (many && !cell.front ? { ...cell, ...NO_BARS } : cell));
    return {
      name: data.kinds[kind], type: "scatter", mode: "markers+text", x: own.map((cell) => cell.usd), y: own.map((cell) => cell[axis]),
      text: said.map((one) => one.text), textposition: said.map((one) => one.place),
      textfont: { color: said.map((one) => colour(one.alone ? "paper" : "ink")), size: 10 },
      hovertext: own.map((cell) => cell.hover), hoverinfo: "text",
      error_x: { ...bars(barred, "usd", "usd_low", "usd_high"), color: colour(kind) },
      error_y: axes[axis].low ? { ...bars(barred, axis, axes[axis].low, axes[axis].high), color: colour(kind) } : undefined,
      marker: {
        opacity: own.map(opacity), size: own.map((cell) => size(cell, many)), color: colour(kind),
        symbol: own.map((cell) => (cell.front ? "diamond" : "circle")),
        line: { color: own.map((cell) => (cell.front ? colour("ink") : colour("paper"))), width: 1.5 },
      },
    };
  });
  return axis === "seconds" ? [...front(cells), ...dots] : dots;
}
const NO_BARS = { usd_low: null, usd_high: null, recall_low: null, recall_high: null };

/* The front as a staircase, and a band from the lower to the upper end of its cells' dollars. */
function front(cells) {
  const on = cells.filter((cell) => cell.front && cell.seconds !== null).sort((one, other) => one.usd - other.usd);
  if (!on.length) return [];
  const top = 1.05 * Math.max(...cells.map((cell) => cell.seconds ?? 0)); // whoever may wait so long takes the cheapest
  const stairs = (key) => on.flatMap((cell, at) => [[cell[key] ?? cell.usd, at ? on[at - 1].seconds : top], [cell[key] ?? cell.usd, cell.seconds]]);
  const low = stairs("usd_low"), high = stairs("usd_high").reverse(), line = stairs("usd");
  const band = [...low, ...high];
  const shared = { type: "scatter", mode: "lines", hoverinfo: "skip" };
  return [
    { ...shared, x: band.map((at) => at[0]), y: band.map((at) => at[1]), fill: "toself", fillcolor: colour("band"), line: { width: 0 }, name: "its 95 % intervals" },
    { ...shared, x: line.map((at) => at[0]), y: line.map((at) => at[1]), line: { color: colour("ink"), width: 1.2, dash: "dot" }, name: "front" },
  ];
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
  const soft = colour("soft"), dollars = dollarAxis(plot);
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
    ...look(), shapes, annotations,
    xaxis: {
      ...rule(), title: { text: "dollars per 1,000 " + plot.unit }, tickprefix: "$", tickformat: ",", hoverformat: ".2f",
      ...dollars.axis,
    },
    yaxis: {
      ...rule(), title: { text: axes[axis].title }, range: range(plot, axis),
      ...(isLog(plot, axis) ? logTicks(plot.cells.map((cell) => cell.seconds)) : {}),
    },
  };
}

/* what every plot of the page has in common */
function look() {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("ink"), size: 13 },
    margin: { l: 52, r: 14, t: 10, b: 48 }, hovermode: "closest",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("ink") },
    hoverlabel: { bgcolor: colour("wash"), bordercolor: colour("line"), font: { color: colour("ink") }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" }, showlegend: true,
  };
}
const rule = () => ({ gridcolor: colour("line"), zeroline: false, linecolor: colour("line"), tickcolor: colour("line"), automargin: true });

function draw(name) {
  const place = document.getElementById("plot-" + name);
  if (!place) return;
  const plot = data.plots[name], axis = place.dataset.axis;
  Plotly.react(place, traces(plot, axis), layout(plot, axis), options());
}

const options = () => ({
  responsive: true, displaylogo: false, displayModeBar: narrow.matches ? false : "hover",
  modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
});

for (const button of document.querySelectorAll(".choice button")) {
  button.addEventListener("click", () => {
    const name = button.parentElement.dataset.plot;
    document.getElementById("plot-" + name).dataset.axis = button.dataset.axis;
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
    draw(name);
  });
}
