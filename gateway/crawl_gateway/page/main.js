/** The frame of the page: which view is shown, who is signed in, and whether it is live. */

import { Refused, session } from "./api.js";
import { fill, h } from "./dom.js";
import { follow } from "./events.js";
import { calm, complain, hush, onStranger } from "./said.js";
import { deadLetters } from "./dead-letters.js";
import { job } from "./job.js";
import { jobs } from "./jobs.js";
import { queues } from "./queues.js";
import { schedules } from "./schedules.js";
import { signIn } from "./sign-in.js";
import { submit } from "./submit.js";
import { workers } from "./workers.js";

/**
 * What a view is given.
 * @typedef {object} Stage
 * @property {HTMLElement} main where it is shown.
 * @property {string[]} path what follows the view's name in the address.
 * @property {URLSearchParams} params of the address.
 * @property {AbortSignal} signal when it is left.
 * @property {(params: Record<string, string>) => void} remember put these into the address, without another visit.
 * @property {(query: import("./api.js").Query, tell: (event: import("./events.js").Happening) => void) => void} live
 *   follow what happens for as long as the view is there; READY says that what happened before may have been missed.
 */

/** Views beside that of all jobs. @type {Map<string, {title: string, show: (stage: Stage) => Promise<void>}>} */
const VIEWS = new Map([
  ["job", { title: "Job", show: job }],
  ["submit", { title: "Submit", show: submit }],
  ["queues", { title: "Queues", show: queues }],
  ["schedules", { title: "Schedules", show: schedules }],
  ["workers", { title: "Workers", show: workers }],
  ["dead-letters", { title: "Dead letters", show: deadLetters }],
]);

const AGAIN_MS = 3000;
const [skip, main, live, leave, place] = ["skip", "main", "live", "leave", "place"].map(
  (id) => /** @type {any} */ (document.getElementById(id)),
);
let visit = new AbortController();
let before = "";

/** Show what the address says. */
async function route() {
  visit.abort();
  visit = new AbortController();
  const { signal } = visit;
  const [address, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...path] = (address || "jobs").split("/").map(decoded);
  const view = VIEWS.get(name) ?? { title: "Jobs", show: jobs };
  document.title = `${path.at(-1) ?? view.title} – Crawls`;
  for (const link of document.querySelectorAll("#views a")) {
    if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  fill(live);
  fill(main, h("h1", {}, path.at(-1) ?? view.title));
  if (before && before !== address) main.focus(); // so that a screen reader, and the next Tab, begin there
  before = address || "jobs";
  try {
    await view.show({ main, path, params: new URLSearchParams(query), signal, remember, live: following(signal) });
  } catch (error) {
    if (signal.aborted) return;
    complain(error);
    if (error instanceof Refused && error.passing) {
      setTimeout(() => !signal.aborted && route(), Math.max(error.retryAfter * 1000, AGAIN_MS));
    }
  }
}

/** @param {string} text of an address, which anybody may have written. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {Record<string, string>} params */
function remember(params) {
  const told = new URLSearchParams(Object.entries(params).filter(([, value]) => value)).toString();
  history.replaceState(null, "", location.hash.split("?")[0] + (told && `?${told}`));
}

/** @param {AbortSignal} signal @returns {Stage["live"]} */
function following(signal) {
  const state = (/** @type {boolean} */ up) => {
    if (signal.aborted) return;
    fill(live, up ? "live" : "not live, trying again");
    if (up) calm();
  };
  return (query, tell) => {
    if (signal.aborted) return;
    const told = (/** @type {import("./events.js").Happening} */ event) => {
      try {
        tell(event);
      } catch (error) {
        complain(error); // and no reason to begin another stream
      }
    };
    follow(query, told, state, signal).catch((error) => {
      if (signal.aborted) return;
      fill(live, "not live");
      complain(error);
    });
  };
}

/** Ask for a token; the one that was told, if any, is of no use. */
function strange() {
  visit.abort();
  session.token = "";
  fill(leave, "Sign in");
  document.title = "Sign in – Crawls";
  before = "sign-in";
  fill(live);
  signIn(main, arrive);
}

/** Begin anew, as somebody else. */
function arrive() {
  fill(leave, session.token ? "Sign out" : "Sign in");
  hush();
  route();
}

onStranger(strange);
addEventListener("hashchange", () => {
  hush();
  route();
});
skip.addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault(); // the address names the view
  main.focus();
});
leave.addEventListener("click", () => {
  hush();
  strange();
});
place.elements.namespace.value = session.namespace;
place.addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  session.namespace = place.elements.namespace.value.trim();
  if (!visit.signal.aborted) arrive(); // and not while a token is asked for
});
place.addEventListener("focusout", () => {
  if (place.elements.namespace.value.trim() !== session.namespace) place.requestSubmit();
});
arrive();
