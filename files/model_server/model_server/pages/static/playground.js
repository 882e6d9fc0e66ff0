// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// The playground: sign in, learn what the service does, show that and nothing else.

import { Api } from "./api.js";
import { failureCard } from "./cards.js";
import { chatView } from "./chat.js";
import { onSchemeChange } from "./colours.js";
import { el, tabs } from "./dom.js";
import { embeddingView } from "./embedding.js";
import { choose, language, loadTexts, number, t, translate } from "./language.js";
import { answerView, entitiesView, labelsView } from "./predict.js";
import { rerankView } from "./rerank.js";

/** What can be shown, by the task of the model or by one that /predict takes. */
const VIEWS = {
  embedding: embeddingView,
  rerank: rerankView,
  classification: labelsView("classification"),
  sentiment: labelsView("sentiment"),
  ner: entitiesView,
  qa: answerView,
  chat: chatView,
};

const api = new Api();
const main = document.getElementById("main");
const methods = document.body.dataset.methods.split(" ");
let redraw = () => {};

/** Show a screen; it is drawn again when the language or the colours change. */
function show(draw) {
  redraw = () => {
    draw();
    translate(document.body);
  };
  redraw();
}

function signIn(error) {
  const key = el("input", { type: "password", name: "key", required: true, autocomplete: "off", spellcheck: "false" });
  const username = el("input", { name: "username", required: true, autocomplete: "off", spellcheck: "false" });
  const password = el("input", { type: "password", name: "password", required: true, autocomplete: "off" });
  const byKey = form(
    [["api_key", key]], "connect",
    () => { api.signIn(key.value.trim()); connect(); });
  const byUser = form([["username", username], ["password", password]], "login",
    () => logIn(username.value, password.value));
  const forms = [methods.includes("api_key") && byKey, methods.includes("jwt") && byUser].filter(Boolean);
  const page = el("section", { class: "card sign-in", "data-label": "sign_in" },
    el("h1", { "data-text": "sign_in" }), el("p", { class: "muted", "data-text": "sign_in_intro" }), forms);
  const failure = el("div");
  page.append(failure);
  main.replaceChildren(page);
  show(() => failure.replaceChildren(...(error ? [failureCard(error)] : [])));
  page.querySelector("input").focus();
}

const form = (fields, button, action) =>
  el("form", { onsubmit: (event) => { event.preventDefault(); action(); } },
    fields.map(([label, input]) => el("label", {}, el("span", { "data-text": label }), input)),
    el("button", { class: "primary", "data-text": button }));

async function logIn(username, password) {
  try {
    const { content } = await api.send("POST", "/login", { username, password });
    api.signIn(content.access_token);
    connect(new Date(Date.now() + content.expires_in * 1000));
  } catch (error) {
    signIn(error);
  }
}

async function connect(until) {
  show(() => main.replaceChildren(el("p", { class: "empty" }, t("loading"))));
  try {
    const { content } = await api.send("GET", "/v1/models");
    open(content.data[0], until);
  } catch (error) {
    if (error.status === 401) {
      api.signIn("");
      signIn(error);
    } else {
      show(() => main.replaceChildren(failureCard(error, () => connect(until))));
    }
  }
}

function open(model, until) {
  const names = Object.keys(VIEWS).filter((name) => name === model.task || model.predict_tasks.includes(name));
  const views = names.map((name) => VIEWS[name](api, model));
  const { list, panels, select } = tabs(t("tasks"), names.map((name, index) => ({
    label: el("span", { "data-text": name }), panel: views[index].root,
  })));
  list.dataset.label = "tasks";
  list.hidden = names.length < 2;
  const heading = el("div", { class: "model" });
  main.replaceChildren(heading, list, ...panels);
  if (names.length) select(0);
  show(() => {
    heading.replaceChildren(...about(model, until));
    if (!names.length) heading.append(el("p", { class: "notice" }, t("nothing_offered")));
    for (const view of views) view.redraw();
  });
  main.querySelector("textarea")?.focus();
}

function about(model, until) {
  const items = [
    model.dimensions && t("dimensions", { count: number(model.dimensions) }),
    t("max_tokens", { count: number(model.max_tokens) }),
    t("revision", { revision: model.revision }),
    until && t("signed_in_until", { time: until.toLocaleTimeString(language(), { timeStyle: "short" }) }),
  ];
  const forget = el("button", { type: "button", onclick: () => { api.signIn(""); signIn(); } }, t("forget"));
  return [
    el("div", {}, el("h1", {}, model.id),
      el("p", { class: "facts" }, items.filter(Boolean).map((item) => el("span", {}, item)))),
    ...(api.signedIn ? [forget] : []),
  ];
}

function speak(chosen) {
  choose(chosen);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === chosen));
  }
  document.getElementById("reference").href = `/docs?lang=${chosen}`;
  document.title = document.title.replace(/·.*/, `· ${t("title")}`);
  redraw();
}

await loadTexts();
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => speak(button.dataset.language));
}
onSchemeChange(() => redraw());
speak(language());
if (methods.includes("none")) connect();
else signIn();
