/** One job: where it is and why, what happened, what went wrong, what came of it, and the levers. */

import { call, of } from "./api.js";
import { badge, bar, facts, fill, grid, h, time } from "./dom.js";
import { preview } from "./result.js";
import { button, complain, depart, say } from "./said.js";
import { seldom } from "./seldom.js";

/** @typedef {import("./api.js").Item} Item */

const OVER = new Set(["Completed", "PartialSuccess", "Failed", "DeadLetter", "Cancelled"]);
const REFRESH_MS = 300;
const LABEL_SCHEDULE = "crawl-operator.io/schedule";

/** @param {import("./main.js").Stage} stage */
export async function job({ main, path: [namespace = "", name = ""], signal, live }) {
  const item = { kind: "CrawlJob", metadata: { namespace, name }, spec: {} };
  const parts = ["summary", "timeline", "attempts", "errors", "result", "spec"].map((part) =>
    h("section", { "data-part": part }),
  );
  const [summary, timeline, attempts, errors, result, spec] = parts;
  const levers = h("p", { class: "buttons" });
  main.append(levers, ...parts);
  let ended = "";
  const load = async () => {
    const [path, where] = of("jobs", item);
    const [found, why] = await Promise.all([
      call("GET", path, { ...where, signal }),
      call("GET", of("jobs", item, "why")[0], { ...where, signal }),
    ]);
    const { status = {} } = found;
    fill(levers, buttons(found));
    fill(summary, ...told(found, why));
    fill(timeline, h("h2", {}, "Timeline"), moves(found));
    fill(attempts, h("h2", {}, "Attempts"), tries(status.attempts));
    fill(errors, h("h2", {}, "Errors"), troubles(status));
    fill(spec, h("h2", {}, "Specification"), h("pre", { tabindex: "0" }, JSON.stringify(found.spec, null, 2)));
    if (ended === (status.completedAt ?? "")) return;
    ended = status.completedAt ?? "";
    if (ended) await preview(result, item, signal);
    else fill(result);
  };
  await load();
  const anew = seldom(() => load().catch(complain), signal, REFRESH_MS);
  live({ name, namespace }, ({ type }) => {
    if (type !== "DELETED") return anew();
    fill(levers);
    say(`${name} has been deleted`);
  });
}

/** @param {Item} item */
function buttons(item) {
  const phase = item.status?.phase ?? "Pending";
  const name = item.metadata.name;
  /** @param {string} verb @param {string} words @param {object} [more] */
  const lever = (verb, words, more) =>
    button(
      verb,
      async () => {
        await call("POST", ...of("jobs", item, verb.toLowerCase()));
        return words;
      },
      more,
    );
  const remove = button(
    "Delete",
    async () => {
      await call("DELETE", ...of("jobs", item));
      depart("#/jobs", `${name} is deleted`);
    },
    { question: `Delete ${name}, its workers and its result?`, kind: "danger" },
  );
  if (OVER.has(phase)) return [lever("Requeue", `${name} runs again`), remove];
  const held = item.spec.suspend ? lever("Resume", `${name} goes on`) : lever("Suspend", `${name} is being held`);
  return [
    held,
    lever("Cancel", `${name} is being cancelled`, { question: `Cancel ${name} for good?`, kind: "danger" }),
    remove,
  ];
}

/** @param {Item} item @param {Record<string, any>} why */
function told({ metadata, spec, status = {} }, why) {
  const schedule = metadata.labels?.[LABEL_SCHEDULE];
  const waits =
    why.servedHigherInSeconds != null && `served one class higher in ${Math.round(why.servedHigherInSeconds)} s`;
  return [
    h("p", { class: "state" }, badge(status.phase ?? "Pending"), bar(status.progress)),
    h("p", { class: "why" }, why.text, waits && ` (${waits})`),
    facts([
      ["Display name", spec.displayName],
      ["Namespace", metadata.namespace],
      ["Type", spec.type],
      ["Priority", spec.priority],
      ["Schedule", schedule],
      ["Created", time(metadata.creationTimestamp)],
      ["Started", time(status.startedAt)],
      ["Ended", time(status.completedAt)],
      ["Duration", status.duration],
      ["Next attempt", time(status.nextRetryAt)],
      ["Worker", status.workerId],
      ["Pages", status.progress?.total ? `${status.progress.succeeded ?? 0} of ${status.progress.total}` : ""],
      ["Failed pages", status.progress?.failed || ""],
      ["UID", metadata.uid],
    ]),
  ];
}

/** @param {Item} item */
function moves({ metadata, status = {} }) {
  const history = /** @type {any[]} */ (status.history ?? []);
  const steps = history.map(({ to, reason, time: at }) => h("li", {}, time(at), " ", badge(to), ` ${reason}`));
  return h("ol", { class: "timeline" }, h("li", {}, time(metadata.creationTimestamp), " Created"), steps);
}

/** @param {any[]} [attempts] */
function tries(attempts = []) {
  if (!attempts.length) return "None yet.";
  const rows = attempts.map(({ number, worker, startedAt, finishedAt, outcome, cause, message }) => [
    number,
    worker,
    time(startedAt),
    time(finishedAt),
    outcome ? badge(outcome) : "runs",
    [cause, cause && message && ": ", message],
  ]);
  return grid("Attempts, the oldest first", ["Number", "Worker", "Started", "Ended", "Outcome", "Why"], rows);
}

/** @param {{errors?: any[], errorCount?: number}} status */
function troubles({ errors = [], errorCount = errors.length }) {
  if (!errors.length) return "None.";
  const rows = errors.map(({ code, message, url, attempt, time: at }) => [
    code,
    message,
    h("span", { class: "url" }, url),
    attempt,
    time(at),
  ]);
  const caption = errors.length < errorCount ? `${errors.length} of ${errorCount} errors` : "Errors, the oldest first";
  return grid(caption, ["Code", "What", "URL", "Attempt", "When"], rows);
}
