/** A form that makes a job. What it does not ask for has defaults. */

import { call } from "./api.js";
import { choice, field, h } from "./dom.js";
import { PRIORITIES, link } from "./list.js";
import { attempt, depart } from "./said.js";

/** What a type does with URLs. @type {Record<string, (urls: string[]) => Record<string, unknown>>} */
const MEMBERS = {
  Single: ([url]) => ({ url }),
  Batch: (urls) => ({ urls }),
  Site: (startUrls) => ({ startUrls }),
  Pdf: (urls) => ({ urls }),
};

/** @param {import("./main.js").Stage} stage */
export async function submit({ main }) {
  const urls = h("textarea", {
    name: "urls",
    rows: 4,
    required: true,
    spellcheck: "false",
    autocapitalize: "none",
    placeholder: "https://example.org/",
  });
  const type = choice("type", Object.keys(MEMBERS), "Single");
  const send = h("button", { class: "main" }, "Submit");
  const form = h(
    "form",
    { class: "narrow" },
    field("URLs", urls, "One on each line."),
    field("Type", type, "Single: one page. Batch: these pages. Site: follow links from them. Pdf: these files."),
    field("Priority", choice("priority", PRIORITIES, "Normal")),
    field(
      "Name",
      h("input", { name: "name", maxlength: 63, autocapitalize: "none", spellcheck: "false" }),
      "Empty: it is given one.",
    ),
    field("Display name", h("input", { name: "displayName", maxlength: 253 })),
    send,
  );
  const key = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
  let once = key();
  form.addEventListener("input", () => {
    once = key();
  }); // another request; the same one again makes no second job
  urls.addEventListener("input", () => {
    if (type.value === "Single" && listed(urls.value).length > 1) type.value = "Batch";
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(send, async () => {
      const made = await call("POST", "v1/jobs", {
        body: wanted(new FormData(form)),
        headers: { "Idempotency-Key": once },
      });
      depart(link(made), `${made.metadata.name} is submitted`);
    });
  });
  main.append(form);
}

/** @param {FormData} given */
function wanted(given) {
  const { urls, type, priority, name, displayName } = /** @type {Record<string, string>} */ (Object.fromEntries(given));
  const spec = {
    type,
    [type.toLowerCase()]: MEMBERS[type](listed(urls)),
    priority,
    ...(displayName && { displayName }),
  };
  return { metadata: name ? { name } : {}, spec };
}

/** @param {string} text */
function listed(text) {
  return text.split(/\s+/).filter(Boolean);
}
