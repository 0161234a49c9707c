/** Elements made of data. Texts stay texts: nothing here, nor anywhere in this page, reads HTML. */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [given] attributes, true and false for those without a value; a function listens to the
 *   event of its name.
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, String(value));
  }
  made.append(...shown(children));
  return made;
}

/**
 * Have an element hold these children. If it holds the same already they stay, with selection and focus; else the focus
 * goes to the first control of the new ones.
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function fill(parent, ...children) {
  const next = /** @type {Element} */ (parent.cloneNode(false));
  next.append(...shown(children));
  if (parent.isEqualNode(next)) return;
  const inside = parent !== document.activeElement && parent.contains(document.activeElement);
  parent.replaceChildren(...next.childNodes);
  if (inside)
    /** @type {HTMLElement | null} */ (parent.querySelector("a[href], button, input, select, summary"))?.focus();
}

/** @param {(Child | Child[])[]} children @returns {(Node | string)[]} */
function shown(children) {
  return children
    .flat()
    .filter((each) => each != null && each !== false && each !== "")
    .map((each) => (each instanceof Node ? each : String(each)));
}

/**
 * Keep the children of a parent in step with items: the element of an item stays the same one, with the focus in it.
 * @template I
 * @param {Element} parent
 * @param {I[]} items
 * @param {(item: I) => string} key
 * @param {() => Element} make
 * @param {(element: any, item: I) => void} write
 */
export function keep(parent, items, key, make, write) {
  const known = new Map([...parent.children].map((each) => [/** @type {HTMLElement} */ (each).dataset.key, each]));
  items.forEach((item, place) => {
    const name = key(item);
    const element = /** @type {HTMLElement} */ (known.get(name) ?? make());
    element.dataset.key = name;
    known.delete(name);
    write(element, item);
    if (parent.children[place] !== element) parent.insertBefore(element, parent.children[place] ?? null);
  });
  for (const gone of known.values()) gone.remove();
}

/**
 * A table; on a narrow screen each row is a card, whose cells say their column.
 * @param {string} caption
 * @param {string[]} columns
 * @returns {{element: HTMLElement, body: HTMLTableSectionElement}}
 */
export function table(caption, columns) {
  const body = h("tbody", { role: "rowgroup" }); // roles, for as cards these are no tables to the browser
  const heads = columns.map((name) => h("th", { scope: "col", role: "columnheader" }, name));
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads));
  const element = h("table", { role: "table" }, h("caption", {}, caption), head, body);
  return { element: h("div", { class: "scroll" }, element), body };
}

/** A row without cells. */
export function line() {
  return h("tr", { role: "row" });
}

/**
 * Write a row of such a table; the first cell is its head.
 * @param {HTMLTableRowElement} row
 * @param {string[]} columns
 * @param {(Child | Child[])[]} cells
 */
export function write(row, columns, cells) {
  if (!row.children.length) {
    const head = h("th", { scope: "row", role: "rowheader" });
    row.append(head, ...columns.slice(1).map((name) => h("td", { role: "cell", "data-column": name })));
  }
  cells.forEach((cell, place) => fill(row.children[place], cell));
}

/**
 * A whole table at once.
 * @param {string} caption
 * @param {string[]} columns
 * @param {(Child | Child[])[][]} rows
 */
export function grid(caption, columns, rows) {
  const made = table(caption, columns);
  for (const cells of rows) {
    const row = line();
    write(row, columns, cells);
    made.body.append(row);
  }
  return made.element;
}

/** Names and values; those without a value are left out. @param {[string, Child | Child[]][]} facts */
export function facts(facts) {
  const told = facts.filter(([, value]) => value != null && value !== "" && value !== false);
  return h(
    "dl",
    {},
    told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** A labelled control. @param {string} label @param {Element} control @param {string} [hint] */
export function field(label, control, hint = "") {
  return h("label", { class: "field" }, h("span", {}, label), control, hint && h("small", {}, hint));
}

/** @param {string} name @param {string[]} words @param {string} chosen @param {string} [none] what no choice is. */
export function choice(name, words, chosen, none) {
  const options = words.map((word) => h("option", { value: word, selected: word === chosen }, word));
  return h("select", { name }, none !== undefined && h("option", { value: "" }, none), options);
}

/** A moment, in the words of the reader's country. @param {string | null | undefined} text */
export function time(text) {
  if (!text) return "";
  const words = new Date(text).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
  return h("time", { datetime: text, title: text }, words);
}

/** Where a job stands. @param {string} phase */
export function badge(phase) {
  return h("span", { class: `badge ${phase}` }, phase);
}

/** @param {Record<string, any>} [progress] */
export function bar(progress = {}) {
  const { percent = 0, total = 0, succeeded = 0, failed = 0 } = progress;
  const label = `${percent} %`;
  const pages = total ? `${label}, ${succeeded} of ${total} pages${failed ? `, ${failed} failed` : ""}` : label;
  return h(
    "span",
    { class: "bar" },
    h("progress", { max: 100, value: percent, "aria-label": pages }),
    h("span", { "aria-hidden": "true" }, label),
  );
}
