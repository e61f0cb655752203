// The token: who one is. It is kept for this tab, and longer only if somebody asks for that.

import { h, fresh, nodes, replace } from "./dom.js";
import { Problem, get, me, note, token } from "./api.js";

export function account(place, main, { refused, back, restart }) {
  const id = fresh("token"), keep = fresh("keep"), said = h("div", { role: "status" });
  const input = h("input", { id, name: "token", type: "password", required: true, autocomplete: "off", spellcheck: "false" });
  const remember = h("input", { id: keep, type: "checkbox", checked: token.remembered() });
  const form = h("form", {
    submit: async (event) => {
      event.preventDefault();
      token.set(input.value.trim(), remember.checked);
      input.value = "";
      const known = await look(said);
      restart();
      if (known && back) location.hash = back;
    },
  }, h("div.field", {}, h("label", { for: id }, "Token"), input),
    h("div.choice", {}, remember, h("label", { for: keep }, "Remember it on this computer (else: until this tab is closed)")),
    h("div.buttons", {}, h("button.primary", { type: "submit" }, "Use it"), h("button", { type: "button", click: async () => { token.forget(); await look(said); restart(); } }, "Forget it")));
  main.append(...nodes([h("h1", {}, "Token"), refused ? h("p.problem", { role: "alert" }, refused) : null,
    h("p", {}, "With a reader's token you may look; with an operator's you may acknowledge, judge and override, too. Tokens are in the configuration of the detector: ", h("code", {}, "http.tokens"), "."),
    form, said]));
  look(said);
}

/** Ask who we are, and say so; whether anybody knows. */
async function look(said) {
  try {
    note(await get("overview"));
    const role = me.role === "operator" ? "an operator: you may do all that is here" : "a reader: you may look, and change nothing";
    replace(said, h("p", {}, me.name ? `✓ You are ${me.name}, ${role}.` : "You have given no token: you may look, and change nothing."));
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    replace(said, h("p.problem", {}, h("strong", {}, error.title), `: ${error.message}`));
    return false;
  }
}
