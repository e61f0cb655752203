// Incidents: the list, and one with what broke, why we think so, who is hit, what to do.

import { h, replace } from "./dom.js";
import { get, path } from "./api.js";
import { SEVERITIES, VERDICTS, severity } from "./states.js";
import { band, count, duration, known, lasting, number, when } from "./text.js";
import { copied, entity, sentence, to } from "./links.js";
import { acknowledge, button, feedback } from "./dialogs.js";
import { brief } from "./overview.js";
import { strip } from "./strip.js";

const AT_ONCE = 50, NAMED = 40;

export function incidents(place, main, { query, remember }) {
  const filter = { state: query.get("state") ?? "open" };
  let pages = 1;
  const load = async (signal) => {
    const items = [];
    let cursor = null;
    for (let page = 0; page < pages && (page === 0 || cursor); page += 1) {
      const some = await get("incidents", { state: filter.state, limit: AT_ONCE, cursor }, signal);
      items.push(...some.items);
      cursor = some.next;
    }
    return { items, next: cursor };
  };
  const again = () => place.parts.at(-1).again();
  const choose = (state) => {
    filter.state = state;
    pages = 1;
    remember(filter);
    replace(choices, tabs());
    again();
  };
  const tabs = () => [["open", "Open"], ["resolved", "Over"], ["all", "All"]].map(([state, words]) =>
    h("button.count", { type: "button", "aria-pressed": state === filter.state, "data-key": `show-${state}`, click: () => choose(state) }, words));
  const choices = h("div.counts", { role: "group", "aria-label": "Which incidents" }, tabs());
  const draw = ({ items, next }) => {
    if (!items.length) return h("p.headline.good", {}, filter.state === "open" ? "✓ No incident is open." : "There is none.");
    const more = next ? h("p.more", {}, h("button", { type: "button", "data-key": "more", click: () => { pages += 1; again(); } }, "Show more")) : null;
    return [h("ul.cards", {}, items.map(card)), more];
  };
  main.append(h("h1", {}, "Incidents"), choices, place.part({ load, draw, on: ["incident", "command"], label: "Incidents" }));
}

function card(one) {
  const age = one.state === "open" ? ["open ", lasting(one.opened)] : one.state === "merged" ? ["part of another"] : ["over since ", when(one.resolved)];
  return h("li.card", {},
    h("div", {}, level(one), " ", h("span.quiet", {}, age, one.acknowledged_by ? `, ${one.acknowledged_by} looks after it` : one.state === "open" ? ", nobody has said that they look after it" : "")),
    h("a.title", { href: to.incident(one.id), "data-key": one.id }, brief(one.title || one.summary)),
    h("div.quiet", {}, entity(one.root, { key: `root-${one.id}` }), hit(one)));
}

/** How grave it is; what is over does not cry any more. */
function level(one) {
  return one.state === "open" ? severity(one.severity) : h("span.badge", {}, `✓ was ${SEVERITIES[one.severity]?.[1] ?? one.severity}`);
}

function hit(one) {
  const waiting = one.affected_count;
  return waiting && one.state === "open" ? `; ${count(waiting, "entity waits", "entities wait")} for it` : "";
}

// ---------------------------------------------------------------- one

export function incident(place, main, { id }) {
  main.append(place.part({
    load: (signal) => get(`incidents/${path(id)}`, {}, signal),
    on: ["incident", "command"], draw: page,
    label: "Incident",
  }));
}

function page(one) {
  const evidence = one.evidence ?? {};
  document.title = `${brief(one.title)} – Detector`;
  return [
    head(one),
    section("What broke", broke(one)),
    section("Why we think so", h("ol.findings", {}, (one.findings ?? []).slice(0, NAMED).map((finding) => found(one, finding, evidence[finding.episode])))),
    section("Who is hit", who(one)),
    section(one.state === "open" ? "What to do" : "What to do now", todo(one)),
    section("Seen before", (one.seen_before ?? []).length ? h("ul", {}, one.seen_before.map(past)) : null),
    section("What happened so far", timeline(one)),
    h("p.quiet", {}, "Incident ", copied(one.id, "the incident's id")),
  ];
}

function section(title, content) {
  return content ? h("section", {}, h("h2", {}, title), content) : null;
}

function head(one) {
  const state = one.state === "open" ? lasting(one.opened, "open for ") : one.state === "merged" ? ["part of ", h("a", { href: to.incident(one.merged_into) }, "another incident")] : `over after ${duration((one.resolved ?? one.updated) - one.opened)}`;
  const buttons = one.state === "open"
    ? [one.acknowledged_by ? null : button("Acknowledge", () => acknowledge(one)), button("Feedback", () => feedback({ incident: one.id }))]
    : one.state === "resolved" ? button("Feedback", () => feedback({ incident: one.id })) : null;
  return h("header.head", {},
    h("p.over", {}, level(one), " ", h("b", {}, state)),
    h("h1", {}, brief(one.title)),
    h("p", {}, entity(one.root, { key: "root" })),
    h("div.buttons", {}, buttons));
}

