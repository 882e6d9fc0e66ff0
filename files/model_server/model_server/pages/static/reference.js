// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Gives every example of the reference a button that copies it.

import { copyButton } from "./dom.js";

const { copy, copied } = document.body.dataset;

for (const example of document.querySelectorAll("article pre")) {
  const frame = document.createElement("div");
  frame.className = "code";
  example.replaceWith(frame);
  frame.append(example, copyButton(() => example.textContent, copy, copied));
}
