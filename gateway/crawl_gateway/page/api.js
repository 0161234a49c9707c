/** The gateway's API: who asks, in which namespace, and refusals as errors that can be read. */

/** @typedef {Record<string, any>} Json */
/** @typedef {{kind: string, metadata: Json, spec: Json, status?: Json}} Item a job or a schedule. */
/** @typedef {Record<string, string | number | undefined>} Query */

const TOKEN = "crawls.token";
const NAMESPACE = "crawls.namespace";

/** What the person has told; it ends with the tab. */
export const session = {
  get token() {
    return sessionStorage.getItem(TOKEN) ?? "";
  },
  set token(/** @type {string} */ text) {
    keep(TOKEN, text);
  },
  /** "" is the gateway's default, "*" all. */
  get namespace() {
    return sessionStorage.getItem(NAMESPACE) ?? "";
  },
  set namespace(/** @type {string} */ text) {
    keep(NAMESPACE, text);
  },
};

/** A request that was not done, and why. */
export class Refused extends Error {
  /**
   * @param {number} status 0: nobody answered.
   * @param {string} message a sentence for people.
   * @param {string[]} details one sentence for each thing that is wrong.
   * @param {number} retryAfter seconds; 0: unknown.
   */
  constructor(status, message, details = [], retryAfter = 0) {
    super(message);
    this.status = status;
    this.details = details;
    this.retryAfter = retryAfter;
  }

  /** Whether another try, a moment later, may go well. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * Make a request and return its answer, whose body has not been read.
 * @param {string} method
 * @param {string} path relative to the page, such as `v1/jobs`.
 * @param {{query?: Query, body?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} [more]
 * @returns {Promise<Response>}
 * @throws {Refused}
 */
export async function ask(method, path, { query = {}, body, headers = {}, signal } = {}) {
  const asked = Object.entries({ namespace: session.namespace, ...query }).filter(([, value]) => value);
  const url = `${path}?${new URLSearchParams(asked.map(([name, value]) => [name, String(value)]))}`;
  const sent = { ...headers };
  if (session.token) sent.Authorization = `Bearer ${session.token}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const answer = await fetch(url, {
    method,
    headers: sent,
    signal,
    cache: "no-store",
    body: body === undefined ? undefined : JSON.stringify(body),
  }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new Refused(0, "The gateway cannot be reached.");
  });
  if (!answer.ok) throw await refusal(answer, signal);
  return answer;
}

/**
 * Make a request and return the JSON of its answer; null where there is none.
 * @param {string} method
 * @param {string} path
 * @param {Parameters<typeof ask>[2]} [more]
 * @returns {Promise<any>}
 */
export async function call(method, path, more) {
  const answer = await ask(method, path, more);
  return answer.status === 204 ? null : answer.json();
}

/**
 * The path of one object, and the query that says where it is.
 * @param {"jobs" | "schedules"} kind
 * @param {Item} item
 * @param {string} [verb] such as `cancel`.
 * @returns {[string, {query: Query}]}
 */
export function of(kind, item, verb = "") {
  const { name, namespace } = item.metadata;
  return [`v1/${kind}/${encodeURIComponent(name)}${verb && `/${verb}`}`, { query: { namespace } }];
}

/** @param {Response} answer @param {AbortSignal} [signal] */
async function refusal(answer, signal) {
  const { error = {} } = await answer.json().catch((failure) => {
    if (signal?.aborted) throw failure; // nobody waits for it any more
    return {};
  });
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  return new Refused(answer.status, error.message || `${answer.status} ${answer.statusText}`, error.details, wait);
}

/** @param {string} name @param {string} text */
function keep(name, text) {
  if (text) sessionStorage.setItem(name, text);
  else sessionStorage.removeItem(name);
}
