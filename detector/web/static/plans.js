// Recovery plans: what to run again, in which order, ticked off as it is done.

import { h } from "./dom.js";
import { get, path } from "./api.js";
import { abandon, button } from "./dialogs.js";
import { copied, entity, sentence, to } from "./links.js";
import { count, known, named, when } from "./text.js";
import { brief } from "./overview.js";

const WHY = { failed: "it failed", missed: "it never began", bad: "it read or wrote what was bad", blocked: "it was held back" };
const STATE = { open: "to do", done: "✓ done", abandoned: "given up" };

export function plans(place, main) {
  main.append(h("h1", {}, "Recovery"), h("p.quiet", {}, "After something was bad and is good again: the runs to do again, in the right order. They are ticked off as the detector sees them."),
    place.part({ load: (signal) => get("plans", {}, signal), on: ["plan", "command"], draw: list, label: "Recovery plans" }));
}

function list({ items }) {
  if (!items.length) return h("p.headline.good", {}, "✓ Nothing has to be done again.");
  return h("ul.cards", {}, items.map((plan) => h("li.card", {}, h("div", {}, h("span.badge", {}, STATE[plan.state] ?? plan.state), " ", progress(plan), h("span.quiet", {}, " since ", when(plan.opened))), h("a.title", { href: to.plan(plan.plan), "data-key": plan.plan }, named(plan.root).name), h("div", {}, what(plan)))));
}

/** What is to be done, without the name that stands above it. */
function what({ root, summary }) {
  return sentence(summary.startsWith(`${root} is `) ? `It is ${summary.slice(`${root} is `.length)}` : brief(summary));
}

function progress(plan) {
  const runs = plan.steps.flatMap((step) => step.runs ?? []), done = runs.filter((one) => one.done_by).length;
  return [h("progress", { max: runs.length || 1, value: done, "aria-label": `${done} of ${runs.length} runs done` }), h("span.quiet", {}, ` ${done} of ${count(runs.length, "run")} done`)];
}

export function plan(place, main, { id }) {
  main.append(place.part({ load: (signal) => get(`plans/${path(id)}`, {}, signal), on: ["plan", "command"], draw: page, label: "Recovery plan" }));
}

function page(one) {
  document.title = `Recovery of ${named(one.root).name} – Detector`;
  return [
    h("header.head", {}, h("p.over", {}, h("span.badge", {}, STATE[one.state] ?? one.state), " ", progress(one)), h("h1", {}, "Recovery of ", entity(one.root, { short: true })), h("p", {}, what(one)), h("div.buttons", {}, one.state === "open" ? button("Give it up", () => abandon(one)) : null, one.incident ? h("a.button", { href: to.incident(one.incident) }, "Its incident") : null)),
    one.last_good_run ? h("p", {}, "It was last good with run ", h("code", {}, one.last_good_run), one.last_good_version ? [", version ", h("code", {}, one.last_good_version)] : null, ".") : null,
    h("ol.steps", {}, one.steps.map(step)),
    h("p.quiet", {}, "Plan ", copied(one.plan, "the plan's id")),
  ];
}

function step(one) {
  return h("li", {}, h("div", {}, entity(one.job), one.after?.length ? h("span.quiet", {}, " after ", one.after.map((key, at) => [at ? ", " : "", named(key).name])) : null), h("ul.plain", {}, (one.runs ?? []).map(run)));
}

function run(one) {
  const done = one.done_by !== undefined && one.done_by !== null;
  const what = [known(one.nominal_time) ? ["for ", when(one.nominal_time)] : null, one.run_id ? [known(one.nominal_time) ? ", " : "", "run ", h("code", {}, one.run_id)] : null];
  return h(`li${done ? ".done" : ""}`, {}, h("span", { "aria-hidden": "true" }, done ? "☑ " : "☐ "), h("span.unseen", {}, done ? "done: " : "to do: "), what, h("span.quiet", {}, ` ${WHY[one.why] ?? one.why}`, done && one.done_by !== one.run_id ? [", done by run ", h("code", {}, one.done_by)] : null));
}
