// The page that stays open: what is wrong now in sentences, and all entities, the worst first.

import { h, replace, fresh } from "./dom.js";
import { get, note } from "./api.js";
import { LEVELS, ORDER, STATES, badge, severity, worse } from "./states.js";
import { count, duration, lasting, listed, whole } from "./text.js";
import { entity, sentence, to } from "./links.js";

const AT_ONCE = 100, NOW = 8, MOST = 500;
const BAD = ORDER.filter((state) => state !== "closed");
const TYPED = 250; // ms after the last key, before the server is asked

/** Draws the overview into `main`. `address` holds the filter, so that it can be sent to somebody. */
export function overview(place, main, { query, remember }) {
  const filter = { q: query.get("q") ?? "", kind: query.get("kind") ?? "", state: query.get("state") ?? "" };
  const list = entities(place, filter, remember);
  main.append(
    h("h1.unseen", {}, "Overview"),
    place.part({
      load: glance, on: ["breaker", "incident", "finding", "heartbeat", "command"], label: "Now",
      draw: ([said, open]) => [headline(said), now(said, open), counts(said, filter, list.choose)],
    }),
    list.box,
  );
}

async function glance(signal) {
  const [said, open] = await Promise.all([get("overview", {}, signal), get("incidents", { state: "open", limit: NOW }, signal)]);
  note(said);
  document.dispatchEvent(new CustomEvent("overview", { detail: said }));
  // Ages count by themselves: that time goes by is no reason to draw anew.
  return [{ ...said, at: 0, detector: { ...said.detector, heartbeats: null, oldest: null } }, open.items];
}

// ---------------------------------------------------------------- in sentences

/** How many are in each state, jobs and datasets together. */
function standing(said) {
  return Object.fromEntries(ORDER.map((state) => [state, said.entities.job[state] + said.entities.dataset[state]]));
}

/** How many incidents are open. */
export function openIncidents(said) {
  return Object.values(said.incidents).reduce((sum, some) => sum + some, 0);
}

function headline(said) {
  const of = standing(said), total = Object.values(of).reduce((sum, some) => sum + some, 0), incidents = openIncidents(said);
  const parts = [
    incidents ? `${count(incidents, "incident is", "incidents are")} open` : "",
    of.open ? `${count(of.open, "breaker stops", "breakers stop")} its readers`.replace("stop its", "stop their") : "",
    of.held ? `${count(of.held, "entity waits", "entities wait")} for something upstream` : "",
    of.unknown ? `of ${count(of.unknown, "entity", "entities")} nothing can be said` : "",
    said.late_count ? `${count(said.late_count, "run or load is", "runs or loads are")} late` : "",
  ].filter(Boolean);
  if (!total) return h("p.headline", {}, "Nothing is known yet. Entities appear with their first event.");
  if (parts.length) return h("p.headline.bad", {}, h("span", { "aria-hidden": "true" }, "■ "), `${listed(parts)}.`);
  const rest = said.wrong_count ? `; ${count(said.wrong_count, "finding goes", "findings go")} on` : "";
  return h("p.headline.good", {}, h("span", { "aria-hidden": "true" }, "✓ "), `All ${whole(total)} entities may go on${rest}.`);
}

/** The detector's own troubles, loudly: what it says of others counts only while it is well. */
export function troubles(said) {
  const { problems, trouble, caught_up, stale, oldest } = said.detector;
  const told = [
    stale.length ? `${stale.length === 1 ? "Partition" : "Partitions"} ${listed(stale.map(String))}: no heartbeat, the oldest is ${duration(Math.abs(oldest))} old. Of these breakers nothing can be said: is a worker running?` : null,
    ...problems, trouble, caught_up ? null : "It is still reading what there is: this page does not show all yet.",
  ].filter(Boolean);
  if (!told.length) return null;
  return h("div.loud", {}, h("h2", {}, "! The detector itself is not well"), h("ul", {}, told.map((text) => h("li", {}, text))));
}

