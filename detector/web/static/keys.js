// The keyboard: everything that is done often has a key. Keys do nothing while somebody types.

import { h } from "./dom.js";
import { opened } from "./dialogs.js";

const GO = { o: "#/", i: "#/incidents", r: "#/plans", w: "#/windows", t: "#/token" };
const HELP = [
  ["/", "search"], ["j, k", "next and previous in the list"], ["Enter", "open it"],
  ["g o", "go to the overview"], ["g i", "go to the incidents"], ["g r", "go to recovery"], ["g w", "go to windows"], ["g t", "enter a token"],
  ["?", "this help"], ["Esc", "close, or leave the search"],
];
const LISTED = "main a.entity, main a.title";
let waiting = null;

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape" && typing) return event.target.blur();
    if (!typing && pressed(event.key)) event.preventDefault();
  });
}

function pressed(key) {
  if (waiting !== null) {
    clearTimeout(waiting);
    waiting = null;
    if (GO[key]) location.hash = GO[key];
    return key in GO;
  }
  switch (key) {
    case "g": waiting = setTimeout(() => (waiting = null), 1_500); return true;
    case "/": return search();
    case "j": return move(1);
    case "k": return move(-1);
    case "?": help(); return true;
  }
  return false;
}

function search() {
  const field = document.querySelector("[data-search]");
  if (field) field.focus();
  else location.hash = "#/?search";
  return true;
}

/** From link to link of the list; a row has one that counts. */
function move(step) {
  const rows = [...document.querySelectorAll("main tbody tr, main li.card, main ul.plain > li, main ol.findings > li, main ol.steps > li")];
  const links = (rows.length ? rows.map((row) => row.querySelector("a.title, a.entity, a")) : [...document.querySelectorAll(LISTED)]).filter((one) => one && one.offsetParent);
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
  return Boolean(next);
}

export function help() {
  const box = opened("Keys", h("dl.keys", {}, HELP.map(([key, what]) => h("div", {}, h("dt", {}, key.split(" ").map((one) => [h("kbd", {}, one), " "])), h("dd", {}, what)))));
  box.append(h("div.buttons", {}, h("button", { type: "button", click: () => box.close() }, "Close")));
}
