// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// The tasks of /predict: labels of a text, entities in it, an answer found in it.

import { bars } from "./bars.js";
import { splitAt } from "./characters.js";
import { el } from "./dom.js";
import { number, t } from "./language.js";
import { workbench } from "./workbench.js";

const ENTITY_COLOURS = 8;

const predict = (task, fields) => ({ method: "POST", path: "/predict", body: { task_type: task, ...fields } });

/** View of `classification` or `sentiment`. */
export const labelsView = (task) => (api) =>
  workbench(api, {
    fields: [{ name: "text", label: "labels_text", sample: "labels_sample", rows: 5 }],
    button: "labels_run",
    request: ({ text }) => predict(task, { input_text: text }),
    draw: ({ result }) => [el("p", { class: "note" }, t("labels_note")), bars(result.labels)],
  });

/** View of `ner`. */
export const entitiesView = (api) =>
  workbench(api, {
    fields: [{ name: "text", label: "ner_text", sample: "ner_sample", rows: 6 }],
    button: "ner_run",
    request: ({ text }) => predict("ner", { input_text: text }),
    draw: ({ result }, { text }) => drawEntities(result.entities, text),
  });

/** View of `qa`. */
export const answerView = (api) =>
  workbench(api, {
    fields: [
      { name: "question", label: "qa_question", sample: "qa_question_sample" },
      { name: "context", label: "qa_context", sample: "qa_context_sample", rows: 6 },
    ],
    button: "qa_run",
    request: ({ question, context }) => predict("qa", { input_text: context, question }),
    draw: ({ result }, { context }) => [
      el("p", { class: "found" }, el("strong", {}, result.answer), el("span", { class: "muted" }, ` ${t("score")} ${number(result.score, 3)}`)),
      markedText(context, [result], () => el("mark", { class: "answer" })),
    ],
  });

function drawEntities(entities, text) {
  const types = [...new Set(entities.map((entity) => entity.type))];
  const colourOf = (type) => `entity kind-${types.indexOf(type) % ENTITY_COLOURS}`;
  const mark = ({ type }) => el("mark", { class: colourOf(type), "data-type": type, title: type });
  if (!entities.length) {
    return [el("p", { class: "text" }, text), el("p", { class: "note" }, t("ner_none"))];
  }
  return [
    el("ul", { class: "types", "aria-label": t("ner_legend") }, types.map((type) =>
      el("li", { class: colourOf(type) }, `${type} `,
        el("span", { class: "count" }, entities.filter((entity) => entity.type === type).length)))),
    markedText(text, entities, mark),
    el("div", { class: "scroll" }, entityTable(entities)),
  ];
}

/** The text, with each span within the element that `mark` makes for it. */
const markedText = (text, spans, mark) =>
  el("p", { class: "text" }, splitAt(text, spans).map(({ text: part, span }) => {
    if (!span) return part;
    const element = mark(span);
    element.append(part);
    return element;
  }));

const entityTable = (entities) =>
  el("table", { class: "entities" },
    el("thead", {}, el("tr", {}, ["text", "type", "position", "score"].map((name) => el("th", { scope: "col" }, t(name))))),
    el("tbody", {}, entities.map(({ text, type, start, end, score }) =>
      el("tr", {}, [text, type, `${start} – ${end}`, number(score, 3)].map((value) => el("td", {}, value))))));
