// The lineage of an entity: a drawing where there is room, an indented tree where there is not, or for whoever asks.

import { h, svg, fresh } from "./dom.js";
import { get, path } from "./api.js";
import { STATES, badge } from "./states.js";
import { columns } from "./layout.js";
import { entity, to, way } from "./links.js";
import { count, named } from "./text.js";

const WIDE = 178, HIGH = 44, ACROSS = 40, BETWEEN = 12, SIDE = 8;
const MOST = 400, LEAST = 0.75; // how small it may be drawn to fit
const NARROW = matchMedia("(max-width: 700px)");

export function lineage(place, main, { id: key, query, remember }) {
  const asked = { depth: query.get("depth") ?? "3", direction: query.get("direction") ?? "both", as: query.get("as") ?? (NARROW.matches ? "tree" : "drawing") };
  const again = (name) => (event) => {
    asked[name] = event.target.value;
    remember(asked);
    mine.shown = null;
    mine.again();
  };
  document.title = `Lineage of ${named(key).name} – Detector`;
  main.append(
    h("h1", {}, "Lineage of ", entity(key, { short: true })),
    h("div.bar", {},
      picked("Side", [["both", "up and down"], ["up", "up: what it needs"], ["down", "down: who needs it"]], asked.direction, again("direction")),
      picked("Hops", ["1", "2", "3", "5", "10"].map((one) => [one, one]), asked.depth, again("depth")),
      picked("As", [["drawing", "drawing"], ["tree", "tree"]], asked.as, again("as"))),
    place.part({
      load: (signal) => get(`lineage/${path(key)}`, { depth: asked.depth, direction: asked.direction }, signal),
      on: ["breaker"], draw: (graph) => [held(graph), asked.as === "tree" ? trees(graph) : drawing(graph, main)], label: "Lineage",
    }),
  );
  const mine = place.parts.at(-1);
}

function picked(label, options, chosen, change) {
  const id = fresh("pick");
  return h("span.field", {}, h("label", { for: id }, `${label} `), h("select", { id, change, "data-key": label }, options.map(([value, words]) => h("option", { value, selected: value === chosen }, words))));
}

function held(graph) {
  const all = Object.values(graph.nodes), stopped = all.filter((node) => node.state === "open" || node.state === "held");
  if (!stopped.length) return h("p.good", {}, `✓ None of ${count(all.length, "entity", "entities")} stands still.`);
  const holding = new Set(all.flatMap((node) => node.held_by ?? []));
  const waiting = all.filter((node) => node.state === "held").length;
  const who = waiting ? [way([...holding].slice(0, 1)), holding.size > 1 ? ` and ${holding.size - 1} more` : ""] : null;
  const own = stopped.length - waiting;
  return h("p", {}, waiting ? [`${count(waiting, "entity waits", "entities wait")} for `, who] : null, waiting && own ? "; " : "", own ? `${count(own, "stands", "stand")} still by ${own === 1 ? "itself" : "themselves"}` : "", ".");
}

// ---------------------------------------------------------------- a drawing

function drawing(graph, main) {
  const all = Object.keys(graph.nodes);
  const keys = all.sort((a, b) => (graph.nodes[a].hops ?? 0) - (graph.nodes[b].hops ?? 0)).slice(0, MOST);
  const kept = new Set(keys), edges = graph.edges.filter(([from, until]) => kept.has(from) && kept.has(until));
  const found = columns(graph.entity, edges, keys);
  const most = Math.max(...found.map((column) => column.length));
  const height = most * (HIGH + BETWEEN) - BETWEEN + 2 * SIDE, width = found.length * (WIDE + ACROSS) - ACROSS + 2 * SIDE;
  const at = new Map();
  found.forEach((column, x) => column.forEach((key, y) => at.set(key, [SIDE + x * (WIDE + ACROSS), height / 2 + (y - column.length / 2) * (HIGH + BETWEEN) + BETWEEN / 2])));
  const left = all.length - keys.length, more = Object.values(graph.more ?? {}).reduce((sum, some) => sum + some.length, 0);
  const scroll = h("div.scroll.lineage", { tabindex: 0, role: "group", "aria-label": "The lineage as a drawing, from left (upstream) to right" },
      svg("svg", { width: Math.max(Math.min(width, main.clientWidth - 42), LEAST * width), viewBox: `0 0 ${width} ${height}` }, edges.map((edge) => line(graph, edge, at)), keys.map((key) => box(graph, key, at.get(key)))));
  requestAnimationFrame(() => {
    const scale = scroll.scrollWidth / width;
    scroll.scrollLeft = scale * (at.get(graph.entity)[0] + WIDE / 2) - scroll.clientWidth / 2;
  });
  return [
    scroll,
    h("p.quiet", {}, "From left to right: who writes, who reads. A thick dashed line is the way that a hold came.", left ? ` ${left} more are not drawn.` : "", more ? ` ${count(more, "entity has", "entities have")} neighbours further away.` : ""),
  ];
}

