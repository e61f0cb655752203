// Links to the pages, and entities as links.

import { h } from "./dom.js";
import { named } from "./text.js";
import { path } from "./api.js";

export const to = {
  entity: (key) => `#/entity/${path(key)}`,
  lineage: (key) => `#/lineage/${path(key)}`,
  incident: (id) => `#/incidents/${path(id)}`,
  plan: (id) => `#/plans/${path(id)}`,
};

/** An entity as a link: its name, and faintly its kind and where it lives. */
export function entity(key, { key: focus = key, short = false } = {}) {
  const { kind, name, where } = named(key);
  const faint = short ? null : h("span.where", {}, ` ${where ? `${kind} in ${where}` : kind}`);
  return h("a.entity", { href: to.entity(key), title: key, "data-key": focus }, h("span.name", {}, name), faint);
}

/** A chain of entities, each a link: `a › b › c`. */
export function way(keys) {
  return h("span.way", {}, keys.map((key, at) => [at ? h("span", { "aria-hidden": "true" }, " › ") : null, at ? h("span.unseen", {}, " then ") : null, entity(key, { short: true, key: `way-${key}` })]));
}

/** A name to copy, and a button that does. */
export function copied(text, what) {
  const button = h("button.small", {
    type: "button", "aria-label": `Copy ${what}`, "data-key": `copy-${text}`,
    click: async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      setTimeout(() => (button.textContent = "Copy"), 1_500);
    },
  }, "Copy");
  return h("span.copied", {}, h("code", {}, text), " ", button);
}

/** A sentence of the detector, in which entities are links and the commands of a terminal are code. */
export function sentence(text) {
  const parts = text.split(/((?:job|dataset):[^\s,;]+[^\s,;:.)])/);
  return parts.map((part, at) => (at % 2 ? entity(part, { short: true, key: `s${at}-${part}` }) : part));
}
