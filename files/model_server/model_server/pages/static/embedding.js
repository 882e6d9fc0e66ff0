// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Embedding: each vector as a strip, all pairs as a matrix, the closest pairs in words.

import { colour, css, ink } from "./colours.js";
import { el } from "./dom.js";
import { number, t } from "./language.js";
import { closestPairs, cosines, extent } from "./vectors.js";
import { lines, workbench } from "./workbench.js";

const STRIP_HEIGHT = 28;
const PAIRS = 3;
const LEGEND_STEPS = 41;

/** View of a model that embeds. */
export const embeddingView = (api, model) =>
  workbench(api, {
    fields: [{ name: "texts", label: "embedding_texts", sample: "embedding_sample", rows: 8 }],
    button: "embedding_run",
    request: ({ texts }) => ({
      method: "POST",
      path: "/v1/embeddings",
      body: { model: model.id, input: lines(texts) },
    }),
    draw: (answer, { texts }) => {
      const vectors = answer.data.map((item) => item.embedding);
      return draw(vectors, lines(texts));
    },
  });

function draw(vectors, texts) {
  const matrix = cosines(vectors);
  return [
    ...section("vectors", strips(vectors, texts)),
    ...(texts.length > 1 ? section("similarity", similarities(matrix, texts)) : []),
    ...(texts.length > 2 ? [el("h3", {}, t("best_pairs")), pairs(matrix, texts)] : []),
  ];
}

const section = (name, content) => [
  el("h3", {}, t(name)),
  el("p", { class: "note" }, t(`${name}_note`)),
  content,
];

function strips(vectors, texts) {
  const { low, high } = extent(vectors);
  const reach = Math.max(-low, high) || 1;
  return el("div", { class: "strips" },
    vectors.map((vector, index) => {
      const own = extent([vector]);
      const label = t("vector_label", {
        number: index + 1,
        dimensions: vector.length,
        low: number(own.low, 3),
        high: number(own.high, 3),
      });
      return el("div", { class: "strip" },
        el("span", { class: "index", "aria-hidden": "true" }, index + 1),
        el("span", { class: "words", title: texts[index] }, texts[index]),
        picture(vector, reach, label));
    }),
    legend(-reach, reach));
}

function picture(vector, reach, label) {
  const canvas = el("canvas", { width: vector.length, height: STRIP_HEIGHT, role: "img", "aria-label": label });
  paint(canvas, vector.map((value) => colour(value / reach)));
  return canvas;
}

/** Fill a canvas with one column of each colour. */
function paint(canvas, columns) {
  const context = canvas.getContext("2d");
  columns.forEach((rgb, column) => {
    context.fillStyle = css(rgb);
    context.fillRect(column, 0, 1, canvas.height);
  });
}

function legend(low, high) {
  const values = Array.from({ length: LEGEND_STEPS }, (_, step) => (2 * step) / (LEGEND_STEPS - 1) - 1);
  const ends = { low: number(low, 2), high: number(high, 2) };
  const canvas = el("canvas", { width: LEGEND_STEPS, height: 1, role: "img", "aria-label": t("colour_scale", ends) });
  paint(canvas, values.map(colour));
  return el("div", { class: "legend", "aria-hidden": "true" }, ends.low, canvas, ends.high);
}

function similarities(matrix, texts) {
  const digits = texts.length > 8 ? 2 : 3;
  const numbers = texts.map((_, index) => index + 1);
  return el("div", { class: "scroll" },
    el("table", { class: "matrix" },
      el("caption", { class: "hidden" }, t("similarity_caption")),
      el("thead", {}, el("tr", {}, el("td"), numbers.map((each) =>
        el("th", { scope: "col", title: texts[each - 1] }, each)))),
      el("tbody", {}, matrix.map((row, a) =>
        el("tr", {},
          el("th", { scope: "row", title: texts[a] }, el("span", { class: "index" }, a + 1), el("span", { class: "words" }, texts[a])),
          row.map((value, b) => cell(value, digits, a === b ? texts[a] : `${texts[a]} · ${texts[b]}`)))))));
}

function cell(value, digits, title) {
  const rgb = colour(value);
  const element = el("td", { title }, number(value, digits));
  element.style.backgroundColor = css(rgb);
  element.style.color = ink(rgb);
  return element;
}

const pairs = (matrix, texts) =>
  el("ol", { class: "pairs" }, closestPairs(matrix, PAIRS).map(({ a, b, value }) =>
    el("li", {}, el("strong", {}, number(value, 3)), el("span", {}, texts[a]), el("span", {}, texts[b]))));
