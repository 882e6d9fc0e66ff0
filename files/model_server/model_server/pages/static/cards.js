// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Cards that every view shows: a failure, the facts of an answer, and the call in code.

import { copyButton, el, tabs } from "./dom.js";
import { number, remedy, t } from "./language.js";
import { snippets } from "./snippets.js";

/** Show a failure: what, where, what to do; `retry` may be called once the server allows it. */
export function failureCard(error, retry) {
  const rows = [
    [t("error_code"), error.code && el("code", {}, error.status ? `${error.status} ${error.code}` : error.code)],
    [t("error_field"), error.param && el("code", {}, error.param)],
    [t("request_id"), error.requestId && el("code", {}, error.requestId)],
    [t("what_to_do"), marked(remedy(error.code))],
  ];
  return el("div", { class: "failure", role: "alert" },
    el("h3", {}, t("failed")),
    el("p", { class: "message" }, error.message),
    el("dl", {}, rows.filter(([, value]) => value).map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    retry && retryButton(error.retryAt, retry));
}

/** A text with `code` between backticks. */
function marked(text) {
  const parts = text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
  return text && el("span", {}, parts);
}

function retryButton(retryAt, retry) {
  const button = el("button", { type: "button", onclick: retry });
  const tick = () => {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    button.disabled = seconds > 0;
    button.textContent = seconds > 0 ? t("retry_in", { seconds }) : t("try_again");
    if (seconds > 0) setTimeout(tick, 250);
  };
  tick();
  return button;
}

/** One line of facts; what is empty is left out. */
export const facts = (items, id) =>
  el("p", { class: "facts" },
    items.filter(Boolean).map((item) => el("span", {}, item)),
    id && el("span", { class: "id" }, `${t("request_id")} `, el("code", {}, id)));

/** What an answer cost, from its body and headers. */
export function costs({ content, headers, milliseconds }) {
  const tokens = content.usage?.total_tokens ?? content.result?.tokens;
  const truncated = Number(headers.get("X-Truncated-Inputs") ?? content.result?.truncated ?? 0);
  const stages = /queue;dur=([\d.]+), inference;dur=([\d.]+)/.exec(headers.get("Server-Timing") ?? "");
  return facts([
    tokens !== undefined && t("tokens_used", { count: number(tokens) }),
    t("milliseconds", { count: number(milliseconds) }),
    stages && t("sum_of_times", { queue: number(+stages[1], 1), inference: number(+stages[2], 1) }),
    truncated > 0 && t("truncated", { count: truncated }),
  ], headers.get("X-Request-ID"));
}

let chosenCode = 0;

/** Show a request as code, in the form that was chosen last. */
export function codeCard(request, signed) {
  const items = snippets(request, signed).map(({ name, code }) => ({
    label: name,
    panel: el("div", { class: "code" },
      el("pre", { tabindex: "0" }, el("code", {}, code)),
      copyButton(() => code, t("copy"), t("copied"))),
  }));
  const { list, panels, select } = tabs(t("example_code"), items, (index) => (chosenCode = index));
  select(Math.min(chosenCode, items.length - 1));
  return el("section", { class: "card", "aria-label": t("example_code") },
    el("div", { class: "head" }, el("h2", {}, t("example_code")), list), panels);
}
