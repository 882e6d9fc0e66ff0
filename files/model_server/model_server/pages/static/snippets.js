// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// The call just made, as a line for a shell and for Python. The key is always $KEY.

/** Return [{name, code}] for a request {method, path, body}; `signed` when it carries a key. */
export function snippets({ method, path, body }, signed) {
  const found = [{ name: "curl", code: curl(method, path, body, signed) }];
  const sdk = SDK[path]?.(body);
  if (sdk) found.push({ name: "Python", code: withClient(sdk, signed) });
  const openai = OPENAI[path]?.(body);
  if (openai) found.push({ name: "Python, openai", code: withOpenai(openai, signed) });
  return found;
}

function curl(method, path, body, signed) {
  const parts = [`curl ${body?.stream ? "-N " : ""}${quote(location.origin + path)}`];
  if (signed) parts.push('-H "Authorization: Bearer $KEY"');
  if (body) parts.push("-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(body))}`);
  return parts.join(" \\\n  ");
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Write a value of JSON as Python. */
export function python(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, item]) => `${python(key)}: ${python(item)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** Write the arguments of a call; those without a value are left out. */
const call = (positional, named = {}) =>
  [
    ...positional.map(python),
    ...Object.entries(named).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}=${python(value)}`),
  ].join(", ");

const options = ({ max_tokens, temperature }) => ({ max_tokens, temperature });

const PREDICT = {
  similarity: (body) => [`result = client.similarity(${call([body.input_text, body.other_text])})`, "print(result.similarity)"],
  classification: (body) => [`result = client.classify(${call([body.input_text])})`, "print(result.labels)"],
  sentiment: (body) => [`result = client.classify(${call([body.input_text], { task_type: "sentiment" })})`, "print(result.labels)"],
  ner: (body) => [`result = client.entities(${call([body.input_text])})`, "print(result.entities)"],
  qa: (body) => [`result = client.answer(${call([body.question, body.input_text])})`, "print(result.answer)"],
};

const SDK = {
  "/v1/embeddings": (body) => [`result = client.embed(${call([body.input])})`, "print(result.vectors)"],
  "/v1/rerank": (body) => [`result = client.rerank(${call([body.query, body.documents])})`, "print(result.results)"],
  "/predict": (body) => PREDICT[body.task_type]?.(body),
  "/v1/chat/completions": (body) => [
    `for text in client.chat_stream(${call([body.messages], options(body))}):`,
    '    print(text, end="", flush=True)',
  ],
};

const OPENAI = {
  "/v1/embeddings": (body) => [
    `answer = client.embeddings.create(${call([], { model: body.model, input: body.input })})`,
    "print([item.embedding for item in answer.data])",
  ],
  "/v1/chat/completions": (body) => [
    `stream = client.chat.completions.create(${call([], { model: body.model, messages: body.messages, stream: true, ...options(body) })})`,
    "for chunk in stream:",
    "    for choice in chunk.choices:",
    '        print(choice.delta.content or "", end="", flush=True)',
  ],
};

const withClient = (lines, signed) =>
  [
    ...(signed ? ["import os"] : []),
    "from model_server.client import Client",
    "",
    `with Client(${python(location.origin)}${signed ? ', api_key=os.environ["KEY"]' : ""}) as client:`,
    ...lines.map((line) => `    ${line}`),
  ].join("\n");

const withOpenai = (lines, signed) =>
  [
    ...(signed ? ["import os"] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${python(`${location.origin}/v1`)}, api_key=${signed ? 'os.environ["KEY"]' : '"none"'})`,
    ...lines,
  ].join("\n");
