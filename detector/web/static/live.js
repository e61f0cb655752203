// What changes, as it changes: the stream of server-sent events. It is read by `fetch`, since an `EventSource` cannot
// bring a token. When it breaks it is opened again, later each time; until then the page says that it is not live.

import { headers } from "./api.js";

const FIRST = 1_000, LAST = 30_000; // ms until it is opened again
const SILENCE = 45_000; // ms: the server says something every 15 s, so nobody is there
const HIDDEN = 30_000; // ms that a page nobody sees goes on

/**
 * Follow the stream for ever. `told(kind, data)` hears each event, `changed(state)` each change of the state:
 * `live`, `connecting`, or `{again: ms}` until the next try. `missed()` is called when it is live after a gap.
 */
export function follow({ told, changed, missed }) {
  let last = null, wait = FIRST, stop = null, timer = null, hiding = null, gap = false;

  async function open() {
    clearTimeout(timer);
    changed("connecting");
    const mine = (stop = new AbortController());
    try {
      const response = await fetch("/v1/events", {
        headers: headers({ Accept: "text/event-stream", ...(last === null ? {} : { "Last-Event-ID": last }) }),
        signal: mine.signal, cache: "no-store", credentials: "omit",
      });
      if (!response.ok) throw new Error(`the answer was ${response.status}`);
      changed("live");
      wait = FIRST;
      if (gap) missed();
      await read(response.body, mine);
    } catch (error) {
      if (mine !== stop) return; // it was closed on purpose
      console.debug("events:", error.message);
    }
    if (mine === stop) again();
  }

  function again() {
    gap = true;
    const pause = wait * (0.75 + Math.random() / 2);
    wait = Math.min(2 * wait, LAST);
    timer = setTimeout(open, pause);
    changed({ again: pause });
  }

  async function read(body, mine) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const events = parser((event) => {
      if (event.id !== undefined) last = event.id;
      if (event.data !== undefined) told(event.event ?? "message", event.data);
    });
    let silence;
    for (;;) {
      clearTimeout(silence);
      silence = setTimeout(() => mine.abort(new Error("nothing was said for too long")), SILENCE);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      events(value);
    }
  }

  function close() {
    clearTimeout(timer);
    const mine = stop;
    stop = null;
    mine?.abort();
  }

  function restart() {
    close();
    last = null;
    wait = FIRST;
    open();
  }

  // A browser has few connections to one server: tabs that nobody looks at must not take them all.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) {
      hiding = setTimeout(() => { close(); gap = true; changed("asleep"); }, HIDDEN);
    } else if (stop === null) open();
  });
  open();
  return { restart, now: () => { if (stop === null || timer !== null) { close(); open(); } } };
}

/** Cuts the text of a stream into events; a function to feed with pieces of it. */
export function parser(found) {
  let rest = "", event = {};
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (Object.keys(event).length) found(event);
        event = {};
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue; // a comment, so that the line stays open
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      event[field] = field === "data" && event.data !== undefined ? `${event.data}\n${value}` : value;
    }
  };
}
