// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Chat: a conversation whose answers appear as they are made.

import { codeCard, facts, failureCard } from "./cards.js";
import { el } from "./dom.js";
import { number, t } from "./language.js";

/** View of a model that chats. */
export function chatView(api, model) {
  const turns = [];
  let pending;

  const message = el("textarea", { name: "message", rows: 3, required: true, "data-sample": "chat_sample" });
  const system = el("textarea", { name: "system", rows: 2 });
  const maxTokens = el("input", { name: "max_tokens", type: "number", min: 1, "data-placeholder": "chat_default" });
  const temperature = el("input", { name: "temperature", type: "number", min: 0, max: 2, step: 0.1, "data-placeholder": "chat_default" });
  const sendButton = el("button", { class: "primary run", "data-text": "chat_send" });
  const stopButton = el("button", { type: "button", class: "stop", "data-text": "stop", hidden: true, onclick: () => pending?.abort() });
  const newButton = el("button", { type: "button", "data-text": "chat_new", onclick: restart });
  const field = (label, input) => el("label", {}, el("span", { "data-text": label }), input);
  const form = el("form", { class: "card form", "data-label": "input", onsubmit: submit, onkeydown: shortcut },
    field("chat_message", message),
    el("div", { class: "actions" }, sendButton, stopButton, newButton, el("kbd", { "data-text": "hint_run" })),
    el("details", {}, el("summary", { "data-text": "chat_options" }),
      field("chat_system", system), el("p", { class: "note", "data-text": "chat_system_note" }),
      field("chat_max_tokens", maxTokens), field("chat_temperature", temperature)));
  const log = el("section", { class: "card result log", role: "log", tabindex: "0", "data-label": "chat_log" });
  const code = el("div", { class: "below" });
  const root = el("div", { class: "bench" }, form, log, code);

  function request() {
    const messages = turns.filter((turn) => turn.text).map(({ role, text }) => ({ role, content: text }));
    if (system.value.trim()) messages.unshift({ role: "system", content: system.value.trim() });
    const body = { model: model.id, messages, stream: true, stream_options: { include_usage: true } };
    if (maxTokens.value) body.max_tokens = Number(maxTokens.value);
    if (temperature.value) body.temperature = Number(temperature.value);
    return { method: "POST", path: "/v1/chat/completions", body };
  }

  async function submit(event) {
    event.preventDefault();
    if (pending) return;
    // A failed question is asked anew, not twice.
    if (turns.at(-1)?.error) turns.splice(-2);
    turns.push({ role: "user", text: message.value });
    const sent = request();
    message.value = "";
    await answer(sent);
  }

  async function answer(sent) {
    const turn = { role: "assistant", text: "", chunks: 0, request: sent };
    turns.push(turn);
    pending = new AbortController();
    redraw();
    const began = performance.now();
    try {
      for await (const chunk of api.stream(sent.path, sent.body, pending.signal)) {
        take(turn, chunk, performance.now() - began);
      }
    } catch (error) {
      if (error.name === "AbortError") turn.stopped = true;
      else turn.error = error;
    }
    pending = undefined;
    redraw();
  }

  function take(turn, chunk, elapsed) {
    if (chunk.usage) turn.tokens = chunk.usage.completion_tokens;
    for (const { delta, finish_reason: reason } of chunk.choices) {
      if (reason) turn.finishReason = reason;
      if (!delta.content) continue;
      turn.first ??= elapsed;
      turn.last = elapsed;
      turn.chunks += 1;
      turn.text += delta.content;
    }
    redrawLast();
  }

  function retry() {
    const { request: sent } = turns.pop();
    answer(sent);
  }

  function restart() {
    pending?.abort();
    turns.length = 0;
    redraw();
    message.focus();
  }

  function shortcut(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  }

  function redraw() {
    sendButton.disabled = Boolean(pending);
    stopButton.hidden = !pending;
    log.setAttribute("aria-busy", String(Boolean(pending)));
    log.replaceChildren(...(turns.length ? turns.map(drawTurn) : [el("p", { class: "empty" }, t("chat_empty"))]));
    log.scrollTop = log.scrollHeight;
    const last = turns.findLast((turn) => turn.request);
    code.replaceChildren(...(last && !pending ? [codeCard(last.request, api.signedIn)] : []));
  }

  /** While an answer grows only its own text changes, so that a reader's selection survives. */
  function redrawLast() {
    const follow = log.scrollTop + log.clientHeight > log.scrollHeight - 40;
    log.lastElementChild.replaceWith(drawTurn(turns.at(-1)));
    if (follow) log.scrollTop = log.scrollHeight;
  }

  function drawTurn(turn) {
    const waiting = pending && turn === turns.at(-1);
    return el("article", { class: `turn ${turn.role}${waiting ? " waiting" : ""}` },
      el("h3", {}, t(turn.role === "user" ? "chat_you" : "chat_model")),
      el("p", { class: "text" }, turn.text),
      turn.role === "assistant" && !turn.error ? speed(turn) : null,
      turn.error ? failureCard(turn.error, retry) : null);
  }

  return { root, redraw };
}

/** Time to the first token, and tokens a second after it; one chunk counts as one token until the
 * service has told its count. */
function speed({ first, last, chunks, tokens, stopped, finishReason }) {
  const count = tokens ?? chunks;
  const seconds = (last - first) / 1000;
  return facts([
    first !== undefined && t("chat_first_token", { milliseconds: number(first) }),
    seconds > 0 && count > 1 && t("chat_speed", { speed: number((count - 1) / seconds, 1) }),
    count > 0 && t("tokens_used", { count: number(count) }),
    finishReason === "length" && t("chat_cut"),
    stopped && t("chat_stopped"),
  ]);
}
