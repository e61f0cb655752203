// Numbers, durations, times and names as a person reads them at 3 a.m.; the same words as the command line has.

import { h } from "./dom.js";
import { clock } from "./clock.js";

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const BYTES = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];
const SIZES = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/** A value in its unit: `9,400 rows`, `1.2 GB`, `4 min 10 s`. */
export function number(value, unit) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not known";
  if (unit === "seconds") return value > 0 && value < 0.1 ? `${three.format(1000 * value)} ms` : duration(value);
  if (unit === "bytes") return bytes(value);
  const plain = Math.abs(value) >= 100 || Number.isInteger(value) ? grouped.format(value) : three.format(value);
  return unit ? `${plain} ${unit}` : plain;
}

const UNITS = { duration: "seconds", bytes: "bytes", bytes_in: "bytes", bytes_out: "bytes" };

/** The unit that a metric is told in, or null for a bare number. */
export function unitOf(metric) {
  return UNITS[metric] ?? (/^(profile_)?rows/.test(metric) ? "rows" : null);
}

function bytes(value) {
  const [factor, name] = BYTES.find(([size]) => Math.abs(value) >= size) ?? [1, "B"];
  return `${three.format(value / factor)} ${name}`;
}

/** What is usual, as words: `9,400 to 11,800 rows`, `at most 4 min`; empty if nothing is known. */
export function band(lower, upper, unit) {
  const low = known(lower), high = known(upper);
  if (low && high) {
    const [from, to] = [number(lower, unit), number(upper, unit)];
    return `${unit && from.endsWith(` ${unit}`) ? from.slice(0, -unit.length - 1) : from} to ${to}`;
  }
  if (low) return `at least ${number(lower, unit)}`;
  return high ? `at most ${number(upper, unit)}` : "";
}

/** Whether there is a number. */
export function known(value) {
  return value !== null && value !== undefined && Number.isFinite(value);
}

/** Seconds in the two largest units: `2 d 3 h`, `4 min 10 s`, `0.3 s`. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "any time";
  if (seconds < 10) return `${Math.max(seconds, 0).toFixed(1)} s`;
  let left = Math.round(Math.min(seconds, 1e15));
  if (left >= 86400) left = Math.round(left / 3600) * 3600;
  else if (left >= 3600) left = Math.round(left / 60) * 60;
  const parts = [];
  for (const [size, name] of SIZES) {
    const count = Math.floor(left / size);
    if (count || parts.length) parts.push([count, name]);
    left -= count * size;
  }
  return parts.slice(0, 2).filter(([count]) => count).map(([count, name]) => `${count} ${name}`).join(" ");
}

const local = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
const localWithSeconds = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const localWithYear = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});

/** A time in the reader's zone: `Tue 24 Nov 03:00`, with the year where it is long ago. */
export function moment(at, seconds = false) {
  const far = Math.abs(clock.now() - at) > 180 * 86400;
  return (far ? localWithYear : seconds ? localWithSeconds : local).format(new Date(at * 1000)).replaceAll(",", "");
}

/** The same in UTC. */
export function utc(at) {
  return `${new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A `<time>` with the reader's time; the title has UTC. */
export function when(at, seconds = false) {
  if (!known(at)) return "not known";
  return h("time", { datetime: iso(at), title: utc(at) }, moment(at, seconds));
}

/** A `<time>` that says how long it has been so, and goes on counting. */
export function lasting(since, before = "for ") {
  return h("time", { datetime: iso(since), title: `since ${moment(since)} (${utc(since)})`, "data-since": since, "data-before": before }, since_(since, before));
}

function since_(since, before) {
  return `${before}${duration(Math.max(clock.now() - since, 0))}`;
}

function iso(at) {
  return new Date(at * 1000).toISOString();
}

/** Counts on: called from time to time. */
export function recount() {
  for (const one of document.querySelectorAll("time[data-since]")) {
    const text = since_(Number(one.dataset.since), one.dataset.before);
    if (one.textContent !== text) one.textContent = text;
  }
}

/** An entity as people call it: `{kind, name, where}`. */
export function named(entity) {
  const colon = entity.indexOf(":");
  const kind = entity.slice(0, colon), rest = entity.slice(colon + 1);
  const host = kind === "dataset" ? rest.indexOf("//") : -1;
  const slash = kind === "job" ? rest.lastIndexOf("/") : rest.indexOf("/", host < 0 ? 0 : host + 2);
  if (slash < 0 || slash === rest.length - 1) return { kind, name: rest, where: "" };
  return { kind, name: rest.slice(slash + 1), where: rest.slice(0, slash) };
}

/** `1 job`, `3 jobs`. */
export function count(many, one, more = `${one}s`) {
  return `${grouped.format(many)} ${many === 1 ? one : more}`;
}

/** A whole number with its thousands apart. */
export function whole(value) {
  return grouped.format(value);
}

/** `a, b and c`. */
export function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
