// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Rerank: documents in the order of their relevance.

import { bars } from "./bars.js";
import { el } from "./dom.js";
import { t } from "./language.js";
import { lines, workbench } from "./workbench.js";

/** View of a model that reranks. */
export const rerankView = (api, model) =>
  workbench(api, {
    fields: [
      { name: "query", label: "rerank_query", sample: "rerank_query_sample" },
      { name: "documents", label: "rerank_documents", sample: "rerank_documents_sample", rows: 7 },
    ],
    button: "rerank_run",
    request: ({ query, documents }) => ({
      method: "POST",
      path: "/v1/rerank",
      body: { model: model.id, query, documents: lines(documents) },
    }),
    draw: ({ results }, { documents }) => [
      el("p", { class: "note" }, t("rerank_note")),
      bars(results.map(({ index, relevance_score: score }) => ({
        label: lines(documents)[index],
        score,
        prefix: index + 1,
      }))),
    ],
  });
