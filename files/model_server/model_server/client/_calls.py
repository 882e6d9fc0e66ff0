# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Every operation as a value: typed arguments in, a `Call` out. No I/O."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, ParamSpec, TypedDict, TypeVar, Unpack

from pydantic import BaseModel, ValidationError

from ..types import (
    AnswerPrediction,
    ChatCompletionRequest,
    ChatMessage,
    ClassificationPrediction,
    EmbeddingPrediction,
    EmbeddingsRequest,
    EmbeddingsResponse,
    EntitiesPrediction,
    Health,
    LoginRequest,
    LoginResponse,
    ModelList,
    PredictRequest,
    PredictResponse,
    Readiness,
    RerankRequest,
    RerankResponse,
    SimilarityPrediction,
    StreamOptions,
)
from ._errors import ResponseInvalid, VectorSpaceChanged
from ._exchange import Answer
from ._results import ChatAnswer, Embeddings, in_order

T = TypeVar("T")
P = ParamSpec("P")
BodyT = TypeVar("BodyT", bound=BaseModel)
Prediction = (
    EmbeddingPrediction
    | SimilarityPrediction
    | ClassificationPrediction
    | EntitiesPrediction
    | AnswerPrediction
)
Messages = str | Sequence[ChatMessage | Mapping[str, str]]
"""A text of the user, or a conversation: messages, or mappings with `role` and `content`."""


SECRET = re.compile(r"[\x21-\x7e]+")
"""What a key or token can be. Anything else would be quoted by the errors of an HTTP library."""


class ChatOptions(TypedDict, total=False):
    """What a client may choose of an answer; the operator caps it.

    `max_tokens` bounds the answer, `temperature` 0 takes the likeliest token each time, `top_p` is
    the nucleus, `stop` are texts that end the answer, the same `seed` gives the same answer.
    """

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: str | list[str] | None
    seed: int | None


class Repeat(enum.Enum):
    """When a failed call may be sent again."""

    ALWAYS = "it computes the same again"
    IF_REFUSED = "only when nothing was done: an answer costs much, and is another each time"
    NEVER = "it asks for the state of this moment"


class Call(NamedTuple, Generic[T]):
    """One operation. `parse` makes its result of a successful answer, or raises.

    With `names_model` the served name is put into the body before it is sent; `signed` calls carry
    the key or token.
    """

    method: str
    path: str
    body: BaseModel | None
    parse: Callable[[Answer], T]
    repeat: Repeat = Repeat.ALWAYS
    names_model: bool = False
    signed: bool = True
    stream: bool = False


def embed(
    texts: str | Sequence[str],
    *,
    transfer: Literal["base64", "float"],
    expect_fingerprint: str | None,
) -> Call[Embeddings]:
    """Embed texts in one request; it must fit the service's limit of inputs."""
    request = _body(
        EmbeddingsRequest,
        model="",
        input=[texts] if isinstance(texts, str) else list(texts),
        encoding_format=transfer,
    )

    def parse(answer: Answer) -> Embeddings:
        fingerprint = answer.headers.get("x-vector-space")
        if expect_fingerprint not in (None, fingerprint):
            raise VectorSpaceChanged(
                str(expect_fingerprint), fingerprint, request_id=_request_id(answer)
            )
        response = _read(EmbeddingsResponse, answer)
        try:
            return Embeddings(
                vectors=in_order(response.data, len(request.texts)),
                model=response.model,
                usage=response.usage,
                fingerprint=fingerprint,
                truncated=int(answer.headers.get("x-truncated-inputs", "0")),
            )
        except ValueError as error:
            raise _invalid(answer, str(error)) from error

    return Call("POST", "/v1/embeddings", request, parse, names_model=True)


def rerank(
    query: str,
    documents: Sequence[str],
    *,
    top_n: int | None,
    return_documents: bool,
    score: Literal["probability", "logit"],
) -> Call[RerankResponse]:
    """Order documents by their relevance to a query, best first."""
    request = _body(
        RerankRequest,
        model="",
        query=query,
        documents=list(documents),
        top_n=top_n,
        return_documents=return_documents,
        score=score,
    )
    return Call("POST", "/v1/rerank", request, _reader(RerankResponse), names_model=True)


def predict(
    task_type: str, input_text: str, *, other_text: str | None, question: str | None
) -> Call[Prediction]:
    """Run a task by its name on one text."""
    return _predict(PredictResponse, task_type, input_text, other_text, question)


def similarity(text: str, other_text: str) -> Call[SimilarityPrediction]:
    """Compare two texts by the cosine of their vectors."""
    return _predict(_Result[SimilarityPrediction], "similarity", text, other_text)


