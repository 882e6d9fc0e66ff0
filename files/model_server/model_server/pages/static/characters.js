// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// The service counts characters as Unicode code points, JavaScript as UTF-16 units.

/** Split a text at spans {start, end} in code points: parts are {text, span or undefined}. */
export function splitAt(text, spans) {
  const characters = Array.from(text);
  const parts = [];
  let position = 0;
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    // Spans of one text do not overlap; one that does is listed, but not marked twice.
    if (span.start < position) continue;
    if (span.start > position) parts.push({ text: characters.slice(position, span.start).join("") });
    parts.push({ text: characters.slice(span.start, span.end).join(""), span });
    position = span.end;
  }
  if (position < characters.length) parts.push({ text: characters.slice(position).join("") });
  return parts;
}
