/** Jobs whose attempts are used up, to be looked at and run again. */

import { call, of } from "./api.js";
import { h, time } from "./dom.js";
import { list } from "./list.js";
import { button } from "./said.js";

const PREFIX = "crawl-operator.io/";

/** @param {import("./main.js").Stage} stage */
export function deadLetters(stage) {
  /** @type {import("./api.js").Item[]} */
  let here = [];
  const all = button("Requeue all that are shown", async () => {
    const failed = [];
    for (const namespace of new Set(here.map((item) => item.metadata.namespace))) {
      const ids = here.filter((item) => item.metadata.namespace === namespace).map((item) => item.metadata.name);
      failed.push(...(await call("POST", "v1/dead-letters/requeue", { query: { namespace }, body: { ids } })).failed);
    }
    const refused = failed.map(({ name, error }) => `${name}: ${error.message}`).join("; ");
    return `${here.length - failed.length} run again${refused && `; not so ${refused}`}`;
  });
  stage.main.append(h("p", { class: "buttons" }, all));
  return list(stage, {
    path: "v1/dead-letters",
    caption: "Dead letters, the newest first",
    filters: ["type", "priority"],
    columns: ["Name", "Why", "Since", "Attempts", ""],
    cells: (item) => [
      reason(item),
      time(item.metadata.annotations?.[`${PREFIX}dead-letter-at`] ?? item.status?.completedAt),
      (item.status?.retryCount ?? 0) + 1,
      requeue(item),
    ],
    shown: (items) => {
      here = items;
      all.hidden = items.length === 0;
    },
  });
}

/** @param {import("./api.js").Item} item */
function reason({ metadata, status = {} }) {
  return [metadata.annotations?.[`${PREFIX}dead-letter-reason`], status.lastError].filter(Boolean).join(": ");
}

/** @param {import("./api.js").Item} item */
function requeue(item) {
  return button(
    "Requeue",
    async () => {
      await call("POST", ...of("jobs", item, "requeue"));
      return `${item.metadata.name} runs again`;
    },
    { about: item.metadata.name },
  );
}
