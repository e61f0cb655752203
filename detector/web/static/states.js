// What the states are called and how they look. Each has a sign and a word: colour is never the only one.

import { h } from "./dom.js";

export const STATES = {
  open: ["■", "open", "who needs it does not start"],
  held: ["‖", "held", "something upstream is bad"],
  half_open: ["◧", "half-open", "one run may probe"],
  unknown: ["?", "unknown", "the detector cannot judge it"],
  closed: ["□", "closed", "it may go on"],
};
export const SEVERITIES = {
  critical: ["▲", "critical"],
  warning: ["△", "warning"],
  info: ["○", "info"],
};
export const LEVELS = ["info", "warning", "critical"];
export const RUN_STATES = { COMPLETE: ["✓", "complete"], FAIL: ["✗", "failed"], ABORT: ["✗", "aborted"] };
export const VERDICTS = [
  ["confirmed", "It is a fault", "it was right to tell this"],
  ["expected_once", "Right, this once", "it is no fault; the next time it is told again"],
  ["new_normal", "So from now on", "it is no fault; this is usual from now on"],
  ["false_positive", "False alarm", "it is no fault; be less strict here"],
  ["missed", "Something was missed", "there was more to tell than this"],
];
export const ORDER = ["open", "unknown", "half_open", "held", "closed"];

/** A state as a badge. */
export function badge(state) {
  const [sign, word, why] = STATES[state] ?? ["?", state ?? "unknown", ""];
  return h(`span.badge.state-${STATES[state] ? state : "unknown"}`, { title: why }, h("span", { "aria-hidden": "true" }, `${sign} `), word);
}

/** A severity as a badge. */
export function severity(level) {
  const [sign, word] = SEVERITIES[level] ?? SEVERITIES.info;
  return h(`span.badge.severity-${SEVERITIES[level] ? level : "info"}`, {}, h("span", { "aria-hidden": "true" }, `${sign} `), word);
}

/** Compares by state, the worst first. */
export function worse(a, b) {
  return ORDER.indexOf(a) - ORDER.indexOf(b);
}

/** The state that a breaker's answer shows: `held` where it is open only since something upstream is bad. */
export function shown(answer) {
  const value = answer.breaker;
  if (!value || answer.verdict === "unknown") return "unknown";
  return answer.reason === "held" ? "held" : value.state;
}
