// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Texts in both languages, and the one that is shown.

let texts = {};
let shown = "en";

/** Fetch all texts and choose a language: that of the address, else the browser's. */
export async function loadTexts() {
  const answer = await fetch(new URL("texts.json", import.meta.url));
  texts = await answer.json();
  const asked = new URLSearchParams(location.search).get("lang") ?? navigator.language;
  choose(asked.toLowerCase().startsWith("zh") ? "zh" : "en");
}

/** Show another language from now on. */
export function choose(language) {
  shown = language;
  document.documentElement.lang = language;
}

/** The language that is shown. */
export const language = () => shown;

/** Return a text, with `{name}` replaced by values. */
export function t(key, values = {}) {
  const text = texts[shown][key];
  if (text === undefined) throw new Error(`no text ${key} in ${shown}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Return what to do about an error code; empty for one that is not known. */
export const remedy = (code) => texts[shown].remedies[code] ?? "";

/** Whether a text is the sample of a field in any language. */
export const isSample = (key, text) => Object.values(texts).some((each) => each[key] === text);

/** Put texts into the elements that name them by `data-text` and `data-label`. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
  }
  for (const element of root.querySelectorAll("[data-placeholder]")) {
    element.placeholder = t(element.dataset.placeholder);
  }
  for (const field of root.querySelectorAll("[data-sample]")) {
    if (field.value === "" || isSample(field.dataset.sample, field.value)) {
      field.value = t(field.dataset.sample);
    }
  }
}

/** Write a number as the language does. */
export const number = (value, digits = 0) =>
  value.toLocaleString(shown, { minimumFractionDigits: digits, maximumFractionDigits: digits });
