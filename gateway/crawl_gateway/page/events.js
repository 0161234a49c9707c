/** What happens, as the gateway tells it: server-sent events, read by fetch, for EventSource cannot send a token. */

import { Refused, ask } from "./api.js";

/** @typedef {{type: string, id: string, data: any}} Happening `type` is ADDED, MODIFIED, DELETED, RESET or READY. */

const SILENT_MS = 60_000; // the gateway says every 15 s that it is alive
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** Ends that no other try can mend. @type {Record<string, number>} */
const FINAL = { Unauthorized: 401, Forbidden: 403 };

/**
 * Follow what happens until the signal, and go on after each break from where it was.
 * @param {import("./api.js").Query} query kind, name, namespace, since.
 * @param {(event: Happening) => void} tell
 * @param {(live: boolean) => void} state
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 * @throws {Refused} the person may not, or not any longer.
 */
export async function follow(query, tell, state, signal) {
  let last = "";
  let wait = FIRST_WAIT_MS;
  /** @param {Happening} event */
  const note = (event) => {
    last = event.id || last;
    if (event.type === "ENDED") {
      const { code, message } = event.data;
      if (code in FINAL) throw new Refused(FINAL[code], message);
      return;
    }
    if (event.type === "READY") {
      wait = FIRST_WAIT_MS;
      state(true);
    }
    tell(event);
  };
  while (!signal.aborted) {
    await seen(signal);
    try {
      await once(last ? { ...query, since: "" } : query, last, note, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && !error.passing) throw error;
      if (error instanceof Refused && error.retryAfter) wait = Math.max(wait, error.retryAfter * 1000);
    }
    if (signal.aborted) return;
    state(false);
    await pause(wait, signal);
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
}

/**
 * Read one stream to its end; it is ended here where it says nothing for long, or nobody looks.
 * @param {import("./api.js").Query} query
 * @param {string} last
 * @param {(event: Happening) => void} note
 * @param {AbortSignal} signal
 */
async function once(query, last, note, signal) {
  const enough = new AbortController();
  const hidden = () => {
    if (document.hidden) enough.abort();
  };
  const ended = AbortSignal.any([signal, enough.signal]);
  let alarm = setTimeout(() => enough.abort(), SILENT_MS);
  document.addEventListener("visibilitychange", hidden, { signal: ended });
  try {
    const answer = await ask("GET", "v1/events", {
      query,
      headers: last ? { "Last-Event-ID": last } : {},
      signal: ended,
    });
    /** @type {Record<string, string>} */
    let fields = {};
    for await (const line of lines(answer)) {
      clearTimeout(alarm);
      alarm = setTimeout(() => enough.abort(), SILENT_MS);
      if (line) {
        const at = line.indexOf(":");
        fields[line.slice(0, at)] = line.slice(at + 1).trimStart();
      } else {
        const { event, id = "", data = "{}" } = fields;
        fields = {};
        if (event) note({ type: event, id, data: JSON.parse(data) });
      }
    }
  } finally {
    clearTimeout(alarm);
    enough.abort(); // closes the connection also where `note` has thrown
  }
}

/**
 * The lines of an answer, as they come.
 * @param {Response} answer
 * @returns {AsyncGenerator<string>}
 */
export async function* lines(answer) {
  const chunks = /** @type {ReadableStream<BufferSource>} */ (answer.body)
    .pipeThrough(new TextDecoderStream())
    .getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await chunks.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = /** @type {string} */ (parts.pop());
      yield* parts;
    }
    if (rest) yield rest;
  } finally {
    await chunks.cancel().catch(() => {});
  }
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

/**
 * Wait until the page is looked at: one in the background holds no connection.
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function seen(signal) {
  return new Promise((resolve) => {
    const look = () => {
      if (!document.hidden || signal.aborted) resolve();
    };
    document.addEventListener("visibilitychange", look, { signal });
    signal.addEventListener("abort", look, { once: true });
    look();
  });
}
