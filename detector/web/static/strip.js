// One value beside what was expected, to scale: a bar for the band, a mark for the value.

import { svg } from "./dom.js";
import { band, known, number } from "./text.js";

const WIDE = 320, HIGH = 30, SIDE = 10;

/** A small drawing of an anomaly's numbers, or null where there is nothing to compare. */
export function strip({ observed, lower, upper, expected, unit }) {
  if (!known(observed) || (!known(lower) && !known(upper))) return null;
  const points = [observed, lower, upper, expected].filter(known);
  let least = Math.min(...points), most = Math.max(...points);
  if (!known(lower)) least -= (most - least) / 4;
  if (!known(upper)) most += (most - least) / 4;
  const x = (value) => SIDE + ((value - least) / (most - least || 1)) * (WIDE - 2 * SIDE);
  const from = known(lower) ? x(lower) : 0, until = known(upper) ? x(upper) : WIDE;
  const at = x(observed), middle = HIGH / 2;
  const label = `observed ${number(observed, unit)}, expected ${band(lower, upper, unit)}`;
  return svg("svg.strip", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": label },
    svg("title", {}, label),
    svg("line.axis", { x1: 0, x2: WIDE, y1: middle, y2: middle }),
    svg("rect.band", { x: from, y: middle - 7, width: Math.max(until - from, 2), height: 14, rx: 2 }),
    known(expected) ? svg("line.expected", { x1: x(expected), x2: x(expected), y1: middle - 7, y2: middle + 7 }) : null,
    svg("path.observed", { d: `M${at} ${middle - 8}l7 8l-7 8l-7 -8z` }));
}
