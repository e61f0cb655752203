// A series drawn: its values, what was expected of them, and those that were unusual. Loaded when it is first needed.

import uPlot from "./vendor/uPlot.esm.js";
import { h, replace } from "./dom.js";
import { band, known, moment, number } from "./text.js";

const HIGH = 260, UNUSUAL = 5, MOST = 0.8; // pixels; the column of the data that has them; how much of the band is shown

/** Draws into a box, as wide as that is; again when that changes, or the colours do. */
export function draw(box, said) {
  const readout = h("p.readout", { "aria-live": "polite" });
  const frame = h("div.frame", { tabindex: 0, role: "img", "aria-label": told(said), "data-key": "chart" });
  replace(box, frame, readout, legend());
  let plot = null;
  const paint = () => {
    plot?.destroy();
    plot = new uPlot(options(frame, said, (index) => replace(readout, line(said, index))), data(said), frame);
  };
  const again = new ResizeObserver(() => plot && box.isConnected ? plot.setSize({ width: wide(frame), height: HIGH }) : plot || paint());
  again.observe(frame);
  frame.addEventListener("keydown", (event) => walk(event, plot, said));
  document.addEventListener("painted", paint, { signal: gone(box, again) });
  replace(readout, line(said, said.points.length - 1));
}

/** A signal that ends when the box has left the page. */
function gone(box, observer) {
  const over = new AbortController();
  const watch = new MutationObserver(() => {
    if (box.isConnected) return;
    watch.disconnect();
    observer.disconnect();
    over.abort();
  });
  watch.observe(document.querySelector("main"), { childList: true, subtree: true });
  return over.signal;
}

function data({ points }) {
  const column = (of) => points.map((point) => { const value = of(point); return known(value) ? value : null; });
  return [
    points.map((point) => point.at), column((point) => point.upper), column((point) => point.lower),
    column((point) => point.expected), column((point) => point.value), column((point) => (point.unusual ? point.value : null)),
  ];
}

function options(frame, { points, unit }, moved) {
  const colour = (name) => getComputedStyle(frame).getPropertyValue(`--${name}`);
  const [ink, faint, usual, bad, grid] = ["chart-line", "chart-faint", "chart-band", "chart-bad", "chart-grid"].map((name) => resolved(frame, colour(name)));
  const axis = { stroke: faint, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui" };
  const few = points.length <= 80;
  return {
    width: wide(frame), height: HIGH, legend: { show: false }, cursor: { y: false, points: { size: 8 }, drag: { x: true, y: false } },
    scales: { y: { range: () => roomy(points) } },
    axes: [{ ...axis, values: times, space: 70 }, { ...axis, size: 74, values: (_, splits) => splits.map((value) => (unit === "seconds" || unit === "bytes" ? number(value, unit) : short.format(value))) }],
    bands: [{ series: [1, 2], fill: usual }],
    series: [
      {},
      { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } },
      { stroke: faint, dash: [4, 4], width: 1, points: { show: false } },
      { stroke: ink, width: 1.75, points: { show: few, size: 5, fill: ink } },
      { paths: () => null, points: { show: false } },
    ],
    hooks: { draw: [(plot) => diamonds(plot, bad)], setCursor: [(plot) => moved(plot.cursor.idx ?? points.length - 1)] },
  };
}

/** Unusual points have a shape of their own, not only a colour. */
function diamonds(plot, fill) {
  const { ctx } = plot, size = 6 * devicePixelRatio;
  ctx.save();
  ctx.fillStyle = fill;
  for (const [at, value] of plot.data[UNUSUAL].entries()) {
    if (value === null) continue;
    const x = plot.valToPos(plot.data[0][at], "x", true), y = plot.valToPos(value, "y", true);
    ctx.beginPath();
    ctx.moveTo(x, y - size); ctx.lineTo(x + size, y); ctx.lineTo(x, y + size); ctx.lineTo(x - size, y);
    ctx.fill();
  }
  ctx.restore();
}

/** All values, and most of the band: while little was known it may have been so wide that nothing else could be seen. */
function roomy(points) {
  const values = points.map((point) => point.value).filter(known);
  const lower = sorted(points.map((point) => point.lower)), upper = sorted(points.map((point) => point.upper));
  const least = Math.min(...values, ...lower.slice(Math.floor(lower.length * (1 - MOST)))), most = Math.max(...values, ...upper.slice(0, Math.ceil(upper.length * MOST)));
  if (!Number.isFinite(least) || !Number.isFinite(most)) return [0, 1];
  const room = (most - least || Math.abs(most) || 1) * 0.08;
  return [least >= 0 && least - room < (most - least) * 0.3 ? Math.min(0, least) : least - room, most + room];
}

function sorted(numbers) {
  return numbers.filter(known).sort((a, b) => a - b);
}

const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const clockTime = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

function times(_, splits, __, ___, step) {
  let before = "";
  return splits.map((at) => {
    const day = date.format(at * 1000), text = step >= 86400 ? day : `${clockTime.format(at * 1000)}${day === before ? "" : `\n${day}`}`;
    before = day;
    return text;
  });
}

/** A colour as a canvas takes it: the custom property may be one of two, by the theme. */
function resolved(frame, colour) {
  const probe = frame.appendChild(h("i"));
  probe.style.color = colour;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function wide(frame) {
  return Math.max(frame.clientWidth, 200);
}

function walk(event, plot, { points }) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !plot) return;
  event.preventDefault();
  const index = Math.min(Math.max((plot.cursor.idx ?? points.length) + step, 0), points.length - 1);
  plot.setCursor({ left: plot.valToPos(plot.data[0][index], "x"), top: 10 });
}

function line({ points, unit }, index) {
  const point = points[index];
  if (!point) return "";
  const usual = band(point.lower, point.upper, unit);
  return [h("b", {}, number(point.value, unit)), usual ? `, expected ${usual}` : ", nothing was expected yet", point.unusual ? h("b.bad", {}, "  ◆ unusual") : "", h("span.quiet", {}, `  ${moment(point.at)}, run ${point.run_id ?? "unknown"}`)];
}

function told({ metric, points, unit }) {
  const last = points.at(-1), unusual = points.filter((point) => point.unusual).length;
  return `${metric.replaceAll("_", " ")} of ${points.length} runs, ${unusual} unusual; the last ${number(last?.value, unit)}. Arrow keys walk through them.`;
}

function legend() {
  return h("p.legend.quiet", { "aria-hidden": "true" }, h("i.mark-line"), "value ", h("i.mark-expected"), "expected ", h("i.mark-band"), "usual ", h("span.bad", {}, "◆"), " unusual");
}