function now(said, open) {
  const wrong = [...said.late, ...said.wrong];
  const more = said.late_count + said.wrong_count - NOW, others = openIncidents(said) - open.length;
  if (!open.length && !wrong.length) return null;
  return h("div.columns", {},
    h("section", {}, h("h2", {}, "Open incidents"), open.length ? h("ul.plain", {}, open.map(incident)) : h("p.quiet", {}, "None."), others > 0 ? h("p", {}, h("a", { href: "#/incidents" }, `and ${others} more`)) : null),
    h("section", {}, h("h2", {}, "Late or wrong now"), wrong.length ? h("ul.plain", {}, wrong.slice(0, NOW).map(finding)) : h("p.quiet", {}, "Nothing."), more > 0 ? h("p.quiet", {}, `and ${more} more`) : null));
}

function incident(one) {
  return h("li", {}, severity(one.severity), " ",
    h("a.title", { href: to.incident(one.id), "data-key": one.id }, brief(one.title)), " ",
    h("div.quiet", {}, entity(one.root, { short: true, key: `of-${one.id}` }), ", ", lasting(one.opened, "open for "), one.acknowledged_by ? `, ${one.acknowledged_by} looks after it` : ""));
}

function finding(one) {
  return h("li", {}, severity(LEVELS[one.severity] ?? "critical"), " ", entity(one.entity, { short: true, key: `wrong-${one.entity}-${one.check}` }), " ", says(one.check), h("span.quiet", {}, " ", lasting(one.since), one.count > 1 ? `, ${one.count} times` : ""));
}

const SAYS = {
  late: "is late", deadline: "has missed its deadline", failed: "failed", aborted: "was aborted", hanging: "does not end",
  schema: "has another schema", assertion: "failed a check of somebody else", same_data: "has the same data again",
  together: "has metrics that parted", columns: "has unusual columns", duration: "took unusually long, or short",
};
const UUID = /\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g;

/** A check in words. */
function says(check) {
  if (check.startsWith("declared:")) return ["is not as declared: ", h("code", {}, check.slice("declared:".length))];
  return SAYS[check] ?? [h("code", {}, check), " is unusual"];
}

/** A sentence without who is downstream, which is told elsewhere, and with the beginnings of ids, as they are known by. */
export function brief(text) {
  return (text ?? "").split("; downstream: ")[0].replace(UUID, "$1");
}

// ---------------------------------------------------------------- the list

function counts(said, filter, choose) {
  const of = standing(said), total = Object.values(of).reduce((sum, some) => sum + some, 0);
  const one = (state, words, sign, many) =>
    h(`button.count${state ? `.state-${state}` : ""}${many ? "" : ".none"}`, { type: "button", "aria-pressed": filter.state === state, "data-key": `count-${state}`, click: () => choose(state) },
      sign ? h("span.sign", { "aria-hidden": "true" }, `${sign} `) : null, h("b", {}, whole(many)), ` ${words}`);
  return h("div.counts", { role: "group", "aria-label": "Show entities by state" },
    one("", "all", "", total), ORDER.map((state) => one(state, STATES[state][1], STATES[state][0], of[state])));
}

/** The server has them by name. All that are not well fit into one answer, but on the worst of days. */
async function worst(filter, many, signal) {
  const { q, kind } = filter, items = [];
  const bad = await get("entities", { q, kind, state: filter.state || BAD.join(), limit: MOST }, signal);
  const rest = bad.next !== null ? ORDER : filter.state ? [] : ["closed"];
  if (bad.next === null) items.push(...bad.items);
  for (const state of filter.state && rest.length ? [filter.state] : rest) {
    if (items.length >= many) return { items, more: true };
    let cursor = "";
    do {
      const some = await get("entities", { q, kind, state, limit: Math.min(many - items.length, MOST), cursor }, signal);
      items.push(...some.items);
      cursor = some.next;
      if (items.length >= many) return { items, more: cursor !== null || state !== ORDER.at(-1) };
    } while (cursor);
  }
  return { items, more: false };
}

