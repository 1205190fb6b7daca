"""Where predictions come from: two ways behind one method, so that the API does not know which.

============ ======================================================================================
`SERVING`    a question is answered by
============ ======================================================================================
``endpoint`` :class:`EndpointModel`: SageMaker, over the network
``lambda``   :class:`FunctionModel`: the same ONNX graph and code, in the function's own process
============ ======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from api import failures
from api.agreement import Agreement
from api.aws import client
from api.environment import ApiEnvironment
from api.failures import ModelFailureError
from api.questions import Question
from mlsystem.artifacts import ModelContract
from mlsystem.errors import RequestError

__all__ = ["EndpointModel", "FunctionModel", "Model", "open_model"]

# What the function itself needs of its time: to start cold, to validate, to answer.
_OWN_SECONDS: Final = 2
_CONNECT_SECONDS: Final = 1
_ATTEMPTS: Final = 2
_BAD_GATEWAY: Final = 502
_UNAVAILABLE: Final = 503
_TIMEOUT: Final = 504


class Model(Protocol):
    """Answers questions."""

    def answer(self, question: Question) -> bytes:
        """Return the body of the answer, in the media type that the question wants.

        Raises
        ------
        RequestError, RelayedError
            The client is to blame.
        ModelFailureError
            The release is to blame.
        ThrottledError
            Nobody is.
        """


def open_model(environment: ApiEnvironment, contract: ModelContract) -> Model:
    """Return the release's model; raises what its kind raises."""
    if environment.serving == "lambda":
        return FunctionModel.load(environment)
    runtime = client(
        "sagemaker-runtime",
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=environment.timeout_seconds - _OWN_SECONDS,
        # Its own attempts would ask a slow model again, which makes nothing faster.
        retries={"total_max_attempts": 1},
    )
    return EndpointModel(runtime, environment.endpoint_name, contract)


class EndpointModel:
    """A model behind an endpoint.

    Parameters
    ----------
    runtime
        Client of ``sagemaker-runtime`` that makes one attempt at a time.
    name
        The endpoint's.
    """

    def __init__(self, runtime: Any, name: str, contract: ModelContract) -> None:
        self._runtime = runtime
        self._name = name
        self._agreement = Agreement(contract)

    def answer(self, question: Question) -> bytes:
        """Return the endpoint's answer, if it is one; see :meth:`Model.answer`."""
        try:
            body = self._invoke(question)
        except ClientError as error:
            raise failures.of_service(error.response) from error
        except ReadTimeoutError as error:
            raise ModelFailureError(_TIMEOUT, "no answer in time") from error
        except BotoCoreError as error:
            raise ModelFailureError(_UNAVAILABLE, type(error).__name__) from error
        self._agreement.check(body, question.accept, question.n_rows)
        return body

    def _invoke(self, question: Question) -> bytes:
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                answer = self._runtime.invoke_endpoint(
                    EndpointName=self._name,
                    Body=question.body,
                    ContentType=question.content_type,
                    Accept=question.accept,
                    InferenceId=question.inference_id,
                )
            except (ConnectionClosedError, ConnectTimeoutError, EndpointConnectionError):
                # A kept connection may have been closed while the function slept. Nobody was asked.
                if not attempts_left:
                    raise
            else:
                body: bytes = answer["Body"].read()
                return body
        raise AssertionError  # the last attempt returns or raises


class FunctionModel:
    """A model in the function's own process.

    Parameters
    ----------
    predict
        From the rows of a question and the media type of its answer to the body of the answer.
    """

    def __init__(self, predict: Callable[[Question], bytes]) -> None:
        self._predict = predict

    @classmethod
    def load(cls, environment: ApiEnvironment) -> FunctionModel:
        """Return the model in the release's folder; raises ArtifactError when it cannot predict."""
        # ONNX Runtime takes as long to import as all the rest: only where it is needed.
        from mlsystem.answers import Encoder  # noqa: PLC0415
        from mlsystem.predictor import Predictor  # noqa: PLC0415

        predictor = Predictor.load(environment.folder)
        encoder = Encoder(predictor.contract)

        def predict(question: Question) -> bytes:
            answers = predictor.predict(*question.rows)
            (body,) = encoder.encoder(question.accept)(answers, [question.n_rows])
            return body

        return cls(predict)

    def answer(self, question: Question) -> bytes:
        """Return the model's answer; see :meth:`Model.answer`."""
        try:
            return self._predict(question)
        except RequestError:
            raise
        except Exception as error:  # ONNX Runtime's errors have no base class
            raise ModelFailureError(_BAD_GATEWAY, type(error).__name__) from error
