// One entity: may it go on and why, its series, what goes on, its runs, its neighbours.

import { h, fresh } from "./dom.js";
import { get, path } from "./api.js";
import { LEVELS, RUN_STATES, badge, severity, shown } from "./states.js";
import { band, count, duration, known, lasting, named, number, unitOf, when } from "./text.js";
import { copied, entity as link, sentence, to, way } from "./links.js";
import { addWindow, button, feedback, override, probe } from "./dialogs.js";
import { brief } from "./overview.js";

const OFTEN = 30_000; // ms: what no event tells
const FIRST = ["rows", "rows_out"]; // of several, what people ask for
const MOST = 499, NUMBERS = 2, RUNS = 20, POINTS = 300, NEIGHBOURS = 30;

export function entity(place, main, { id: key, query, remember }) {
  const about = (data) => !data?.entity || data.entity === key;
  document.title = `${named(key).name} – Detector`;
  main.append(
    place.part({ load: (signal) => get(`entities/${path(key)}`, {}, signal), on: ["breaker", "finding", "command", "incident"], about, every: OFTEN, draw: (said) => top(key, said), label: "Breaker" }),
    series(place, key, about, query, remember),
    runs(place, key, about),
  );
}

function section(title, content) {
  return content ? h("section", {}, h("h2", {}, title), content) : null;
}

// ---------------------------------------------------------------- the breaker

function top(key, said) {
  const value = said.breaker, { kind, name, where } = named(key);
  return [
    h("header.head", {},
      h("p.over", {}, badge(shown(said)), " ", value && value.mode !== "enforce" ? h("span.badge", {}, value.mode) : null, " ", h("span.quiet", {}, where ? `${kind} in ${where}` : kind)),
      h("h1", {}, name),
      h("p.verdict", {}, h("b", {}, VERDICT[said.verdict]), " ", sentence(brief(said.message)), said.verdict === "unknown" && said.on_unknown ? ` (while that is unknown: ${said.on_unknown})` : ""),
      said.incident ? h("p", {}, "Part of ", h("a", { href: to.incident(said.incident) }, "an open incident"), ".") : null,
      h("div.buttons", {},
        button("Override", () => override(key, value?.override)),
        value?.state === "half_open" ? button("Probe", () => probe(key)) : null,
        button("Mute", () => addWindow(key)),
        h("a.button", { href: to.lineage(key), "data-key": "lineage" }, "Lineage")),
      h("p.quiet.key", {}, copied(key, "the name"))),
    value ? h("div.columns", {}, section("Breaker", facts(said, value)), section("Open findings", findings(key, value)), section("Neighbours", neighbours(kind, value))) : null,
  ];
}

const VERDICT = { allow: "It may go on:", block: "It must wait:", unknown: "Nobody can say whether it may go on:" };

function facts(said, value) {
  const held = (value.held_by ?? []).filter((one) => !one.mends);
  const rows = [
    ["State", [badge(shown(said)), " ", known(value.since) && value.since > 0 ? lasting(value.since) : null]],
    ["Reason", value.reason ? sentence(brief(value.reason)) : null],
    ["Held by", held.length ? held.map((one) => h("div", {}, way([...one.path, value.entity]), h("span.quiet", {}, " ", lasting(one.since)))) : null],
    ["Of itself", value.own && value.own.state !== value.state ? [badge(value.own.state), " ", h("span.quiet", {}, brief(value.own.reason))] : null],
    ["Overruled", value.override ? overruled(value.override) : null],
    ["Next try", known(value.retry_at) ? when(value.retry_at) : null],
    ["Probe", value.probe ? [h("code", {}, value.probe.holder), " until ", when(value.probe.until)] : null],
    ["Only", (value.scope ?? []).length ? value.scope.map((one) => [h("code", {}, one), " "]) : null],
    ["Trips", value.trips ? count(value.trips, "time", "times") + " without a good run between" : null],
    ["Last good run", value.last_good ? [h("code", {}, value.last_good.run_id), " ", when(value.last_good.at)] : null],
    ["Mode", value.mode],
    ["If unknown", `${value.on_unknown} its readers`],
    ["Heartbeat", known(said.heartbeat_age) ? `${duration(Math.max(said.heartbeat_age, 0))} old` : "none"],
    ["Learning", value.warming_up ? "too few runs were seen yet: only what is absurd is told" : null],
  ];
  return h("dl", {}, rows.filter(([, what]) => what).map(([term, what]) => h("div", {}, h("dt", {}, term), h("dd", {}, what))));
}

function overruled(one) {
  return [`${one.by ?? "somebody"}: ${(one.state ?? "").replace("_", " ")}`, known(one.until) ? [" until ", when(one.until)] : null, one.reason ?? one.comment ? ` (${one.reason ?? one.comment})` : null];
}

function findings(key, value) {
  const open = Object.entries(value.episodes ?? {});
  if (!open.length) return h("p.quiet", {}, "✓ Nothing goes on.");
  return h("ul.plain", {}, open.map(([check, one]) => h("li", {},
    severity(LEVELS[one.severity] ?? "critical"), " ", h("code", {}, check), " ", h("span.quiet", {}, lasting(one.since), one.count > 1 ? `, ${one.count} times` : ""), " ",
    button("Feedback", () => feedback({ entity: key, check }), `feedback-${check}`, ".small"))));
}

