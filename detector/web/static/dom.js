// Builds the page out of nodes. Data only ever becomes text: there is no way here to make markup of it.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("a.quiet", {href: "#/"}, "text", node)`. Functions are listeners, `true` is a bare attribute. */
export function h(what, attributes, ...children) {
  const [name, ...classes] = what.split(".");
  return filled(document.createElement(name || "div"), classes, attributes, children);
}

/** The same for drawings. */
export function svg(what, attributes, ...children) {
  const [name, ...classes] = what.split(".");
  return filled(document.createElementNS(SVG, name), classes, attributes, children);
}

function filled(node, classes, attributes, children) {
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("aria-")) node.setAttribute(key, String(value)); // there, false is a word
    else if (value === false) continue;
    else if (typeof value === "function") node.addEventListener(key, value);
    else if (key === "value" || key === "checked") node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...nodes(children));
  return node;
}

/** Children as a flat list: nothing for null and false, text for the rest. */
export function nodes(children) {
  return [children].flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/**
 * Puts other children into a node. What had the focus, and what was unfolded, is found again by `data-key`.
 */
export function replace(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement.closest("[data-key]")?.dataset.key : null;
  const unfolded = new Set([...node.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key));
  node.replaceChildren(...nodes(children));
  for (const one of node.querySelectorAll("[data-key]")) {
    if (one.dataset.key === focused) one.focus({ preventScroll: true });
    if (one.tagName === "DETAILS" && unfolded.has(one.dataset.key)) one.open = true;
  }
}

let counted = 0;

/** An id that no other node has, for labels. */
export function fresh(what) {
  counted += 1;
  return `${what}-${counted}`;
}
