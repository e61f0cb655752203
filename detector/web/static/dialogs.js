// What a person tells the detector: a form in a dialog, the command that comes of it, and what came of that.

import { h, fresh, replace } from "./dom.js";
import { Problem, command, me } from "./api.js";
import { VERDICTS } from "./states.js";
import { clock } from "./clock.js";
import { named } from "./text.js";

const DAY = 86_400;
const SPANS = [[900, "15 minutes"], [3600, "1 hour"], [7200, "2 hours"], [28_800, "8 hours"], [DAY, "1 day"], [3 * DAY, "3 days"], [7 * DAY, "1 week"], [30 * DAY, "30 days"]];

/** A button that opens a dialog. A reader's is there, so that he knows what there is, and says why it does nothing. */
export function button(text, open, key = text, kind = "") {
  return h(`button${kind}`, { type: "button", "data-key": key, click: () => (me.role === "reader" ? readOnly() : open()) }, text);
}

function readOnly() {
  const why = me.name
    ? `The token of ${me.name} is a reader's: it may look, and change nothing.`
    : "You have given no token: you may look, and change nothing.";
  const box = opened("Read only", h("p", {}, why, " With a token of an operator you could do this."));
  box.append(h("div.buttons", {}, h("a.button", { href: "#/token", click: () => box.close() }, "Enter a token"), closing(box, "Close")));
}

// ---------------------------------------------------------------- what can be said

export function acknowledge(incident) {
  ask({
    title: "Acknowledge the incident", submit: "I look after it",
    note: "Nobody else is called, unless it gets worse.",
    fields: [comment()],
    make: (given) => ({ command: "acknowledge", incident: incident.id, comment: given.comment }),
  });
}

export function feedback({ incident, entity, check }) {
  const about = incident ? "the incident" : `${check ?? "what is wrong"} of ${named(entity).name}`;
  ask({
    title: `What do you say of ${about}?`, submit: "Send",
    fields: [choice("verdict", "Verdict", VERDICTS), comment()],
    make: (given) => ({ command: "feedback", verdict: given.verdict, comment: given.comment, ...(incident ? { incident } : { entity, check }) }),
  });
}

export function override(entity, now) {
  const states = [["force_closed", "Let it go on", "closed, whatever is found"], ["force_open", "Stop it", "open, whatever is found"]];
  if (now) states.push(["none", "Take the override back", "the breaker decides again"]);
  ask({
    title: `Override the breaker of ${named(entity).name}`, submit: "Override",
    fields: [choice("state", "From now on", states), span("lasts", "For", 7200), comment("Why", true)],
    make: (given) => ({
      command: "override", entity, state: given.state, comment: given.comment,
      ...(given.state === "none" ? {} : { until: clock.now() + Number(given.lasts) }),
    }),
  });
}

export function probe(entity) {
  ask({
    title: `Ask for the probe of ${named(entity).name}`, submit: "Ask for it",
    note: "Of a half-open breaker one run may go. Who asks first is the one; others wait for what comes of it.",
    fields: [span("lasts", "The right lasts", 3600, DAY), comment()],
    make: (given) => ({ command: "probe", entity, lasts: Number(given.lasts), comment: given.comment }),
  });
}

export function addWindow(match = "") {
  const kinds = [["mute", "Mute", "nobody is called; breakers work as ever"], ["maintenance", "Maintenance", "what is wrong is expected, and nothing stops"]];
  ask({
    title: match ? `Mute ${named(match).name}` : "Add a mute or maintenance", submit: "Add",
    fields: [choice("kind", "What", kinds, "mute"), text("match", "For entities that match (* is anything)", match, true), span("lasts", "From now, for", 7200), comment("Why", true)],
    make: (given) => {
      const start = Math.floor(clock.now()) - 60, id = `page-${Math.round(start)}-${Math.floor(Math.random() * 1e6)}`;
      const window = { id, kind: given.kind, match: given.match, start, end: start + Number(given.lasts), reason: given.comment, owner: me.name };
      return { command: "window", window, comment: given.comment };
    },
  });
}

