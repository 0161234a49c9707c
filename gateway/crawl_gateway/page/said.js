/** What the page tells, beside what it shows: what was done, what was refused and why, and what is asked first. */

import { Refused, session } from "./api.js";
import { fill, h } from "./dom.js";

const done = /** @type {HTMLElement} */ (document.getElementById("said"));
const wrong = /** @type {HTMLElement} */ (document.getElementById("wrong"));

let carried = "";
let passing = false;
/** @type {() => void} */
let stranger = () => {};

/** Name what happens when the gateway does not know who asks. @param {() => void} act */
export function onStranger(act) {
  stranger = act;
}

/** Tell what was done. @param {string} text */
export function say(text) {
  fill(wrong);
  fill(done, text);
}

/** Tell what went wrong. @param {unknown} error */
export function complain(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  fill(done);
  passing = error instanceof Refused && error.passing;
  if (error instanceof Refused) {
    if (error.status === 401 && !session.token) return stranger(); // nobody has said anything wrong yet
    const details = error.details.length > 1 || error.details[0] !== error.message ? error.details : [];
    fill(
      wrong,
      error.message,
      details.length > 0 &&
        h(
          "ul",
          {},
          details.map((each) => h("li", {}, each)),
        ),
    );
    if (error.status === 401) stranger();
  } else {
    fill(wrong, String(error));
    console.error(error);
  }
}

/** Forget what went wrong, if it was only that the gateway did not answer. */
export function calm() {
  if (passing) fill(wrong);
}

/** Forget both, for another view is shown. */
export function hush() {
  say(carried);
  carried = "";
}

/** Go to another view, and tell there what was done here. @param {string} address @param {string} text */
export function depart(address, text) {
  carried = text;
  location.hash = address;
}

/**
 * Do something for a control, which is out of use meanwhile; tell what came of it.
 * @param {HTMLButtonElement} control
 * @param {() => Promise<string | void>} act returns what was done, in words.
 */
export async function attempt(control, act) {
  if (control.ariaDisabled === "true") return;
  hush();
  control.ariaDisabled = "true"; // and not `disabled`, which would lose the focus
  try {
    const words = await act();
    if (words) say(words);
  } catch (error) {
    complain(error);
  } finally {
    control.ariaDisabled = null;
  }
}

/**
 * A button that does something.
 * @param {string} label
 * @param {() => Promise<string | void>} act see `attempt`.
 * @param {{question?: string, about?: string, kind?: string}} [more] what is asked first; what the label is about.
 */
export function button(label, act, { question, about, kind = "" } = {}) {
  const made = h("button", { type: "button", class: kind, "aria-label": about && `${label} ${about}` }, label);
  made.addEventListener("click", async () => {
    if (!question || (await sure(question, label))) await attempt(made, act);
  });
  return made;
}

/** Ask first. @param {string} question @param {string} label @returns {Promise<boolean>} */
function sure(question, label) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      {
        "aria-labelledby": "question",
        close: () => {
          dialog.remove();
          resolve(dialog.returnValue === "yes");
        },
      },
      h("p", { id: "question" }, question),
      h(
        "p",
        { class: "buttons" },
        h("button", { type: "button", click: () => dialog.close("") }, "No"),
        h("button", { type: "button", class: "danger", click: () => dialog.close("yes") }, label),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
