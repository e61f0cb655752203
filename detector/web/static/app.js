// The frame of the page: which part of it an address means, what is live, who is there.

import { h, replace } from "./dom.js";
import { Problem, get, me, note, token } from "./api.js";
import { follow } from "./live.js";
import { Place } from "./parts.js";
import { help, listen } from "./keys.js";
import { recount, when } from "./text.js";
import { clock } from "./clock.js";
import { heartbeat, openIncidents, overview, troubles } from "./overview.js";
import { incident, incidents } from "./incidents.js";
import { entity } from "./entity.js";
import { lineage } from "./lineage.js";
import { plan, plans } from "./plans.js";
import { windows } from "./windows.js";
import { account } from "./account.js";

const PAGES = [
  [/^$/, overview, "Overview"], [/^incidents$/, incidents, "Incidents"], [/^incidents\/(.+)$/, incident, "Incident"],
  [/^entity\/(.+)$/, entity, "Entity"], [/^lineage\/(.+)$/, lineage, "Lineage"], [/^plans$/, plans, "Recovery"],
  [/^plans\/(.+)$/, plan, "Recovery"], [/^windows$/, windows, "Windows"], [/^token$/, account, "Token"],
];
const PATIENCE = 500; // ms
const OVERVIEW = 30_000; // ms: how often the frame itself asks how things are, at least
const main = document.querySelector("main"), sick = document.getElementById("sick"), away = document.getElementById("away"), state = document.getElementById("live");
let place = new Place(), refused = null, back = null, stream = null, again = null, arrived = false;

// ---------------------------------------------------------------- where we are

function go() {
  const [address, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [pattern, page, title] = PAGES.find(([one]) => one.test(address)) ?? [null, nowhere, "Not found"];
  const id = pattern?.exec(address)[1];
  place.leave();
  place = new Place();
  main.replaceChildren();
  document.title = `${title} – Detector`;
  const query = new URLSearchParams(search);
  page(place, main, { id: id && decodeURIComponent(id), query, remember: (given) => remember(address, given), refused, back, restart });
  if (page !== account) refused = back = null;
  mark(address);
  if (query.has("search")) document.querySelector("[data-search]")?.focus();
  else if (arrived) main.focus({ preventScroll: true });
  arrived = true;
  scrollTo(0, 0);
}

/** The address has what was chosen, so that it can be sent to somebody; no step back for each letter. */
function remember(address, given) {
  const chosen = new URLSearchParams(Object.entries(given).filter(([, value]) => value));
  history.replaceState(null, "", `#/${address}${chosen.size ? `?${chosen}` : ""}`);
}

function mark(address) {
  const first = address.split("/")[0];
  for (const link of document.querySelectorAll("nav a")) {
    const mine = link.getAttribute("href").slice(2) === first;
    if (mine) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function nowhere(_, into) {
  into.append(h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "#/" }, "To the overview")));
}

// ---------------------------------------------------------------- what is live

function changed(now) {
  clearInterval(again);
  if (now === "live") replace(away);
  state.className = now === "live" ? "live" : "off";
  if (now === "live") replace(state, h("span", { "aria-hidden": "true" }, "● "), "live");
  else if (now === "connecting") replace(state, "○ connecting…");
  else if (now === "asleep") replace(state, "○ asleep");
  else count(now.again / 1000);
}

/** It says that it is not live, and when it is tried again. */
function count(left) {
  if (!away.hasChildNodes()) replace(away, h("div.loud", {}, h("h2", {}, "! This page is not live"), h("p", {}, "What it shows is of ", when(clock.now()), ". Detector's API does not answer, or refuses; it is tried again.")));
  const say = () => replace(state, h("b", {}, "✗ not live"), `, again in ${Math.max(Math.round(left), 0)} s `, h("button.small", { type: "button", click: () => stream.now() }, "now"));
  say();
  again = setInterval(() => { left -= 1; say(); }, 1_000);
}

function told(kind, text) {
  const data = parsed(text);
  if (kind === "heartbeat") clock.set(data.at);
  if (kind === "reset") place.refresh();
  else place.told(kind, data);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------- the frame

function frame(said) {
  const open = openIncidents(said);
  const badge = document.getElementById("open");
  badge.textContent = open ? ` ${open}` : "";
  document.title = `${open ? `(${open}) ` : ""}${document.title.replace(/^\(\d+\) /, "")}`;
  const troubled = JSON.stringify([said.detector.problems, said.detector.trouble, said.detector.caught_up, said.detector.stale]);
  if (troubled !== sick.dataset.said) replace(sick, troubles(said)); // else it would be read aloud again and again
  sick.dataset.said = troubled;
  replace(document.getElementById("version"), `Detector ${said.detector.version}; ${heartbeat(said)}`);
  const who = document.getElementById("who");
  who.textContent = me.role === "operator" ? me.name : me.name ? `${me.name}, read only` : "read only";
}

async function look() {
  try {
    const said = await get("overview");
    note(said);
    frame(said);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) refuse(error);
  }
}

/** Without a token that counts there is nothing to show but where to enter one. */
function refuse(problem) {
  if (location.hash === "#/token") return;
  refused = problem.message;
  back = location.hash || "#/";
  location.hash = "#/token";
}

function restart() {
  stream.restart();
  look();
}

function themes() {
  const root = document.documentElement, choose = document.getElementById("theme");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const say = () => {
    choose.textContent = dark() ? "☀ Light" : "☾ Dark";
    document.dispatchEvent(new CustomEvent("painted"));
  };
  choose.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("detector.theme", root.dataset.theme);
    say();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", say);
  say();
}

token.fromAddress();
themes();
listen();
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // else it would be another address
  main.focus();
});
document.getElementById("help").addEventListener("click", help);
document.addEventListener("overview", (event) => frame(event.detail));
document.addEventListener("refused", (event) => refuse(event.detail));
document.addEventListener("commanded", () => place.refresh());
addEventListener("hashchange", () => { token.fromAddress(); go(); });
setInterval(recount, 1_000);
setInterval(look, OVERVIEW);
stream = follow({ told, changed, missed: () => { place.refresh(); look(); } });
// Ages are told by Detector's clock: a moment's patience for it, and not more.
await Promise.race([look(), new Promise((over) => setTimeout(over, PATIENCE))]);
go();
