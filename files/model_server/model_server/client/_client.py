# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The client for ordinary code."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import ClassVar, Literal, Self, TypeVar, Unpack

from ..types import (
    AnswerPrediction,
    ClassificationPrediction,
    EntitiesPrediction,
    Health,
    LoginRequest,
    ModelList,
    Readiness,
    RerankResponse,
    SimilarityPrediction,
)
from . import _calls
from ._base import BaseClient
from ._calls import Call, ChatOptions, Messages, Prediction
from ._exchange import Answer, Lost, Sleep
from ._flow import flow
from ._results import ChatAnswer, Embeddings
from ._stream import ChatStream
from ._transport import Connection

T = TypeVar("T")


class Client(BaseClient[Connection]):
    """Calls a service and waits for it. Safe for threads; `BaseClient` has the arguments."""

    _connection: ClassVar[type[Connection]] = Connection
    _sleep = staticmethod(time.sleep)

    def _run(self, call: Call[T]) -> T:
        steps = flow(call, self._session, self._policy)
        heard: Answer | Lost | None = None
        try:
            while True:
                step = steps.send(heard)
                if isinstance(step, Sleep):
                    heard = None
                    self._sleep(step.seconds)
                else:
                    heard = self._http.send(step)
        except StopIteration as end:
            result: T = end.value
            return result

    def embed(
        self,
        texts: str | Sequence[str],
        *,
        transfer: Literal["base64", "float"] = "base64",
        expect_fingerprint: str | None = None,
    ) -> Embeddings:
        """Embed texts in one request, which must fit the service's limit of inputs.

        `expect_fingerprint` names the vector space that the answer must be of, else
        VectorSpaceChanged; None takes the client's. `transfer` changes the size of the answer, not
        its numbers.
        """
        expected = expect_fingerprint or self._expect_fingerprint
        return self._run(_calls.embed(texts, transfer=transfer, expect_fingerprint=expected))

    def similarity(self, text: str, other_text: str) -> SimilarityPrediction:
        """Compare two texts by the cosine of their vectors."""
        return self._run(_calls.similarity(text, other_text))

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        return_documents: bool = False,
        score: Literal["probability", "logit"] = "probability",
    ) -> RerankResponse:
        """Order documents by their relevance to a query, best first."""
        return self._run(
            _calls.rerank(
                query, documents, top_n=top_n, return_documents=return_documents, score=score
            )
        )

    def classify(self, text: str, *, task_type: str = "classification") -> ClassificationPrediction:
        """Tell which label a text has. `task_type` is `classification` or `sentiment`."""
        return self._run(_calls.classify(text, task_type=task_type))

    def entities(self, text: str) -> EntitiesPrediction:
        """Find names in a text; positions count characters (Unicode code points)."""
        return self._run(_calls.entities(text))

    def answer(self, question: str, context: str) -> AnswerPrediction:
        """Find the part of `context` that answers a question."""
        return self._run(_calls.answer(question, context))

    def predict(
        self,
        task_type: str,
        input_text: str,
        *,
        other_text: str | None = None,
        question: str | None = None,
    ) -> Prediction:
        """Run a task by its name, as `POST /predict` does."""
        call = _calls.predict(task_type, input_text, other_text=other_text, question=question)
        return self._run(call)

    def chat(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatAnswer:
        """Answer a text or a conversation in one piece."""
        return self._run(_calls.chat(messages, **options))

    def chat_stream(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatStream:
        """Answer a text or a conversation piece by piece; raises before the first, if at all."""
        return ChatStream(self._run(_calls.chat_stream(messages, **options)))

    def login(self, username: str, password: str, *, renew: bool = False) -> int:
        """Sign in and use the token from now on; return for how many seconds it is valid.

        With `renew` user and password are kept, to sign in again when the token has expired.
        """
        response = self._run(_calls.login(username, password))
        renewal = LoginRequest(username=username, password=password) if renew else None
        self._session.sign_in(response, renewal)
        return response.expires_in

    def models(self) -> ModelList:
        """Describe what is served: task, limits, labels, vector space."""
        return self._run(_calls.models())

    def health(self) -> Health:
        """Ask once whether the process answers."""
        return self._run(_calls.health())

    def ready(self) -> Readiness:
        """Ask once whether the model is loaded and computes; raise NotReady otherwise."""
        return self._run(_calls.ready())

    def close(self) -> None:
        """Close all connections, those of copies too."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
