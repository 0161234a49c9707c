/** A list of jobs that stays up to date: filters, rows, pages. Jobs and dead letters are such lists. */

import { call, session } from "./api.js";
import { choice, h, keep, line, table, write } from "./dom.js";
import { LIMIT, pager } from "./paging.js";
import { complain } from "./said.js";
import { seldom } from "./seldom.js";

/** @typedef {import("./api.js").Item} Item */
/** @typedef {import("./dom.js").Child} Child */

export const PHASES = [
  "Pending",
  "Delayed",
  "Suspended",
  "Processing",
  "Retry",
  "Completed",
  "PartialSuccess",
  "Failed",
  "DeadLetter",
  "Cancelled",
];
export const TYPES = ["Single", "Batch", "Site", "Pdf", "Maintenance", "Custom"];
export const PRIORITIES = ["Critical", "High", "Normal", "Low"];
const TYPING_MS = 300;

/** Words of each filter; one without takes any text. @type {Record<string, [string, string[]?]>} */
const FILTERS = {
  phase: ["Phase", PHASES],
  type: ["Type", TYPES],
  priority: ["Priority", PRIORITIES],
  schedule: ["Schedule"],
};

/** The address of a job's view. @param {Item} item */
export function link(item) {
  const { namespace, name } = item.metadata;
  return `#/job/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

/** What a job fetches, shortly. @param {Record<string, any>} spec */
export function target(spec) {
  const member = spec[String(spec.type).toLowerCase()] ?? {};
  const [first, ...others] = member.urls ?? member.startUrls ?? [member.url ?? member.task ?? member.processor];
  return `${first ?? ""}${others.length ? ` and ${others.length} more` : ""}`;
}

/**
 * Show such a list.
 * @param {import("./main.js").Stage} stage
 * @param {object} how
 * @param {string} how.path of the API.
 * @param {string} how.caption
 * @param {string[]} how.filters names of `FILTERS`.
 * @param {string[]} how.columns the first one is the job's name.
 * @param {(item: Item) => (Child | Child[])[]} how.cells those of the other columns.
 * @param {(items: Item[]) => void} [how.shown] is told what is there.
 */
export async function list(
  { main, params, signal, remember, live },
  { path, caption, filters, columns, cells, shown },
) {
  let offset = Number(params.get("offset")) || 0;
  const search = h("input", {
    type: "search",
    name: "search",
    value: params.get("search"),
    placeholder: "name or URL",
    maxlength: 500,
    size: 16,
  });
  const form = h(
    "form",
    { class: "inline", role: "search", "aria-label": caption },
    h("label", {}, "Search ", search),
    filters.map((name) => filter(name, params.get(name) ?? "")),
  );
  const rows = table(caption, columns);
  const pages = pager((to) => {
    offset = to;
    refresh();
  });
  main.append(form, rows.element, pages.element);

  /** @type {Map<string, HTMLTableRowElement>} */
  const there = new Map();
  const asked = () => /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
  const put = (/** @type {HTMLTableRowElement} */ row, /** @type {Item} */ item) =>
    write(row, columns, [name(item), ...cells(item)]);
  let turn = 0;
  let since = "";
  const load = async () => {
    const own = ++turn;
    const query = { ...asked(), offset: offset || "", limit: LIMIT };
    const page = await call("GET", path, { query, signal });
    if (own !== turn) return; // another one, asked later, was answered sooner
    since = page.resourceVersion;
    if (!page.items.length && offset) {
      offset = Math.max(0, Math.floor((page.total - 1) / LIMIT) * LIMIT);
      return load();
    }
    remember({ ...asked(), offset: offset ? String(offset) : "" });
    keep(rows.body, page.items, (item) => item.metadata.uid, line, put);
    there.clear();
    for (const row of rows.body.rows) there.set(row.dataset.key ?? "", row);
    pages.show(offset, page.items.length, page.total);
    shown?.(page.items);
  };
  const refresh = () => load().catch(complain);
  const anew = seldom(refresh, signal);
  const again = () => {
    offset = 0;
    refresh();
  };
  let typing = 0;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    again();
  });
  form.addEventListener("change", again);
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(again, TYPING_MS);
  });

  await load();
  live({ since }, ({ type, data }) => {
    if (type === "READY") return; // the stream has begun where the list ended
    const row = there.get(data.metadata?.uid);
    if (row && type === "MODIFIED") put(row, data);
    if (!row || type !== "MODIFIED" || filters.some((each) => asked()[each])) anew();
  });
}

/** @param {Item} item */
function name(item) {
  return [h("a", { href: link(item) }, item.metadata.name), ...beside(item)];
}

/** What is told beside a name. @param {Item} item */
export function beside({ metadata, spec }) {
  return [
    spec.displayName && h("small", {}, spec.displayName),
    session.namespace === "*" && h("small", {}, metadata.namespace),
  ];
}

/** @param {string} name @param {string} given */
function filter(name, given) {
  const [label, words] = FILTERS[name];
  const control = words
    ? choice(name, words, given, "all")
    : h("input", { name, value: given, size: 10, placeholder: "all" });
  return h("label", {}, `${label} `, control);
}
