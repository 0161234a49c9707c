/** Workers, as far as the jobs that are there tell. */

import { fill, grid, h, time } from "./dom.js";
import { link } from "./list.js";
import { numbers } from "./numbers.js";

/** @param {import("./main.js").Stage} stage */
export function workers(stage) {
  return numbers(stage, (main, { workers: { active, items } }) => {
    const rows = items.map(
      (/** @type {Record<string, any>} */ { workerId, job, namespace, lastSeen, processed, failed }) => [
        workerId,
        job ? h("a", { href: link(/** @type {any} */ ({ metadata: { namespace, name: job } })) }, job) : "",
        processed,
        failed,
        time(lastSeen),
      ],
    );
    fill(
      main,
      h("p", {}, `${active} at work now.`),
      grid("Workers, the last seen first", ["Worker", "Works on", "Jobs ended", "Of them failed", "Last seen"], rows),
    );
  });
}
