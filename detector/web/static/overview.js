// The page that stays open: what is wrong now in sentences, and all entities, the worst first.

import { h, replace, fresh } from "./dom.js";
import { get, note } from "./api.js";
import { STATES, badge, severity, worse } from "./states.js";
import { count, duration, lasting, listed, whole } from "./text.js";
import { entity, sentence, to } from "./links.js";

const AT_ONCE = 100;
const TYPED = 250; // ms after the last key, before the server is asked

/** Draws the overview into `main`. `address` holds the filter, so that it can be sent to somebody. */
export function overview(place, main, { query, remember }) {
  const filter = { q: query.get("q") ?? "", kind: query.get("kind") ?? "", state: query.get("state") ?? "" };
  const list = entities(place, filter, remember);
  main.append(
    h("h1.unseen", {}, "Overview"),
    place.part({
      load: async (signal) => seen(await get("overview", {}, signal)), on: ["breaker", "incident", "finding", "heartbeat", "command"],
      draw: (said) => [headline(said), troubles(said), now(said), counts(said, filter, list.choose)],
    }),
    list.box,
  );
}

function seen(said) {
  note(said);
  document.dispatchEvent(new CustomEvent("overview", { detail: said }));
  return said;
}

// ---------------------------------------------------------------- in sentences

function headline(said) {
  const states = said.entities, open = states.open ?? 0, held = states.held ?? 0;
  const parts = [];
  if (said.incidents.length) parts.push(`${count(said.incidents_open ?? said.incidents.length, "incident is", "incidents are")} open`);
  if (open) parts.push(`${count(open, "breaker is", "breakers are")} open`);
  if (held) parts.push(`${count(held, "entity waits", "entities wait")} for them`);
  const total = Object.values(states).reduce((sum, some) => sum + some, 0);
  if (!total) return h("p.headline", {}, "Nothing is known yet. Entities appear with their first event.");
  if (!parts.length) return h("p.headline.good", {}, h("span", { "aria-hidden": "true" }, "✓ "), `All is well: nothing is open, late or wrong among ${count(total, "entity", "entities")}.`);
  return h("p.headline.bad", {}, h("span", { "aria-hidden": "true" }, "■ "), `${listed(parts)}.`);
}

/** The detector's own troubles, loudly: what it says of others counts only while it is well. */
export function troubles(said) {
  const told = said.detector?.problems ?? [];
  if (!told.length) return null;
  return h("div.loud", { role: "alert" }, h("h2", {}, "The detector itself is not well"), h("ul", {}, told.map((text) => h("li", {}, text))));
}

function now(said) {
  const wrong = said.wrong ?? [];
  if (!said.incidents.length && !wrong.length) return null;
  return h("div.columns", {},
    said.incidents.length ? h("section", {}, h("h2", {}, "Open incidents"), h("ul.plain", {}, said.incidents.map(incident))) : null,
    wrong.length ? h("section", {}, h("h2", {}, "Late or wrong now"), h("ul.plain", {}, wrong.map(finding))) : null);
}

function incident(one) {
  return h("li", {}, severity(one.severity), " ",
    h("a", { href: to.incident(one.id), "data-key": one.id }, brief(one.title)), " ",
    h("span.quiet", {}, entity(one.root, { short: true, key: `of-${one.id}` }), ", ", lasting(one.opened)));
}

function finding(one) {
  return h("li", {}, entity(one.entity, { short: true, key: `wrong-${one.entity}` }), ": ", sentence(brief(one.message)), " ", h("span.quiet", {}, lasting(one.since)));
}

/** A sentence without who is downstream: that is told elsewhere. */
export function brief(text) {
  return (text ?? "").split("; downstream: ")[0];
}

// ---------------------------------------------------------------- the list

function counts(said, filter, choose) {
  const total = Object.values(said.entities).reduce((sum, some) => sum + some, 0);
  const one = (state, words, sign, many) =>
    h(`button.count${state ? `.state-${state}` : ""}`, { type: "button", "aria-pressed": filter.state === state, "data-key": `count-${state}`, click: () => choose(state) },
      h("b", {}, whole(many)), " ", sign ? h("span", { "aria-hidden": "true" }, `${sign} `) : null, words);
  return h("div.counts", { role: "group", "aria-label": "Show entities by state" },
    one("", "all", "", total),
    Object.entries(STATES).map(([state, [sign, words]]) => one(state, words, sign, said.entities[state] ?? 0)));
}

function entities(place, filter, remember) {
  const body = h("tbody"), more = h("p.more"), told = h("p.unseen", { role: "status" });
  let timer = null, pages = 1;
  const load = async (signal) => {
    const items = [];
    let cursor = null;
    for (let page = 0; page < pages && (page === 0 || cursor); page += 1) {
      const some = await get("entities", { ...filter, limit: AT_ONCE, cursor }, signal);
      items.push(...some.items);
      cursor = some.next;
    }
    return { items, next: cursor };
  };
  const part = place.part({ load, draw, on: ["breaker", "finding", "command"], label: "Entities" });
  const again = () => { remember(filter); place.parts.at(-1).again(); };

  function draw({ items, next }) {
    replace(body, [...items].sort((a, b) => worse(a.state, b.state)).map(row));
    told.textContent = `${count(items.length, "entity", "entities")} shown${next ? ", there are more" : ""}.`;
    replace(more, next ? h("button", { type: "button", "data-key": "more", click: () => { pages += 1; again(); } }, "Show more") : null);
    if (!items.length) return [h("p.quiet", {}, filter.q || filter.kind || filter.state ? "Nothing matches." : "No entity is known yet."), told];
    return [table(body), more, told];
  }

  function choose(state) {
    filter.state = filter.state === state ? "" : state;
    for (const one of document.querySelectorAll(".count")) one.setAttribute("aria-pressed", String(one.dataset.key === `count-${filter.state}`));
    pages = 1;
    again();
  }

  const type = (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => { filter.q = event.target.value.trim(); pages = 1; again(); }, TYPED);
  };
  const kind = (event) => { filter.kind = event.target.value; pages = 1; again(); };
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
  const calm = one.state === "closed" && !(one.checks ?? []).length;
  const shadow = one.mode && one.mode !== "enforce" ? h("span.quiet", {}, ` (${one.mode})`) : null;
  const why = calm ? null : [h("span", {}, brief(one.reason ?? one.message)), one.checks?.length ? h("span.checks", {}, one.checks.map((check) => h("code", {}, check))) : null];
  return h(`tr${calm ? ".calm" : ""}`, {},
    h("td.state", {}, badge(one.state), shadow),
    h("td.who", {}, entity(one.entity)),
    h("td.since", {}, one.since ? lasting(one.since, "") : null),
    h("td.why", {}, why));
}

/** How old the newest news of a partition is, for the foot of the page. */
export function heartbeat(said) {
  const ages = (said.detector?.heartbeats ?? []).map((one) => one.age).filter(Number.isFinite);
  return ages.length ? `heartbeats of ${count(ages.length, "partition")}, the oldest ${duration(Math.max(...ages))} old` : "no heartbeat is known";
}
