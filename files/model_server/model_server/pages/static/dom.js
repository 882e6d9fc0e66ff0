// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Elements. Text becomes a text node, never markup: what a user or a model wrote cannot act.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: attributes, `on…` listeners, then children (nodes or texts; null is skipped). */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** Make an element of SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** Make a button that copies what `read` returns, and says so for a moment. */
export function copyButton(read, label, done) {
  const button = el("button", { type: "button" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(read());
    } catch {
      copyBySelection(read());
    }
    button.textContent = done;
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}

/** Without TLS a browser offers no clipboard; a selection can still be copied. */
function copyBySelection(text) {
  const area = el("textarea", { class: "hidden", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

let tabSets = 0;

/** Make tabs: `items` are {label, panel}; arrow keys move between them. */
export function tabs(label, items, onselect = () => {}) {
  const set = ++tabSets;
  const buttons = items.map(({ label: text }, index) =>
    el("button", {
      type: "button", role: "tab", id: `tab-${set}-${index}`,
      "aria-controls": `panel-${set}-${index}`, onclick: () => select(index),
    }, text));
  const panels = items.map(({ panel }, index) =>
    el("div", {
      role: "tabpanel", id: `panel-${set}-${index}`, "aria-labelledby": `tab-${set}-${index}`,
    }, panel));
  const list = el("div", { role: "tablist", "aria-label": label, onkeydown: move }, buttons);

  function select(chosen) {
    buttons.forEach((button, index) => {
      button.setAttribute("aria-selected", String(index === chosen));
      button.tabIndex = index === chosen ? 0 : -1;
      panels[index].hidden = index !== chosen;
    });
    onselect(chosen);
  }

  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (buttons.indexOf(event.target) + step + buttons.length) % buttons.length;
    select(next);
    buttons[next].focus();
  }

  return { list, panels, select };
}
