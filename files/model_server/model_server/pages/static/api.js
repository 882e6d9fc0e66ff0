// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Calls of the service. The key lives in this object only.

/** A failure that the service explained, or `unreachable`. */
export class ApiError extends Error {
  constructor({ message, code, param, request_id: requestId }, status, retryAfter) {
    super(message);
    Object.assign(this, { code, param, requestId, status });
    this.retryAt = Date.now() + (retryAfter ?? 0) * 1000;
  }
}

/** One client of the service. */
export class Api {
  #key = "";

  /** Use a key or token from now on; an empty one is forgotten. */
  signIn(key) {
    this.#key = key;
  }

  get signedIn() {
    return this.#key !== "";
  }

  /** Send a request and return what came back: body, headers and the time it took. */
  async send(method, path, body, signal) {
    const begun = performance.now();
    const answer = await this.#open(method, path, body, signal);
    const content = await answer.json();
    return { content, headers: answer.headers, milliseconds: performance.now() - begun };
  }

  /** Yield the objects of a stream of Server-Sent Events; a failure within it is thrown. */
  async *stream(path, body, signal) {
    const answer = await this.#open("POST", path, body, signal);
    for await (const data of eventData(answer.body)) {
      if (data === "[DONE]") return;
      const content = JSON.parse(data);
      if (content.error) throw new ApiError(content.error, answer.status);
      yield content;
    }
    throw new ApiError({ message: "The stream ended before the answer did.", code: "unreachable" }, 0);
  }

  async #open(method, path, body, signal) {
    const headers = {};
    if (this.#key) headers.Authorization = `Bearer ${this.#key}`;
    if (body) headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError({ message: error.message, code: "unreachable" }, 0);
    }
    if (!answer.ok) throw await explained(answer);
    return answer;
  }
}

async function explained(answer) {
  const retryAfter = Number(answer.headers.get("Retry-After")) || undefined;
  const text = await answer.text();
  try {
    return new ApiError(JSON.parse(text).error, answer.status, retryAfter);
  } catch {
    // A proxy's own page: it has no envelope.
    const message = `${answer.status} ${answer.statusText}`.trim();
    const requestId = answer.headers.get("X-Request-ID");
    return new ApiError({ message, code: "", request_id: requestId }, answer.status, retryAfter);
  }
}

/** Yield the data of each event; see https://html.spec.whatwg.org/#event-stream-interpretation */
async function* eventData(body) {
  const decoder = new TextDecoder();
  let rest = "";
  let data = [];
  for await (const bytes of chunks(body)) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r\n|\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      if (line === "" && data.length) {
        yield data.join("\n");
        data = [];
      }
    }
  }
}

async function* chunks(body) {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
