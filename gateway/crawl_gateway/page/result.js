/** A result: its file, and its first records. They are what strangers' pages say: texts, whatever they look like. */

import { Refused, ask, call, of } from "./api.js";
import { facts, fill, h, time } from "./dom.js";
import { lines } from "./events.js";
import { button } from "./said.js";

const FIRST = 10;
const LONGEST = 4000;
const KEPT_MS = 60_000;

/**
 * Show what came of a job.
 * @param {Element} section
 * @param {import("./api.js").Item} item
 * @param {AbortSignal} signal
 */
export async function preview(section, item, signal) {
  const head = h("h2", {}, "Result");
  try {
    const [path, where] = of("jobs", item, "result");
    const found = await call("GET", path, { ...where, signal });
    const about = facts([
      ["Success", found.success ? "yes" : "no"],
      ["Error", found.error],
      ["Records", found.items],
      ["Bytes", found.bytes],
      ["Took", found.processingTimeMs != null && `${found.processingTimeMs} ms`],
      ["Ended", time(found.completedAt)],
      ["SHA-256", found.sha256],
    ]);
    const buttons = found.url && h("p", { class: "buttons" }, button("Save the file", () => save(item)));
    fill(section, head, about, buttons, ...(found.items ? await records(item, found.items, signal) : []));
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refused)) throw error;
    fill(section, head, h("p", {}, error.message));
  }
}

/**
 * Save the file of a result, as it is stored. A link would not say who asks.
 * @param {import("./api.js").Item} item
 */
async function save(item) {
  const answer = await ask("GET", ...of("jobs", item, "file"));
  const [, name = ""] = (answer.headers.get("Content-Disposition") ?? "").split("''");
  const file = decodeURIComponent(name) || item.metadata.name;
  const url = URL.createObjectURL(await answer.blob());
  h("a", { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS); // not before the browser has taken it
  return `${file} is saved`;
}

/**
 * The first records, or why they are not shown.
 * @param {import("./api.js").Item} item
 * @param {number} count how many there are.
 * @param {AbortSignal} signal
 * @returns {Promise<Element[]>}
 */
async function records(item, count, signal) {
  const found = [];
  try {
    const [path, where] = of("jobs", item, "records");
    for await (const line of lines(await ask("GET", path, { ...where, signal }))) {
      found.push(shown(JSON.parse(line)));
      if (found.length === FIRST) break; // which ends the request
    }
  } catch (error) {
    if (signal.aborted || !(error instanceof Refused)) throw error;
    return [h("p", {}, error.message)];
  }
  const more = `These are the first ${found.length} of ${count} records.`;
  return count > found.length ? [...found, h("p", { class: "note" }, more)] : found;
}

/** @param {Record<string, any>} record */
function shown(record) {
  const text = JSON.stringify(record, null, 2);
  const title = record.title || record.url;
  return h(
    "details",
    { class: "record" },
    h(
      "summary",
      {},
      h("span", {}, title),
      title !== record.url && h("small", { class: "url" }, record.url),
      record.error && h("small", { class: "bad" }, record.error.code),
    ),
    h("pre", { tabindex: "0" }, text.length > LONGEST ? `${text.slice(0, LONGEST)}\n…` : text),
  );
}
