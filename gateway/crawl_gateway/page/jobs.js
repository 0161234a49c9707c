/** All jobs, with live progress. */

import { badge, bar, h, time } from "./dom.js";
import { list, target } from "./list.js";

/** @param {import("./main.js").Stage} stage */
export function jobs(stage) {
  return list(stage, {
    path: "v1/jobs",
    caption: "Jobs, the newest first",
    filters: ["phase", "type", "priority", "schedule"],
    columns: ["Name", "Phase", "Progress", "Priority", "What", "Created"],
    cells: ({ metadata, spec, status = {} }) => [
      badge(status.phase ?? "Pending"),
      bar(status.progress),
      spec.priority,
      h("span", { class: "url" }, `${spec.type}: ${target(spec)}`),
      time(metadata.creationTimestamp),
    ],
  });
}