function entities(place, filter, remember) {
  const body = h("tbody"), more = h("p.more"), told = h("p.unseen", { role: "status" });
  let timer = null, many = AT_ONCE;
  const part = place.part({ load: (signal) => worst(filter, many, signal), draw, on: ["breaker", "finding", "command"], label: "Entities" });
  const mine = place.parts.at(-1);
  const changed = () => {
    many = AT_ONCE;
    remember(filter);
    mine.again();
  };

  function draw({ items, more: left }) {
    replace(body, [...items].sort((a, b) => worse(a.state, b.state) || b.checks.length - a.checks.length).map(row));
    told.textContent = `${count(items.length, "entity", "entities")} shown${left ? ", there are more" : ""}.`;
    replace(more, left ? h("button", { type: "button", "data-key": "more", click: () => { many += 2 * AT_ONCE; mine.again(); } }, "Show more") : null);
    if (!items.length) return [h("p.quiet", {}, filter.q || filter.kind || filter.state ? "Nothing matches." : "No entity is known yet."), told];
    return [table(body), more, told];
  }

  function choose(state) {
    filter.state = filter.state === state ? "" : state;
    for (const one of document.querySelectorAll(".count")) one.setAttribute("aria-pressed", String(one.dataset.key === `count-${filter.state}`));
    changed();
  }

  const type = (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => { filter.q = event.target.value.trim(); changed(); }, TYPED);
  };
  const kind = (event) => { filter.kind = event.target.value; changed(); };
  return { box: h("section", {}, h("div.bar", {}, h("h2", {}, "Entities"), search(filter, type), kinds(filter, kind)), part), choose };
}

function search(filter, input) {
  const id = fresh("search");
  return h("span.field", {}, h("label.unseen", { for: id }, "Search by name"), h("input", { id, type: "search", value: filter.q, input, placeholder: "Search by name  ( / )", "data-search": true, "data-key": "search", autocomplete: "off", spellcheck: "false" }));
}

function kinds(filter, change) {
  const id = fresh("kind");
  const options = [["", "Jobs and datasets"], ["job", "Jobs"], ["dataset", "Datasets"]];
  return h("span.field", {}, h("label.unseen", { for: id }, "Kind"), h("select", { id, change, "data-key": "kind" }, options.map(([value, words]) => h("option", { value, selected: value === filter.kind }, words))));
}

function table(body) {
  const heads = [["State", "state"], ["Entity", "who"], ["Since", "since"], ["Why", "why"]];
  return h("table.list", {}, h("caption.unseen", {}, "Entities, the worst first"), h("thead", {}, h("tr", {}, heads.map(([words, name]) => h(`th.${name}`, { scope: "col" }, words)))), body);
}

function row(one) {
  const calm = one.state === "closed" && !one.checks.length;
  const shadow = one.mode !== "enforce" ? h("span.quiet", {}, ` (${one.mode})`) : null;
  return h(`tr${calm ? ".calm" : ""}`, {},
    h("td.state", {}, badge(one.state), shadow),
    h("td.who", {}, entity(one.entity)),
    h("td.since", {}, one.since ? lasting(one.since, "") : null),
    h("td.why", {}, calm ? null : [h("span.clamp", { title: one.message }, why(one)), one.checks.length && one.state !== "closed" ? h("span.checks", {}, one.checks.map((check) => h("code", {}, check))) : null]));
}

const HELD = /held: ((?:job|dataset):.+?) is bad upstream: (.+?)(?:; the way: .*)?$/;
const STATE = /^(?:closed|open|half-open|unknown) for [^:]+: /;

/** The message without what the other columns say. */
function why(one) {
  const text = brief(one.message), held = one.state === "held" && HELD.exec(text);
  if (one.state === "closed") return one.checks.map((check, at) => [at ? ", " : "", says(check)]);
  return held ? ["waits for ", entity(held[1], { short: true, key: `for-${one.entity}` }), `: ${held[2]}`] : sentence(text.replace(STATE, ""));
}

/** How old the newest news of the partitions is, for the foot of the page. */
export function heartbeat({ detector }) {
  const many = Object.keys(detector.heartbeats).length;
  return many ? `heartbeats of ${count(many, "partition")}, the oldest ${duration(Math.max(detector.oldest, 0))} old` : "no heartbeat is known";
}
