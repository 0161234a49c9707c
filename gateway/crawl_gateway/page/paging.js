/** Which part of a list is shown, and steps to the others. */

import { fill, h } from "./dom.js";

export const LIMIT = 25;

/**
 * Steps through a list.
 * @param {(offset: number) => void} go
 */
export function pager(go) {
  let at = 0;
  let all = 0;
  /** @param {number} step */
  const move = (step) => {
    const to = at + step * LIMIT;
    if (to >= 0 && to < all) go(to);
  };
  const back = h("button", { type: "button", click: () => move(-1) }, "Newer");
  const on = h("button", { type: "button", click: () => move(1) }, "Older");
  const words = h("span", { role: "status" });
  return {
    element: h("nav", { class: "pager", "aria-label": "Pages" }, back, words, on),
    /** @param {number} offset @param {number} count @param {number} total */
    show(offset, count, total) {
      [at, all] = [offset, total];
      const text = total ? `${offset + 1} to ${offset + count} of ${total}` : "none";
      if (words.textContent !== text) fill(words, text);
      back.ariaDisabled = String(offset === 0);
      on.ariaDisabled = String(offset + LIMIT >= total);
    },
  };
}
