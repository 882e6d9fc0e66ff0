# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio and trio."""

from __future__ import annotations

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
from ._stream import AsyncChatStream
from ._transport import AsyncConnection, sleep

T = TypeVar("T")


class AsyncClient(BaseClient[AsyncConnection]):
    """Calls a service without blocking the event loop; `BaseClient` has the arguments."""

    _connection: ClassVar[type[AsyncConnection]] = AsyncConnection
    _sleep = staticmethod(sleep)

    async def _run(self, call: Call[T]) -> T:
        steps = flow(call, self._session, self._policy)
        heard: Answer | Lost | None = None
        try:
            while True:
                step = steps.send(heard)
                if isinstance(step, Sleep):
                    heard = None
                    await self._sleep(step.seconds)
                else:
                    heard = await self._http.send(step)
        except StopIteration as end:
            result: T = end.value
            return result

    async def embed(
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
        return await self._run(_calls.embed(texts, transfer=transfer, expect_fingerprint=expected))

    async def similarity(self, text: str, other_text: str) -> SimilarityPrediction:
        """Compare two texts by the cosine of their vectors."""
        return await self._run(_calls.similarity(text, other_text))

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        return_documents: bool = False,
        score: Literal["probability", "logit"] = "probability",
    ) -> RerankResponse:
        """Order documents by their relevance to a query, best first."""
        return await self._run(
            _calls.rerank(
                query, documents, top_n=top_n, return_documents=return_documents, score=score
            )
        )

    async def classify(
        self, text: str, *, task_type: str = "classification"
    ) -> ClassificationPrediction:
        """Tell which label a text has. `task_type` is `classification` or `sentiment`."""
        return await self._run(_calls.classify(text, task_type=task_type))

    async def entities(self, text: str) -> EntitiesPrediction:
        """Find names in a text; positions count characters (Unicode code points)."""
        return await self._run(_calls.entities(text))

    async def answer(self, question: str, context: str) -> AnswerPrediction:
        """Find the part of `context` that answers a question."""
        return await self._run(_calls.answer(question, context))

    async def predict(
        self,
        task_type: str,
        input_text: str,
        *,
        other_text: str | None = None,
        question: str | None = None,
    ) -> Prediction:
        """Run a task by its name, as `POST /predict` does."""
        call = _calls.predict(task_type, input_text, other_text=other_text, question=question)
        return await self._run(call)

    async def chat(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatAnswer:
        """Answer a text or a conversation in one piece."""
        return await self._run(_calls.chat(messages, **options))

    async def chat_stream(
        self, messages: Messages, **options: Unpack[ChatOptions]
    ) -> AsyncChatStream:
        """Answer a text or a conversation piece by piece; raises before the first, if at all."""
        return AsyncChatStream(await self._run(_calls.chat_stream(messages, **options)))

    async def login(self, username: str, password: str, *, renew: bool = False) -> int:
        """Sign in and use the token from now on; return for how many seconds it is valid.

        With `renew` user and password are kept, to sign in again when the token has expired.
        """
        response = await self._run(_calls.login(username, password))
        renewal = LoginRequest(username=username, password=password) if renew else None
        self._session.sign_in(response, renewal)
        return response.expires_in

    async def models(self) -> ModelList:
        """Describe what is served: task, limits, labels, vector space."""
        return await self._run(_calls.models())

    async def health(self) -> Health:
        """Ask once whether the process answers."""
        return await self._run(_calls.health())

    async def ready(self) -> Readiness:
        """Ask once whether the model is loaded and computes; raise NotReady otherwise."""
        return await self._run(_calls.ready())

    async def close(self) -> None:
        """Close all connections, those of copies too."""
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
