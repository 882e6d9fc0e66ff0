// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// The frame of every task with one request and one answer: fields, a button, the result, the code.

import { codeCard, costs, failureCard } from "./cards.js";
import { el } from "./dom.js";
import { t } from "./language.js";

/**
 * Make a view. `fields` are {name, label, sample, rows}; `request` turns their values into
 * {method, path, body}, `draw` an answer's body into nodes.
 */
export function workbench(api, { fields, button, request, draw }) {
  const inputs = fields.map(({ name, sample, rows = 1 }) =>
    el("textarea", { name, rows, required: true, "data-sample": sample, spellcheck: "false" }));
  const runButton = el("button", { class: "primary run", "data-text": button });
  const stopButton = el("button", { type: "button", class: "stop", "data-text": "stop", hidden: true });
  const form = el("form", { class: "card form", "data-label": "input", onsubmit: submit, onkeydown: shortcut },
    fields.map(({ label }, index) =>
      el("label", {}, el("span", { "data-text": label }), inputs[index])),
    el("div", { class: "actions" }, runButton, stopButton, el("kbd", { "data-text": "hint_run" })));
  const result = el("section", { class: "card result", "data-label": "result", "aria-live": "polite" });
  const code = el("div", { class: "below" });
  const root = el("div", { class: "bench" }, form, result, code);
  let last;

  stopButton.addEventListener("click", () => last?.controller.abort());

  async function submit(event) {
    event?.preventDefault();
    if (last?.running) return;
    const values = Object.fromEntries(inputs.map((input) => [input.name, input.value]));
    last = { values, request: request(values), controller: new AbortController(), running: true };
    redraw();
    const mine = last;
    try {
      const { method, path, body } = mine.request;
      mine.answer = await api.send(method, path, body, mine.controller.signal);
    } catch (error) {
      if (error.name === "AbortError") last = undefined;
      else mine.error = error;
    }
    mine.running = false;
    redraw();
  }

  function shortcut(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  }

  function redraw() {
    const running = Boolean(last?.running);
    runButton.disabled = running;
    stopButton.hidden = !running;
    result.setAttribute("aria-busy", String(running));
    result.replaceChildren(...content());
    code.replaceChildren(...(last && !running ? [codeCard(last.request, api.signedIn)] : []));
  }

  function content() {
    if (!last) return [el("p", { class: "empty" }, t("result_empty"))];
    if (last.running) return [el("p", { class: "empty" }, t("running"))];
    if (last.error) return [failureCard(last.error, () => submit())];
    return [...draw(last.answer.content, last.values), costs(last.answer)];
  }

  return { root, redraw };
}

/** The lines of a text that hold something. */
export const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
