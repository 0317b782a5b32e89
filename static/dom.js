// Making and changing elements. Data become text here and nowhere else, and never markup.

/**
 * An element: `make("a", { href: "#/", class: "quiet" }, "text", child, …)`. What is null or false is left
 * out; `on` holds listeners.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Changes a text only if it differs, so that nothing is read aloud or selected anew. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/** Says something to people who use a screen reader. */
export function announce(text) {
  byId("announce").textContent = text;
}

/** What stands in for trouble with the server, at the top; empty when all is well. */
export function showTrouble(text) {
  setText(byId("trouble"), text);
}

/** Shows `text` in a box for messages, or hides the box. */
export function showNotice(element, text) {
  setText(element, text ?? "");
  setHidden(element, !text);
}

/**
 * Makes the children of `parent` those of `items`. A child stays itself (with its focus) as long as its
 * item has the same key, and is made anew only when the item has changed.
 */
export function reconcile(parent, items, keyOf, makeChild) {
  const known = parent.reconciled ?? new Map();
  const next = new Map();
  for (const item of items) {
    const [key, text] = [keyOf(item), JSON.stringify(item)];
    const old = known.get(key);
    if (old?.text === text) {
      next.set(key, old);
    } else {
      const child = makeChild(item);
      if (old) replaceKeepingFocus(old.child, child);
      next.set(key, { text, child });
    }
  }
  for (const [key, { child }] of known) if (!next.has(key)) child.remove();
  inOrder(parent, [...next.values()].map(({ child }) => child));
  parent.reconciled = next;
}

/** Puts children in their order, touching only those that are out of it. */
export function inOrder(parent, children) {
  let place = parent.firstChild;
  for (const child of children) {
    if (child === place) place = place.nextSibling;
    else parent.insertBefore(child, place);
  }
}

function replaceKeepingFocus(old, fresh) {
  const controls = (element) => [...element.querySelectorAll("a, button")];
  const focused = controls(old).indexOf(document.activeElement);
  old.replaceWith(fresh);
  if (focused >= 0) controls(fresh)[focused]?.focus({ preventScroll: true });
}

/** A button that copies a text. */
export function copyButton(text, what) {
  const label = make("span", {}, "Copy");
  const copy = async () => {
    setText(label, (await copyText(typeof text === "function" ? text() : text)) ? "Copied" : "Select it");
    announce(`${what}: ${label.textContent}`);
    setTimeout(() => setText(label, "Copy"), 2000);
  };
  return make("button", { type: "button", class: "copy", on: { click: copy } }, label,
    make("span", { class: "unseen" }, ` ${what}`));
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have no clipboard for pages that come by plain http from elsewhere.
    const field = make("textarea", { class: "unseen", readonly: true, "aria-hidden": "true" });
    field.value = text;
    const focused = document.activeElement;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    focused?.focus();
    return copied;
  }
}

/** A table with its roles spelt out: narrow windows show it as blocks, which would take them away. */
export function table(caption, heads, body) {
  const head = heads.map((name) => make("th", { scope: "col", role: "columnheader" }, name));
  return make("table", { role: "table" },
    make("caption", { class: "unseen" }, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...head)),
    body);
}

export function tableRow(heads, cells) {
  const cell = (content, at) => make("td", { role: "cell", "data-head": heads[at] }, content);
  return make("tr", { role: "row" }, ...cells.map(cell));
}
