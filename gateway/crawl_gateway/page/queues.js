/** Queues: how many jobs of each class run and wait, and why the next one does. */

import { call, of } from "./api.js";
import { facts, fill, grid, h } from "./dom.js";
import { PHASES, PRIORITIES, link } from "./list.js";
import { numbers } from "./numbers.js";

/** @param {import("./main.js").Stage} stage */
export function queues(stage) {
  const { signal } = stage;
  return numbers(stage, async (main, found) => {
    const reasons = await Promise.all(
      PRIORITIES.map((priority) => found.queues[priority].waiting && next(priority, signal)),
    );
    const rows = PRIORITIES.map((priority, place) => {
      const { running, waiting } = found.queues[priority];
      return [priority, running, waiting, reasons[place] || ""];
    });
    const ms = found.processingMs;
    fill(
      main,
      grid("Classes, the most urgent first", ["Class", "Running", "Waiting", "Why the next one waits"], rows),
      h("h2", {}, "Jobs"),
      facts(/** @type {[string, string][]} */ (PHASES.map((phase) => [phase, String(found.jobs.byPhase[phase])]))),
      h("h2", {}, "Rates"),
      facts([
        ["Ended in the last minute", String(found.finished.minute)],
        ["Ended in the last hour", String(found.finished.hour)],
        ["Ended in the last day", String(found.finished.day)],
        ["Success", `${found.jobs.successRate} %`],
        ["Median time", ms.sample ? `${ms.p50} ms` : ""],
        ["99th percentile", ms.sample ? `${ms.p99} ms` : ""],
        ["Waits for an operator", found.oldestUnseenSeconds ? `${found.oldestUnseenSeconds} s` : ""],
      ]),
    );
  });
}

/** Why the oldest job of a class waits. @param {string} priority @param {AbortSignal} signal */
async function next(priority, signal) {
  const query = { phase: "Pending", priority, sort: "created", limit: 1 };
  const [item] = (await call("GET", "v1/jobs", { query, signal })).items;
  if (!item) return "";
  const [path, where] = of("jobs", item, "why");
  const why = await call("GET", path, { ...where, signal });
  return [h("a", { href: link(item) }, item.metadata.name), `: ${why.message || why.reason}`];
}
