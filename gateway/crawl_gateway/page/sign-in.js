/** Asks for a token. */

import { Refused, ask, session } from "./api.js";
import { field, fill, h } from "./dom.js";

/** @param {HTMLElement} main @param {() => void} arrive what happens then. */
export function signIn(main, arrive) {
  const token = h("input", {
    type: "password",
    name: "token",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const without = h(
    "p",
    { hidden: true },
    h("button", { type: "button", click: () => arrive() }, "Go on without a token"),
  );
  const enter = (/** @type {Event} */ event) => {
    event.preventDefault();
    session.token = token.value.trim();
    arrive();
  };
  fill(
    main,
    h("h1", {}, "Sign in"),
    h(
      "form",
      { class: "narrow", submit: enter },
      field("Kubernetes token", token, "Kept in this tab, and forgotten with it."),
      h("button", { class: "main" }, "Sign in"),
    ),
    without,
    h(
      "p",
      { class: "note" },
      "One of a service account: ",
      h("code", {}, "kubectl create token NAME --audience crawl-gateway"),
    ),
  );
  token.focus();
  ask("GET", "v1/jobs", { query: { limit: 1 } })
    .then(
      () => 200,
      (error) => (error instanceof Refused ? error.status : 0),
    )
    .then((status) => {
      without.hidden = [0, 401].includes(status);
    });
}
