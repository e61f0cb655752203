// A page is made of parts: each loads what it shows, draws it, and draws it again when that has changed.

import { h, replace } from "./dom.js";
import { Problem } from "./api.js";

const QUIET = 2_000; // ms between two loads of a part, however much changes

/** What is on the page now; all of it ends when the reader goes elsewhere. */
export class Place {
  constructor() {
    this.over = new AbortController();
    this.parts = [];
  }

  /**
   * A part: `load(signal)` gives JSON, `draw(json)` nodes. It loads again at an event whose kind is in `on`
   * (of an entity that `about` accepts) and each `every` ms, and is drawn again only if something else came.
   */
  part({ load, draw, on = [], about = () => true, every = null, label = null, wait = "Loading…" }) {
    const box = h("div.part", label ? { role: "region", "aria-label": label, "aria-busy": "true" } : { "aria-busy": "true" });
    box.append(h("p.quiet", {}, wait));
    const part = new Part(box, load, draw, this.over.signal, on, about);
    this.parts.push(part);
    part.again();
    if (every) part.clock = setInterval(() => document.hidden || part.soon(), every);
    return box;
  }

  /** Something happened. */
  told(kind, data) {
    for (const part of this.parts) if (part.on.includes(kind) && part.about(data)) part.soon();
  }

  /** Events may have been missed. */
  refresh() {
    for (const part of this.parts) part.soon();
  }

  leave() {
    this.over.abort();
    for (const part of this.parts) {
      clearTimeout(part.timer);
      clearInterval(part.clock);
    }
  }
}

class Part {
  constructor(box, load, draw, signal, on, about) {
    Object.assign(this, { box, load, draw, signal, on, about, timer: null, shown: null, loading: false, dirty: false, turn: 0 });
  }

  soon() {
    if (this.loading) this.dirty = true;
    else if (this.timer === null) this.timer = setTimeout(() => this.again(), QUIET);
  }

  async again() {
    clearTimeout(this.timer);
    this.timer = null;
    this.loading = true;
    this.dirty = false;
    const turn = (this.turn += 1);
    try {
      const json = await this.load(this.signal);
      if (turn === this.turn) this.put(json); // else something else was asked for meanwhile
    } catch (error) {
      if (this.signal.aborted || turn !== this.turn) return;
      if (!(error instanceof Problem)) throw error;
      this.fail(error);
    } finally {
      if (turn === this.turn) {
        this.loading = false;
        if (!this.signal.aborted) this.box.removeAttribute("aria-busy");
      }
    }
    if (this.dirty && !this.signal.aborted) this.soon();
  }

  put(json) {
    if (this.signal.aborted) return;
    const text = JSON.stringify(json);
    if (text === this.shown) return;
    this.shown = text;
    replace(this.box, this.draw(json));
  }

  /** What was there before stays readable below the problem. */
  fail(problem) {
    if (problem.status === 401) document.dispatchEvent(new CustomEvent("refused", { detail: problem }));
    const retry = h("button", { type: "button", click: () => this.again(), "data-key": "retry" }, "Try again");
    const note = h("div.problem", { role: "alert" }, h("p", {}, h("strong", {}, problem.title), `: ${problem.message}`), retry);
    if (this.shown === null) replace(this.box, note);
    else {
      this.box.querySelector(":scope > .problem")?.remove();
      this.box.prepend(note);
      this.shown = "";
    }
  }
}