def classify(text: str, *, task_type: str) -> Call[ClassificationPrediction]:
    """Tell which label a text has; all labels with their probabilities."""
    return _predict(_Result[ClassificationPrediction], task_type, text)


def entities(text: str) -> Call[EntitiesPrediction]:
    """Find names in a text; positions count characters."""
    return _predict(_Result[EntitiesPrediction], "ner", text)


def answer(question: str, context: str) -> Call[AnswerPrediction]:
    """Find the part of a text that answers a question."""
    return _predict(_Result[AnswerPrediction], "qa", context, question=question)


def chat(messages: Messages, **options: Unpack[ChatOptions]) -> Call[ChatAnswer]:
    """Answer a conversation in one piece."""
    return Call(
        "POST",
        "/v1/chat/completions",
        _conversation(messages, stream=False, **options),
        _chat_answer,
        repeat=Repeat.IF_REFUSED,
        names_model=True,
    )


def chat_stream(messages: Messages, **options: Unpack[ChatOptions]) -> Call[Answer]:
    """Answer a conversation piece by piece; the result holds the open response."""
    usage = StreamOptions(include_usage=True)
    return Call(
        "POST",
        "/v1/chat/completions",
        _conversation(messages, stream=True, stream_options=usage, **options),
        _opened,
        repeat=Repeat.IF_REFUSED,
        names_model=True,
        stream=True,
    )


def login(username: str, password: str) -> Call[LoginResponse]:
    """Sign in; each failure counts towards the lockout, so it is not repeated blindly."""
    body = _body(LoginRequest, username=username, password=password)
    return Call("POST", "/login", body, _token, repeat=Repeat.IF_REFUSED, signed=False)


def models() -> Call[ModelList]:
    """Describe what is served."""
    return Call("GET", "/v1/models", None, _model_list)


def health() -> Call[Health]:
    """Ask whether the process answers."""
    return Call("GET", "/health", None, _reader(Health), repeat=Repeat.NEVER, signed=False)


def ready() -> Call[Readiness]:
    """Ask whether the model is loaded and computes; NotReady otherwise."""
    return Call("GET", "/ready", None, _reader(Readiness), repeat=Repeat.NEVER, signed=False)


class _Result(BaseModel, Generic[T]):
    result: T


def _predict(
    envelope: type[Any],
    task_type: str,
    input_text: str,
    other_text: str | None = None,
    question: str | None = None,
) -> Call[Any]:
    body = _body(
        PredictRequest,
        task_type=task_type,
        input_text=input_text,
        other_text=other_text,
        question=question,
    )
    return Call("POST", "/predict", body, lambda answer: _read(envelope, answer).result)


def _conversation(messages: Messages, **options: Any) -> ChatCompletionRequest:
    user: list[Any] = [{"role": "user", "content": messages}]
    turns: list[Any] = user if isinstance(messages, str) else list(messages)
    return _body(ChatCompletionRequest, model="", messages=turns, **options)


def _body(kind: Callable[P, BodyT], /, *none: P.args, **fields: P.kwargs) -> BodyT:
    """Validate a request here already; ValueError names the field, never its value."""
    try:
        return kind(*none, **fields)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
    raise ValueError("; ".join(problems))


def _reader(model: type[BodyT]) -> Callable[[Answer], BodyT]:
    return lambda answer: _read(model, answer)


def _read(model: type[BodyT], answer: Answer) -> BodyT:
    try:
        return model.model_validate_json(answer.body)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, problem["loc"])) or "body"
        raise _invalid(answer, f"{place}: {problem['msg']}") from None


def _token(answer: Answer) -> LoginResponse:
    response = _read(LoginResponse, answer)
    if not SECRET.fullmatch(response.access_token):
        raise _invalid(answer, "access_token: it fits no header")
    return response


def _model_list(answer: Answer) -> ModelList:
    models = _read(ModelList, answer)
    if not models.data:
        raise _invalid(answer, "data: no model is served")
    return models


def _chat_answer(answer: Answer) -> ChatAnswer:
    completion = _read(ChatAnswer, answer)
    if not completion.choices:
        raise _invalid(answer, "choices: there is none")
    return completion


def _opened(answer: Answer) -> Answer:
    if answer.stream is None:
        raise _invalid(answer, "it is no stream of events")
    return answer


def _invalid(answer: Answer, reason: str) -> ResponseInvalid:
    return ResponseInvalid(
        f"The answer ({answer.status}) is not one of this service: {reason}. "
        "Check the address and the versions of client and service.",
        request_id=_request_id(answer),
    )


def _request_id(answer: Answer) -> str | None:
    return answer.headers.get("x-request-id")