function neighbours(kind, value) {
  const [above, below] = kind === "job" ? ["Reads", "Writes"] : ["Written by", "Read by"];
  const side = (title, keys) => keys.length
    ? [h("h3", {}, title), h("ul.plain", {}, keys.slice(0, NEIGHBOURS).map((key) => h("li", {}, link(key, { key: `${title}-${key}` })))), keys.length > NEIGHBOURS ? h("p.quiet", {}, `and ${keys.length - NEIGHBOURS} more: see the lineage`) : null]
    : null;
  const parent = value.parent ? [h("h3", {}, "Part of"), h("p", {}, link(value.parent))] : null;
  const all = [side(above, value.up ?? []), side(below, value.down ?? []), parent].filter(Boolean);
  return all.length ? all : h("p.quiet", {}, "None is known.");
}

// ---------------------------------------------------------------- its series

function series(place, key, about, query, remember) {
  const chosen = { metric: query.get("metric") ?? "" };
  const load = async (signal) => {
    const metrics = (await get(`series/${path(key)}`, {}, signal)).metrics.map((one) => one.metric);
    if (!metrics.length) return { metrics };
    const metric = [chosen.metric, ...FIRST].find((one) => metrics.includes(one)) ?? metrics[0];
    return { metrics, ...(await get(`series/${path(key)}`, { metric, limit: POINTS }, signal)) };
  };
  const part = place.part({
    load, on: ["finding", "breaker"], about, every: OFTEN, label: "Series", wait: "Loading its series…",
    draw: (said) => (said.metrics.length ? section("Series", [chooser(said, choose), chart(said)]) : section("Series", h("p.quiet", {}, "No run of it was judged yet."))),
  });
  const mine = place.parts.at(-1);
  const choose = (metric) => {
    chosen.metric = metric;
    remember({ metric });
    mine.again();
  };
  return part;
}

function chooser({ metrics, metric, points }, choose) {
  const id = fresh("metric");
  const unusual = points.filter((point) => point.unusual).length;
  return h("p.bar", {}, h("label", { for: id }, "Metric "),
    h("select", { id, "data-key": "metric", change: (event) => choose(event.target.value) }, metrics.map((one) => h("option", { value: one, selected: one === metric }, one.replaceAll("_", " ")))),
    h("span.quiet", {}, `${count(points.length, "run")}, ${unusual ? `${unusual} unusual` : "none unusual"}`));
}

/** The drawing comes when its library is there; the numbers are in a table for whoever cannot see it. */
function chart(said) {
  const box = h("div.chart", {}, h("p.quiet", {}, "Drawing…"));
  import("./chart.js").then(({ draw }) => draw(box, said));
  return [box, h("details", { "data-key": "numbers" }, h("summary", {}, "The last numbers as a table"), numbers(said))];
}

function numbers({ points, unit }) {
  const rows = points.slice(-RUNS).reverse().map((point) => h("tr", {},
    h("td", {}, when(point.at)), h("td.right", {}, number(point.value, unit)), h("td.right", {}, band(point.lower, point.upper, unit)), h("td", {}, point.unusual ? "◆ unusual" : "")));
  return h("div.scroll", {}, h("table.numbers", {}, h("thead", {}, h("tr", {}, ["Time", "Value", "Expected", ""].map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows)));
}

// ---------------------------------------------------------------- its runs

function runs(place, key, about) {
  let many = RUNS;
  const more = () => {
    many += 5 * RUNS;
    mine.again();
  };
  const part = place.part({
    load: (signal) => get(`runs/${path(key)}`, { limit: Math.min(many, MOST) }, signal),
    on: ["finding", "breaker"], about, every: OFTEN, label: "Runs", wait: "",
    draw: ({ items, next }) => section("Runs", [table(items), next && many < MOST ? h("p.more", {}, h("button", { type: "button", "data-key": "more", click: more }, "Show more")) : null]),
  });
  const mine = place.parts.at(-1);
  return part;
}

function table(items) {
  if (!items.length) return h("p.quiet", {}, "No run of it was judged yet.");
  return h("table.runs", {}, h("thead", {}, h("tr", {}, ["Ended", "Run", "State", "Took", "Judged"].map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, items.map(run)));
}

function run(one) {
  const [sign, word] = RUN_STATES[one.state] ?? ["", one.state];
  const judged = Object.entries(one.judgements), unusual = judged.filter(([, said]) => said.unusual);
  return h("tr", {},
    h("td", {}, when(one.ended)),
    h("td.run", {}, one.run_id ? h("code", { title: one.run_id }, short(one.run_id)) : one.kind, one.grain ? h("span.quiet", {}, ` ${one.grain}`) : null, one.version ? h("span.quiet", {}, ` ${one.version}`) : null),
    h("td", {}, `${sign} ${word}`),
    h("td", {}, known(one.began) ? duration(one.ended - one.began) : ""),
    h("td.judged", {}, one.severity === "info" && !unusual.length ? h("span.quiet", {}, "✓ good: ") : [severity(one.severity), ` ${brief(one.reason)}: `], (unusual.length ? unusual : judged.slice(0, NUMBERS)).map(judgement)));
}

function judgement([metric, said], at) {
  const usual = said.unusual ? band(said.lower, said.upper, unitOf(metric)) : "";
  return h(`span${said.unusual ? "" : ".quiet"}`, {}, at ? "; " : "", said.unusual ? "◆ " : "", `${metric.replaceAll("_", " ")} ${number(said.value, unitOf(metric))}`, usual ? ` (expected ${usual})` : "");
}

function short(id) {
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id) ? id.slice(0, 8) : id;
}
