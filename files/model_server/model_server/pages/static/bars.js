// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Scores from 0 to 1 as bars, with their numbers.

import { el } from "./dom.js";
import { number } from "./language.js";

/** Draw items {label, score, prefix}, in their order. */
export const bars = (items) =>
  el("ol", { class: "bars" }, items.map(({ label, score, prefix }) => {
    const bar = el("span", { class: "bar-fill" });
    bar.style.width = `${100 * Math.min(1, Math.max(0, score))}%`;
    return el("li", {},
      el("span", { class: "bar-label" }, prefix && el("span", { class: "index" }, prefix), el("span", {}, label)),
      el("span", { class: "bar-score" }, number(score, 3)),
      el("span", { class: "bar-track", "aria-hidden": "true" }, bar));
  }));
