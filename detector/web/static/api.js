// The HTTP API, with the reader's token. What it refuses comes as a `Problem` with a sentence for people.

import { clock } from "./clock.js";

const NAME = "detector.token";

export const token = {
  get: () => sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME),
  remembered: () => localStorage.getItem(NAME) !== null,
  /** Keep it for this tab, or until it is forgotten. */
  set(value, remember) {
    token.forget();
    (remember ? localStorage : sessionStorage).setItem(NAME, value);
  },
  forget() {
    sessionStorage.removeItem(NAME);
    localStorage.removeItem(NAME);
  },
  /** A link may bring one behind `#token=`: it is kept for this tab, and taken out of the address at once. */
  fromAddress() {
    if (!location.hash.startsWith("#token=")) return;
    token.set(decodeURIComponent(location.hash.slice("#token=".length)), false);
    history.replaceState(null, "", "#/");
  },
};

export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
  }
}

/** What a request asks with. */
export function headers(more) {
  const mine = token.get();
  return mine ? { ...more, Authorization: `Bearer ${mine}` } : { ...more };
}

/** The JSON at a path below /v1. Parameters that are empty are left out. */
export async function get(path, parameters = {}, signal = undefined) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = given.length ? `?${new URLSearchParams(given)}` : "";
  return answered(await asked(`/v1/${path}${query}`, { headers: headers({ Accept: "application/json" }), signal }));
}

/** Send a command; what came of it: `{id, done, effect}`, or `{id}` alone if nobody answered in time. */
export async function command(what) {
  const body = JSON.stringify({ id: newId(), ...what });
  return answered(await asked("/v1/commands", { method: "POST", headers: headers({ "Content-Type": "application/json" }), body }));
}

async function asked(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No answer", "Detector's API does not answer. Is `detector run` there, and the network?");
  }
}

async function answered(response) {
  const text = await response.text();
  const body = parsed(text);
  if (response.ok && body !== undefined) return body;
  if (response.ok) throw new Problem(response.status, "Not understood", "The answer is no JSON.");
  throw new Problem(response.status, body?.title ?? response.statusText, body?.detail ?? `The answer was ${response.status}.`);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An entity's key as the end of a path. */
export function path(entity) {
  return encodeURIComponent(entity);
}

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Who is asking, as the last overview said. Until then nobody knows, and the API decides. */
export const me = { name: "", role: null };

/** Take from an overview what is of use everywhere. */
export function note(overview) {
  clock.set(overview.at);
  me.name = overview.you.name;
  me.role = overview.you.role;
}
