// Mutes and maintenance: what is in force, and what is to come.

import { h } from "./dom.js";
import { get } from "./api.js";
import { addWindow, button, endWindow } from "./dialogs.js";
import { count, duration, known, when } from "./text.js";

const KINDS = { mute: ["Mute", "nobody is called"], maintenance: ["Maintenance", "what is wrong is expected"] };
const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const YEAR_9000 = 221_845_392_000;

export function windows(place, main) {
  main.append(h("h1", {}, "Windows"), h("p.quiet", {}, "While a mute holds, nobody is called. While maintenance holds, what is wrong is expected, and nothing stops."),
    h("div.buttons", {}, button("Add a mute or maintenance", () => addWindow())),
    place.part({ load: (signal) => get("windows", {}, signal), on: ["command"], draw: list, label: "Windows" }));
}

function list({ items }) {
  if (!items.length) return h("p.headline", {}, "There is none, now or to come.");
  return h("ul.cards", {}, items.map(card));
}

function card({ window, active, changes }) {
  const [kind, what] = KINDS[window.kind] ?? [window.kind, ""];
  const next = known(changes) ? [active ? "; it ends " : "; it begins ", when(changes)] : null;
  return h("li.card", {},
    h("div", {}, h("span.badge", {}, active ? "● in force" : "○ to come"), " ", h("b", {}, kind), h("span.quiet", {}, `: ${what}`)),
    h("div", {}, "For ", h("code", {}, window.match), window.recurrence ? again(window) : null, h("span.quiet", {}, next)),
    window.reason ? h("div", {}, window.reason) : null,
    h("div.quiet", {}, window.owner ? `by ${window.owner}; ` : "", "from ", when(window.start), window.end < YEAR_9000 ? [" until ", when(window.end)] : ", for good", "; ", h("code", {}, window.id)),
    h("div.buttons", {}, button("End it now", () => endWindow(window.id), `end-${window.id}`)));
}

function again({ recurrence, zone }) {
  const days = recurrence.days ?? [0, 1, 2, 3, 4, 5, 6];
  const on = days.length === 7 ? "every day" : days.map((day) => DAYS[day]).join(", ");
  const without = recurrence.without?.length ? `, without ${count(recurrence.without.length, "day")}` : "";
  return `, ${on} at ${recurrence.at ?? "00:00"} (${zone ?? "UTC"}) for ${duration(recurrence.lasts ?? 86400)}${without}`;
}
