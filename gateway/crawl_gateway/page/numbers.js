/** Views of the statistics, which are counted anew when something has happened. */

import { call } from "./api.js";
import { h } from "./dom.js";
import { complain } from "./said.js";
import { seldom } from "./seldom.js";

const REFRESH_MS = 2000;

/**
 * @param {import("./main.js").Stage} stage
 * @param {(main: Element, found: Record<string, any>) => Promise<void> | void} show
 */
export async function numbers({ main, signal, live }, show) {
  const place = h("div");
  main.append(place);
  const load = async () => show(place, await call("GET", "v1/statistics", { signal }));
  await load();
  live(
    {},
    seldom(() => load().catch(complain), signal, REFRESH_MS),
  );
}
