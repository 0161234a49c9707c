/** Schedules: when they are due, what they have made, and their switches. */

import { call, of } from "./api.js";
import { h, keep, line, table, time, write } from "./dom.js";
import { beside } from "./list.js";
import { button, complain } from "./said.js";
import { seldom } from "./seldom.js";

/** @typedef {import("./api.js").Item} Item */

const COLUMNS = ["Name", "When", "Next runs", "Last run", "Under way", "Made, missed", ""];

/** @param {import("./main.js").Stage} stage */
export async function schedules({ main, signal, live }) {
  const rows = table("Schedules, the newest first", COLUMNS);
  const none = h("p", { hidden: true }, "There are none.");
  main.append(rows.element, none);
  const load = async () => {
    const { items } = await call("GET", "v1/schedules", { signal });
    keep(rows.body, items, (/** @type {Item} */ item) => item.metadata.uid, line, put);
    none.hidden = items.length > 0;
  };
  await load();
  live(
    { kind: "schedules" },
    seldom(() => load().catch(complain), signal),
  );
}

/** @param {HTMLTableRowElement} row @param {Item} item */
function put(row, item) {
  const { metadata, spec, status = {} } = item;
  write(row, COLUMNS, [
    [metadata.name, ...beside(item)],
    [h("code", {}, spec.schedule), ` ${spec.timeZone}`],
    spec.suspend ? "disabled" : next(row, item),
    time(status.lastExecutedAt),
    h("a", { href: `#/jobs?schedule=${encodeURIComponent(metadata.name)}` }, `${status.activeCount ?? 0}`),
    `${status.executionCount ?? 0}, ${status.missedCount ?? 0}`,
    levers(item),
  ]);
}

/** Further runs that somebody wanted to see. @type {Map<string, string[]>} */
const later = new Map();

/** The next run, and on demand those after it. @param {HTMLTableRowElement} row @param {Item} item */
function next(row, item) {
  const due = item.status?.nextExecutionAt;
  const key = `${item.metadata.uid} ${due}`;
  const known = later.get(key);
  if (known)
    return h(
      "ul",
      { class: "plain" },
      known.map((at) => h("li", {}, time(at))),
    );
  const more = button(
    "more",
    async () => {
      const [path, where] = of("schedules", item, "next");
      later.set(key, (await call("GET", path, { query: { ...where.query, count: 5 } })).items);
      put(row, item);
    },
    { about: `runs of ${item.metadata.name}`, kind: "link" },
  );
  return [time(due), " ", due && more];
}

/** @param {Item} item */
function levers(item) {
  const name = item.metadata.name;
  /** @param {string} label @param {string} words */
  const lever = (label, words) =>
    button(
      label,
      async () => {
        await call("POST", ...of("schedules", item, label.toLowerCase()));
        return words;
      },
      { about: name },
    );
  return h(
    "span",
    { class: "buttons" },
    item.spec.suspend ? lever("Enable", `${name} makes runs`) : lever("Disable", `${name} makes no more runs`),
    lever("Trigger", `${name} makes a run now`),
  );
}