export function endWindow(id) {
  ask({ title: "End it now", submit: "End it", note: `Window ${id}.`, fields: [comment()], make: (given) => ({ command: "end_window", window: id, comment: given.comment }) });
}

export function abandon(plan) {
  ask({
    title: "Give up the recovery plan", submit: "Give it up", note: "Nobody will go on with it. What is done stays done.",
    fields: [comment("Why", true)], make: (given) => ({ command: "abandon_plan", plan: plan.plan, comment: given.comment }),
  });
}

// ---------------------------------------------------------------- fields

function comment(label = "Comment", required = false) {
  return text("comment", label, "", required);
}

function text(name, label, value = "", required = false) {
  const id = fresh(name);
  return h("div.field", {}, h("label", { for: id }, label, required ? null : h("span.quiet", {}, " (if you like)")), h("input", { id, name, value, required, maxlength: 2000, autocomplete: "off" }));
}

function span(name, label, chosen, most = Infinity) {
  const id = fresh(name);
  const options = SPANS.filter(([seconds]) => seconds <= most).map(([seconds, words]) => h("option", { value: seconds, selected: seconds === chosen }, words));
  return h("div.field", {}, h("label", { for: id }, label), h("select", { id, name }, options));
}

function choice(name, label, options, chosen = null) {
  const radios = options.map(([value, words, why]) => {
    const id = fresh(name);
    return h("div.choice", {}, h("input", { type: "radio", id, name, value, required: true, checked: value === chosen }), h("label", { for: id }, words, h("span.quiet", {}, `: ${why}`)));
  });
  return h("fieldset", {}, h("legend", {}, label), radios);
}

// ---------------------------------------------------------------- the dialog

function ask({ title, note, fields, submit, make }) {
  const said = h("div.said", { role: "status" });
  const send = h("button.primary", { type: "submit" }, submit);
  const form = h("form", {}, note ? h("p", {}, note) : null, fields, said);
  const box = opened(title, form);
  form.append(h("div.buttons", {}, send, closing(box, "Cancel")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    replace(said, h("p.quiet", {}, "Sent; waiting for what comes of it…"));
    try {
      finish(box, await command(tidy(make(Object.fromEntries(new FormData(form))))));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      send.disabled = false;
      replace(said, h("p.problem", {}, h("strong", {}, error.title), `: ${error.message}`));
    }
  });
}

function tidy(given) {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== "" && value !== undefined && value !== null));
}

/** What came of it, in the same dialog: nothing is left to chance of a note that flies by. */
function finish(box, answer) {
  const close = closing(box, "Close");
  const [sign, head, text] = answer.done === null
    ? ["…", "Sent", `${answer.effect}.`]
    : answer.done ? ["✓", "Done", answer.effect] : ["✗", "Not done", answer.effect];
  const said = h(`p.answer${answer.done === false ? ".problem" : ""}`, { role: "status" }, h("strong", {}, `${sign} ${head}. `), text);
  replace(box.querySelector("form"), said, h("div.buttons", {}, close));
  close.focus();
  document.dispatchEvent(new CustomEvent("commanded"));
}

function closing(box, text) {
  return h("button", { type: "button", click: () => box.close() }, text);
}

/** A dialog, modal, that is gone when it is closed. Escape closes it; the focus goes back to where it was. */
export function opened(title, ...content) {
  const id = fresh("dialog");
  const box = h("dialog", { "aria-labelledby": id }, h("h2", { id }, title), content);
  const before = document.activeElement;
  const key = before?.dataset?.key;
  box.addEventListener("close", () => {
    box.remove();
    const back = before?.isConnected ? before : key && document.querySelector(`main [data-key="${CSS.escape(key)}"]`);
    back?.focus?.({ preventScroll: true });
  });
  document.body.append(box);
  box.showModal();
  return box;
}