function broke(one) {
  const again = one.reopened ? ` It has come back ${one.reopened === 1 ? "once" : `${one.reopened} times`}.` : "";
  const good = one.last_good_run ? h("p", {}, "Last good: run ", h("code", {}, one.last_good_run), known(one.last_good_at) ? [", ", when(one.last_good_at)] : null, one.last_good_version ? [", version ", h("code", {}, one.last_good_version)] : null, ".") : null;
  const care = [
    one.acknowledged_by ? `${one.acknowledged_by} looks after it` : "Nobody has said that they look after it",
    one.owner ? `it belongs to ${one.owner}` : "", one.quiet ? `nobody is called: ${one.quiet}` : "",
  ].filter(Boolean).join("; ");
  const verdict = one.verdict ? h("p", {}, `${one.verdict_by ?? "Somebody"} said: ${words(one.verdict)}.`) : null;
  const until = known(one.resolved) ? [", until ", when(one.resolved)] : null;
  return [h("p", {}, "It began at ", entity(one.root, { short: true, key: "began" }), ", ", when(one.opened), until, ".", again), good, verdict, one.state === "open" ? h("p", {}, `${care}.`) : null];
}

function words(verdict) {
  return VERDICTS.find(([value]) => value === verdict)?.[1].toLowerCase() ?? verdict;
}

function found(one, finding, said) {
  return h("li", {},
    h("p", {}, severity(finding.severity), " ", entity(finding.entity, { key: finding.episode, short: true }), " ", h("code", {}, finding.check), finding.entity === one.root ? h("span.quiet", {}, " (where it began)") : null),
    h("p", {}, sentence(brief(finding.summary))),
    said ? observed(said) : null,
    h("p.quiet", {}, "since ", when(finding.since), known(finding.ended) ? [", over since ", when(finding.ended)] : null, finding.run_id ? [", run ", h("code", {}, finding.run_id)] : null),
    said?.error ? h("pre", {}, said.error) : null,
    contributors(said));
}

/** Observed and expected, as words and to scale. */
export function observed(said) {
  if (!known(said.observed)) return null;
  const usual = band(said.lower, said.upper, said.unit);
  return h("div.evidence", {},
    h("p", {}, "Observed ", h("b", {}, number(said.observed, said.unit)), usual ? [", expected ", h("b", {}, usual)] : null, known(said.expected) ? h("span.quiet", {}, ` (most likely ${number(said.expected, said.unit)})`) : null),
    strip(said),
    said.last_values?.length ? h("p.quiet", {}, `The values before, the newest last: ${said.last_values.slice(-6).map((value) => number(value, null)).join(", ")}`) : null);
}

function contributors(said) {
  const some = said?.contributors ?? [];
  if (!some.length) return null;
  const told = some.slice(0, 5).map((one) => h("li", {}, h("code", {}, one.metric), known(one.observed) ? ` ${number(one.observed, null)}` : "", known(one.expected) ? `, usually ${number(one.expected, null)}` : ""));
  return h("details", { "data-key": `most-${said.episode}` }, h("summary", {}, "Most of it"), h("ul", {}, told));
}

function who(one) {
  const affected = one.affected ?? [];
  const others = (one.downstream ?? 0) - affected.length;
  const rest = others > 0 ? h("p.quiet", {}, `${affected.length ? count(others, "more is", "more are") : count(others, "entity is", "entities are")} downstream of what is wrong, and ${others === 1 ? "is" : "are"} not held.`) : null;
  if (!affected.length) return [h("p", {}, one.state === "open" ? "Nobody is held because of it." : "Nobody is held any more."), rest];
  const named = affected.slice(0, NAMED).map((key) => h("li", {}, entity(key, { key: `hit-${key}` })));
  const more = affected.length > NAMED ? h("p.quiet", {}, `and ${affected.length - NAMED} more`) : null;
  return [h("p", {}, `${count(affected.length, "entity waits", "entities wait")} until it is good again. `, h("a", { href: to.lineage(one.root) }, "The way that it came is in the lineage.")), h("ul.two", {}, named), more, rest];
}

function todo(one) {
  const steps = (one.what_to_do ?? []).map((text) => h("li", {}, commanded(text)));
  if (one.plan) steps.push(h("li", {}, "Redo what was missed, failed, or built on bad data: ", h("a", { href: to.plan(one.plan) }, "the recovery plan")));
  return steps.length ? h("ol", {}, steps) : null;
}

/** A sentence that may end in a command for a terminal. */
function commanded(text) {
  const at = text.search(/detector (?:breaker|feedback|incidents|recover) /);
  if (at < 0) return sentence(brief(text));
  return [sentence(text.slice(0, at)), h("div.terminal", {}, copied(text.slice(at).replace(/[.`]$/, ""), "the command"))];
}

function past(one) {
  const said = one.verdict ? `${one.by ?? "somebody"}: ${words(one.verdict)}` : "nobody said what it was";
  return h("li", {}, when(one.opened), `, for ${duration(one.resolved - one.opened)}: `, h("a", { href: to.incident(one.id) }, brief(one.title)), ` (${said})`);
}

function timeline(one) {
  const entries = [...(one.timeline ?? [])].reverse();
  return entries.length ? h("ol.timeline", { reversed: true }, entries.map((entry) => h("li", {}, when(entry.at, true), h("span", {}, sentence(brief(entry.text)))))) : null;
}
