
/* --- scores: precision and recall at every threshold, and whether probabilities are right ------- */

const DRAWN = 5; // cells that are switched on at first
const HUES = ["#0b6bc0", "#c25e00", "#00815c", "#8f5fbf", "#c8463c", "#7a6a00", "#00808a", "#a0477f"];
const HUES_DARK = ["#64aef5", "#f09a4a", "#3fc79a", "#bf97e8", "#e0675c", "#d3c04a", "#4cc4cc", "#e48fc2"];
const hue = (at) => (dark.matches ? HUES_DARK : HUES)[at % HUES.length];

function switched(cell, at) {
  const short = cell.label.length > 34 ? cell.label.slice(0, 33) + "\u2026" : cell.label;
  return { name: plain(cell.number + " " + short), legendgroup: cell.number, visible: at < DRAWN ? true : "legendonly", type: "scatter" };
}

/* plotly reads a little markup in names and hovers; a label is text */
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const at2 = (recall, precision) => "<br>recall " + recall.toFixed(2) + ", precision " + precision.toFixed(2);
const reach = (low, value, high) => ({ type: "data", symmetric: false, thickness: 1.2, width: 3,
  array: [Math.max(0, high - value)], arrayminus: [Math.max(0, value - low)] });

function curveTraces(cells) {
  return cells.flatMap((cell, at) => {
    const shared = switched(cell, at), lines = [];
    if (cell.recall.length) {
      lines.push({
        ...shared, mode: cell.recall.length > 1 ? "lines" : "markers", x: cell.recall, y: cell.precision, line: { color: hue(at), width: 2 }, marker: { color: hue(at) },
        hovertext: cell.threshold.map((threshold, place) => shared.name + "<br>threshold " + threshold + at2(cell.recall[place], cell.precision[place])), hoverinfo: "text",
      });
    }
    if (cell.here) {
      const { recall, precision } = cell.here;
      lines.push({
        ...shared, mode: "markers", x: [recall[1]], y: [precision[1]], showlegend: !cell.recall.length,
        marker: { symbol: "x", size: 9, color: hue(at) }, error_x: { ...reach(...recall), color: hue(at) }, error_y: { ...reach(...precision), color: hue(at) },
        hovertext: shared.name + "<br>at its own threshold" + at2(recall[1], precision[1]), hoverinfo: "text",
      });
    }
    return lines;
  });
}

/* On a log scale nothing is 0: what is stands at the left or lower edge. */
function reliabilityTraces(cells, least) {
  const seen = (value) => Math.max(least, value);
  const made = cells.flatMap((cell, at) => {
    const bins = cell.bins.filter((bin) => bin.low !== null && bin.high !== null);
    if (!bins.length) return [];
    const middle = bins.map((bin) => seen(bin.value ?? bin.low));
    return [{
      ...switched(cell, at), mode: "markers+lines", x: bins.map((bin) => seen(bin.probability)), y: middle,
      line: { color: hue(at), width: 1 },
      marker: { color: hue(at), size: bins.map((bin) => (bin.value === null ? 1 : 8)) },
      error_y: { type: "data", symmetric: false, thickness: 1.2, width: 3, color: hue(at),
        array: bins.map((bin, place) => Math.max(0, bin.high - middle[place])), arrayminus: bins.map((bin, place) => Math.max(0, middle[place] - seen(bin.low))) },
      hovertext: bins.map((bin) => plain(cell.label) + "<br>" + bin.items + " items of probability " + bin.probability.toPrecision(2) + "<br>share of targets " + bin.said),
      hoverinfo: "text",
    }];
  });
  return [{ type: "scatter", mode: "lines", x: [least, 1], y: [least, 1], line: { color: colour("soft"), dash: "dot", width: 1.2 }, hoverinfo: "skip", showlegend: false }, ...made];
}

function drawCurves(name) {
  const cells = data.curves[name], curves = document.getElementById("curves-" + name), right = document.getElementById("reliability-" + name);
  if (!curves) return;
  const share = { ...rule(), range: [-0.03, 1.03] }, legend = { orientation: "h", x: 0, y: narrow.matches ? -0.36 : -0.22, yanchor: "top", font: { size: 11 } };
  Plotly.react(curves, curveTraces(cells), { ...look(), legend, xaxis: { ...share, title: { text: "recall" } },
    yaxis: { ...share, title: { text: "precision at " + data.prevalence } } }, options());
  if (right.hidden) return;
  const chances = cells.flatMap((cell) => cell.bins.map((bin) => bin.probability)).filter((chance) => chance > 0);
  const power = Math.max(-5, Math.floor(Math.log10(Math.min(0.1, ...chances)))), log = power < -1;
  const axis = log ? { ...rule(), ...logTicks([10 ** power, 1]), range: [power - 0.1, 0.1] } : share;
  Plotly.react(right, reliabilityTraces(cells, log ? 10 ** power : 0), { ...look(), legend, xaxis: { ...axis, title: { text: "probability given" } },
    yaxis: { ...axis, title: { text: "share of targets" } } }, options());
}

function drawAll() {
  Object.keys(data.plots).forEach(draw);
  Object.keys(data.curves).forEach(drawCurves);
}
dark.addEventListener("change", drawAll);
narrow.addEventListener("change", drawAll);
drawAll();