function line(graph, [from, until], at) {
  const [x1, y1] = at.get(from), [x2, y2] = at.get(until);
  const a = [x1 + WIDE, y1 + HIGH / 2], b = [x2, y2 + HIGH / 2], bend = Math.max((b[0] - a[0]) / 2, 30);
  return svg(`path.edge${carries(graph, from, until) ? ".hold" : ""}`, { d: `M${a[0]} ${a[1]}C${a[0] + bend} ${a[1]} ${b[0] - bend} ${b[1]} ${b[0]} ${b[1]}` });
}

/** Whether a hold came this way: the one below is held by the one above, or both by the same. */
function carries({ nodes }, from, until) {
  const above = nodes[from].held_by ?? [];
  return (nodes[until].held_by ?? []).some((root) => root === from || above.includes(root));
}

function box(graph, key, [x, y]) {
  const node = graph.nodes[key], { kind, name, where } = named(key), [sign, word] = STATES[node.state] ?? STATES.unknown;
  const root = key === graph.entity, about = [`${kind} ${name}`, word, (node.held_by ?? []).length ? `held by ${node.held_by.map((one) => named(one).name).join(", ")}` : "", node.message ?? ""].filter(Boolean).join("; ");
  return svg("a", { href: to.entity(key), "aria-label": about, "data-key": key },
    svg("title", {}, `${key}\n${about}`),
    svg(`rect.node.state-${STATES[node.state] ? node.state : "unknown"}${root ? ".root" : ""}${kind === "job" ? ".job" : ""}`, { x, y, width: WIDE, height: HIGH, rx: kind === "job" ? 10 : 2 }),
    svg("text.name", { x: x + 10, y: y + 18 }, tail(name, "600 13px")),
    svg("text.about", { x: x + 10, y: y + 35 }, cut(`${sign} ${word} · ${kind}${where ? ` in ${where}` : ""}`, "11.5px")));
}

const measure = document.createElement("canvas").getContext("2d");

function fits(text, font) {
  measure.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  return measure.measureText(text).width <= WIDE - 18;
}

/** What of a text has room in a box. */
function cut(text, font) {
  let left = text;
  while (left.length > 1 && !fits(left === text ? text : `${left}…`, font)) left = left.slice(0, -1);
  return left === text ? text : `${left}…`;
}

/** Of a name in parts (`DWH.MARTS.FCT_ORDERS`) the last ones: these tell it from others. */
function tail(name, font) {
  let left = name;
  while (/[./].+/.test(left) && !fits(left === name ? name : `…${left}`, font)) left = left.replace(/^.*?[./]/, "");
  return left === name ? cut(name, font) : cut(`…${left}`, font);
}

// ---------------------------------------------------------------- a tree

const TITLES = { job: { up: "It reads", down: "It writes" }, dataset: { up: "Written by", down: "Read by" } };

function trees(graph) {
  const kind = named(graph.entity).kind;
  return ["up", "down"].filter((side) => graph.nodes[graph.entity][side]?.length).map((side) => h("section", {}, h("h2", {}, TITLES[kind]?.[side] ?? side), tree(graph, side)));
}

/** What is in it twice is told once; what leads back is marked. */
function tree(graph, side) {
  const drawn = new Set();
  let left = MOST;
  const below = (key, path) => {
    const known = (graph.nodes[key][side] ?? []).filter((one) => graph.nodes[one]);
    if (!known.length) return null;
    return h("ul.tree", {}, known.map((one) => {
      left -= 1;
      if (left < 0) return left === -1 ? h("li.quiet", {}, "and more") : null;
      const node = graph.nodes[one], seen = path.includes(one) ? "leads back" : drawn.has(one) ? "see above" : "";
      const item = h("li", {}, badge(node.state), " ", entity(one, { key: `${side}-${path.join()}-${one}` }), seen ? h("span.quiet", {}, ` (${seen})`) : null);
      if (seen) return item;
      drawn.add(one);
      if ((node.held_by ?? []).length) item.append(h("span.quiet", {}, " held by "), way(node.held_by));
      item.append(...[below(one, [...path, one])].filter(Boolean));
      return item;
    }));
  };
  return below(graph.entity, [graph.entity]);
}
