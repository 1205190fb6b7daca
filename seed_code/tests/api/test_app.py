"""The API in both serving modes: answers, refusals, and who is blamed."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.app import Api, handler, open_release
from mlsystem.errors import RequestError

CODE = Path(__file__).parents[2]
CSV = "text/csv"
LINES = "application/jsonlines"
ROW = {"x": 1.0, "y": 2.0, "size": "high"}
BODY = json.dumps({"instances": [ROW, {"x": None, "y": -1, "size": None}]})
MODES = pytest.mark.parametrize("serving", ["endpoint", "lambda"])


def _blamed(record: dict[str, Any]) -> list[int]:
    return [record["Requests"], record["ClientErrors"], record["ModelErrors"]]


NOBODY, CLIENT, MODEL = [1, 0, 0], [1, 1, 0], [1, 0, 1]


# --- predictions --------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_predicts_as_the_container_does(serve, event, serving, problem):
    served = serve(serving, problem=problem)
    requests = {
        "application/json": BODY,
        CSV: "1,2,high\n,-1,\n",
        "text/csv; header=present": "size,y,x\nhigh,2,1\n,-1,\n",
        LINES: '{"x": 1, "y": 2, "size": "high"}\n[null, -1, null]\n',
    }
    for content_type, body in requests.items():
        for accept in ("application/json", CSV, LINES):
            asked = event(body, content_type=content_type, accept=accept)
            answer, record = served.ask(asked)
            headers = {"content-type": content_type, "accept": accept}
            expected = served.endpoint.predict((headers, body.encode()))[2].decode()
            assert (answer["statusCode"], answer["body"]) == (200, expected)
            assert answer["headers"]["Content-Type"] == accept
            assert not answer["isBase64Encoded"]
            assert _blamed(record) == NOBODY
            assert record["rows"] == 2


@MODES
def test_the_answer_has_a_known_value(serve, event, serving):
    answer, _ = serve(serving, problem="regression").ask(event(BODY))
    assert json.loads(answer["body"]) == {"predictions": [{"score": 4.0}, {"score": -1.0}]}


@MODES
def test_says_which_release_answered_and_names_the_prediction(serve, event, serving):
    served = serve(serving)
    answer, record = served.ask(event(BODY))
    request_id = event()["requestContext"]["requestId"]
    assert answer["headers"]["X-Release"] == served.environment.release
    assert answer["headers"]["X-Inference-Id"] == record["inference_id"] == request_id
    answer, record = served.ask(event(BODY, x_inference_id="order-17"))
    assert answer["headers"]["X-Inference-Id"] == record["inference_id"] == "order-17"
    assert record["request_id"] == request_id
    if serving == "endpoint":
        ids = [asked["x-amzn-sagemaker-inference-id"] for asked, _ in served.endpoint.asked]
        assert ids == [request_id, "order-17"]


def test_nothing_that_sagemaker_might_refuse_is_handed_on(serve, event):
    served = serve("endpoint")
    for sent, handed_on in {
        "text/csv; note=\u00e9\u2603; charset=utf-8": "text/csv",
        'TEXT/CSV;header="present";' + "x" * 2000: "text/csv; header=present",
    }.items():
        body = "x,y,size\n1,2,high\n" if "header" in sent else "1,2,high\n"
        answer, _ = served.ask(event(body, content_type=sent, accept="*/*;q=0.5;" + "\u00e9" * 900))
        assert answer["statusCode"] == 200
        asked, _ = served.endpoint.asked[-1]
        assert (asked["content-type"], asked["accept"]) == (handed_on, "text/csv")


def test_the_endpoint_is_asked_where_the_variable_says(serve, event, account, monkeypatch):
    """With a signature for its region and service, which the address says nothing of."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", account.url)
    served = serve("endpoint")
    answer, _ = served.ask(event(BODY))
    assert answer["statusCode"] == 200
    (asked, _), *_ = served.endpoint.asked
    assert "/eu-west-1/sagemaker/aws4_request" in asked["authorization"]


@MODES
def test_a_body_that_the_gateway_encoded_is_decoded(serve, event, serving):
    asked = event(base64.b64encode(BODY.encode()).decode())
    asked["isBase64Encoded"] = True
    assert serve(serving).ask(asked)[0]["statusCode"] == 200


# --- mistakes of clients ------------------------------------------------------------------------

MISTAKES = {
    "not JSON": ('{"instances": [', {}, 400),
    "no rows": ('{"instances": []}', {}, 400),
    "no body": (None, {"content_type": "application/json"}, 400),
    "unknown feature": (json.dumps({"instances": [{**ROW, "z": 1}]}), {}, 400),
    "missing feature": ('{"instances": [{"x": 1}]}', {}, 400),
    "text for a number": (json.dumps({"instances": [{**ROW, "x": "one"}]}), {}, 400),
    "a value too many": ('{"instances": [[1, 2, "high", 4]]}', {}, 400),
    "numbers beyond reach": ('{"instances": [[3e38, 3e38, "low"]]}', {}, 422),
    "too many rows": (json.dumps({"instances": [ROW] * 4}), {}, 413),
    "too many bytes": (f'{{"instances": ["{"x" * 2**21}"]}}', {}, 413),
    "far too many lines": ("\n" * 31, {"content_type": CSV}, 413),
    "far too many lines of JSON": ("\n" * 31, {"content_type": LINES}, 413),
    "far too many lists": ('{"instances": [' + "[],{}," * 15 + "[]]}", {}, 413),
    "half a character": ('{"instances": [[1, 2, "\ud800"]]}', {}, 400),
    "unknown media type": ("x", {"content_type": "application/x-unknown"}, 415),
    "an array": ("x", {"content_type": "application/x-npy"}, 415),
    "another charset": (BODY, {"content_type": "text/csv; charset=latin-1"}, 415),
    "compressed": (BODY, {"content_encoding": "gzip"}, 415),
    "nothing acceptable": (BODY, {"accept": "image/png"}, 406),
    "bad inference id": (BODY, {"x_inference_id": "a b"}, 400),
    "long inference id": (BODY, {"x_inference_id": "a" * 65}, 400),
    "another method": (BODY, {"method": "PUT"}, 405),
    "another path": (BODY, {"path": "/admin"}, 404),
}


@MODES
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_and_counts_against_the_client_alone(serve, event, serving, mistake):
    body, request, status = MISTAKES[mistake]
    served = serve(serving, max_instances=3)
    answer, record = served.ask(event(body, **request))
    problem = json.loads(answer["body"])
    assert answer["statusCode"] == problem["status"] == record["status"] == status
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert answer["headers"]["X-Release"] == served.environment.release
    assert problem["title"]
    assert problem["detail"]
    assert _blamed(record) == CLIENT
    is_models_to_tell = status == 422
    assert bool(served.endpoint.asked) == (is_models_to_tell and serving == "endpoint")
    # A mistake does not change what is known of the model's speed.
    assert ("Latency" in record) == is_models_to_tell


@MODES
def test_another_method_is_told_the_right_one(serve, event, serving):
    served = serve(serving)
    assert served.ask(event(method="GET"))[0]["headers"]["Allow"] == "POST"
    assert served.ask(event(path="/health"))[0]["headers"]["Allow"] == "GET"


@pytest.mark.exhaustive
def test_ten_thousand_spoilt_requests_cost_the_release_nothing(serve, event):
    served = serve("lambda", max_instances=3)
    chance = random.Random(20)
    letters = '{}[]",:.0123456789eE+-nultrasyxize \t\n\\\x00\u00e9\ud800'
    predicted = 0
    for _ in range(10_000):
        body = list(BODY)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(body))
            body[place : place + chance.randint(0, 2)] = chance.choice(letters)
        answer, record = served.ask(event("".join(body)))
        assert answer["statusCode"] in (200, 400, 413, 422)
        assert _blamed(record) in (NOBODY, CLIENT)
        predicted += answer["statusCode"] == 200
    assert 0 < predicted < 5_000


TOKENS = st.sampled_from(
    ['{"instances":', "[", "]", "{", "}", ",", '"x":', '"size":', "1", "null", "NaN", '"a"', "1e39"]
)


@pytest.mark.exhaustive
@MODES
def test_refuses_in_the_words_of_the_container(serve, event, serving):
    served = serve(serving)

    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(
        st.text(max_size=20) | st.lists(TOKENS, max_size=12).map("".join),
        st.sampled_from(["application/json", CSV, LINES, "text/csv; header=present"]),
        st.sampled_from(["", "*/*", CSV, "text/html", "application/json;q=0.1, text/csv"]),
    )
    def check(body: str, content_type: str, accept: str) -> None:
        answer, record = served.ask(event(body, content_type=content_type, accept=accept))
        try:
            exchange = served.endpoint.inference.agree(content_type.encode(), accept.encode())
            served.endpoint.inference.answer(exchange, [body.encode()])
        except RequestError as error:
            assert answer["statusCode"] == error.status
            assert json.loads(answer["body"])["detail"] == str(error)
            assert _blamed(record) == CLIENT
        else:
            assert answer["statusCode"] == 200
            assert _blamed(record) == NOBODY

    check()


@pytest.mark.exhaustive
@MODES
def test_an_answer_that_lambda_could_not_carry_is_the_clients_mistake(serve, event, serving):
    served = serve(serving, max_instances=1_000_000, problem="multiclass")
    rows = [[0, 0, ""]] * 60_000
    answer, record = served.ask(event(json.dumps({"instances": rows})))
    assert answer["statusCode"] == 413
    assert _blamed(record) == CLIENT


# --- failures of models -------------------------------------------------------------------------


def _service_error(code: str, status: int) -> Any:
    return lambda _: (status, {"x-amzn-ErrorType": code}, b'{"Message": "because"}')


def _model_error(status: int, message: str = "") -> Any:
    body = {"OriginalStatusCode": status, "OriginalMessage": message, "Message": "Received error"}
    return lambda _: (424, {"x-amzn-ErrorType": "ModelError"}, json.dumps(body).encode())


def _answers(content: bytes) -> Any:
    return lambda _: (200, {"Content-Type": "application/json"}, content)


def _prediction(score: Any = 0.5, label: Any = "yes") -> bytes:
    return json.dumps({"predictions": [{"score": score, "predicted_label": label}]}).encode()


FAILURES = {
    "raises": (_model_error(500, '{"detail": "The endpoint\'s log says why."}'), 502),
    "refuses what the contract allows": (_model_error(400, '{"detail": "no such column"}'), 502),
    "says it is too large": (_model_error(413), 502),
    "is loading": (_model_error(503), 503),
    "is too slow for SageMaker": (_model_error(0, "Your invocation timed out"), 504),
    "is too slow for nginx": (_model_error(504), 504),
    "is not there": (_service_error("ValidationError", 400), 502),
    "may not be asked": (_service_error("AccessDeniedException", 403), 502),
    "is not ready": (_service_error("ModelNotReadyException", 429), 503),
    "has no instance": (_service_error("ServiceUnavailable", 503), 503),
    "is behind a fault": (_service_error("InternalFailure", 500), 503),
    "hangs up": (lambda _: None, 503),
    "answers nothing": (_answers(b""), 502),
    "answers no JSON": (_answers(b"NaN"), 502),
    "answers another document": (_answers(b'{"score": 1}'), 502),
    "answers too few": (_answers(b'{"predictions": []}'), 502),
    "answers too many": (_answers(_prediction()[:-2] + b", " + _prediction()[17:]), 502),
    "answers another label": (_answers(_prediction(label="maybe")), 502),
    "answers a list for a label": (_answers(_prediction(label=["yes"])), 502),
    "answers no probability": (_answers(_prediction(score=1.5)), 502),
    "answers true": (_answers(_prediction(score=True)), 502),
    "answers text": (_answers(_prediction(score="0.5")), 502),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_counts_against_the_release_alone(serve, event, failure):
    served = serve("endpoint")
    served.endpoint.answer, status = FAILURES[failure]
    answer, record = served.ask(event(json.dumps({"instances": [ROW]})))
    problem = json.loads(answer["body"])
    assert answer["statusCode"] == problem["status"] == record["status"] == status
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert answer["headers"]["X-Release"] == served.environment.release
    assert _blamed(record) == MODEL
    assert record["reason"]
    assert "Latency" in record
    assert "because" not in answer["body"]  # nothing of the inside


@pytest.mark.parametrize(
    "answer", [b"yes\n", b"0.5\n0.5\n", b"", b"1.5\n", b"nan\n", b'"\n', b"1,1"]
)
def test_csv_that_is_no_answer_counts_against_the_release(serve, event, answer):
    served = serve("endpoint")
    served.endpoint.answer = _answers(answer)
    found, record = served.ask(event("1,2,high\n", content_type=CSV))
    assert found["statusCode"] == 502
    assert _blamed(record) == MODEL


@pytest.mark.exhaustive
def test_a_slow_model_is_given_up_before_lambda_gives_up(serve, event):
    served = serve("endpoint", timeout_seconds=3)
    answered = threading.Event()

    def hold(_: Any) -> None:
        answered.wait(10)

    served.endpoint.answer = hold
    answer, record = served.ask(event(BODY))
    answered.set()
    assert answer["statusCode"] == 504
    assert _blamed(record) == MODEL
    assert 1000 <= record["Latency"] < 2500
    assert len(served.endpoint.asked) == 1  # a slow model is not asked again


def test_a_connection_that_died_while_the_function_slept_costs_nobody_a_failure(serve, event):
    served = serve("endpoint")
    served.ask(event(BODY))

    def hang_up_once(_: Any) -> None:
        served.endpoint.answer = served.endpoint.predict

    served.endpoint.answer = hang_up_once
    answer, record = served.ask(event(BODY))
    assert answer["statusCode"] == 200
    assert _blamed(record) == NOBODY
    assert len(served.endpoint.asked) == 3


def test_throttling_is_nobodys_failure(serve, event):
    served = serve("endpoint")
    served.endpoint.answer = _service_error("ThrottlingException", 400)
    answer, record = served.ask(event(BODY))
    assert answer["statusCode"] == 429
    assert int(answer["headers"]["Retry-After"]) >= 1
    assert _blamed(record) == NOBODY


class _BrokenModel:
    def answer(self, question: Any) -> bytes:
        raise RuntimeError(f"cannot predict {question.body!r}")


@MODES
def test_what_nobody_foresaw_counts_against_the_release(serve, event, serving):
    served = serve(serving)
    questions, _ = served.api._open()
    api = Api(served.environment, lambda _: (questions, _BrokenModel()), write=served.lines.append)
    answer = api.answer(event(BODY))
    record = json.loads(served.lines[-1])
    assert answer["statusCode"] == 500
    assert _blamed(record) == MODEL
    assert record["error"] == "RuntimeError"
    assert any("answer" in place for place in record["at"])
    assert "cannot predict" not in served.lines[-1]  # its message may hold values


def test_a_graph_that_raises_counts_against_the_release(serve, event):
    served = serve("lambda")
    _, model = served.api._open()

    def fail(question: Any) -> bytes:
        raise RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT")

    model._predict = fail
    answer, record = served.ask(event(BODY))
    assert answer["statusCode"] == 502
    assert _blamed(record) == MODEL


@pytest.mark.parametrize(
    ("serving", "name"),
    [("endpoint", "model.json"), ("lambda", "model.json"), ("lambda", "model.onnx")],
)
def test_a_release_that_is_not_there_is_tried_again(serve, event, serving, name):
    served = serve(serving)
    path = served.environment.folder / name
    content = path.read_bytes()
    path.unlink()
    answer, record = served.ask(event(BODY))
    assert answer["statusCode"] == 503
    assert _blamed(record) == MODEL
    assert name in record["reason"]
    path.write_bytes(content)
    assert served.ask(event(BODY))[0]["statusCode"] == 200


def test_another_graph_than_the_contracts_is_never_asked(serve, event):
    served = serve("lambda")
    path = served.environment.folder / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\n")
    answer, record = served.ask(event(BODY))
    assert answer["statusCode"] == 503
    assert "SHA-256" in record["reason"]


# --- health -------------------------------------------------------------------------------------


@MODES
def test_health_asks_the_model(serve, event, serving):
    served = serve(serving)
    answer, record = served.ask(event(path="/health", method="GET"))
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {
        "status": "ok", "release": served.environment.release, "serving": serving,
    }  # fmt: skip
    assert record["inference_id"].startswith("synthetic-health-")
    assert len(served.endpoint.asked) == (serving == "endpoint")


def test_health_of_a_model_that_fails_is_bad(serve, event):
    served = serve("endpoint")
    served.endpoint.answer = _model_error(500)
    answer, record = served.ask(event(path="/health", method="GET"))
    assert answer["statusCode"] == 502
    assert _blamed(record) == MODEL


# --- records ------------------------------------------------------------------------------------


def test_what_a_functions_start_costs_is_not_the_models_latency(serve, event):
    seconds = iter(range(100))
    served = serve("endpoint")

    def open_slowly(environment):
        for _ in range(30):  # of the clock
            next(seconds)
        return open_release(environment)

    written: list[str] = []
    api = Api(
        served.environment, open_slowly, clock=lambda: float(next(seconds)), write=written.append
    )
    for _ in range(2):
        assert api.answer(event(BODY))["statusCode"] == 200
    first, second = map(json.loads, written)
    assert first["opening_ms"] == 31_000
    assert first["Latency"] == second["Latency"] == 1000


@MODES
def test_a_record_is_a_metric_of_project_and_release(serve, event, serving):
    served = serve(serving)
    _, record = served.ask(event(BODY))
    (directive,) = record["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "MLSystem"
    assert directive["Dimensions"] == [["Project", "Release"], ["Project"]]
    assert {metric["Name"] for metric in directive["Metrics"]} == {
        "Requests", "ClientErrors", "ModelErrors", "Latency",
    }  # fmt: skip
    for metric in directive["Metrics"]:
        assert isinstance(record[metric["Name"]], int | float)
    assert record["Project"] == served.environment.project_key
    assert record["Release"] == served.environment.release
    assert isinstance(record["_aws"]["Timestamp"], int)


@MODES
def test_no_record_has_a_value_of_a_request(serve, event, serving):
    served = serve(serving)
    secret = "Zebedee-4711"
    bodies = [
        json.dumps({"instances": [{**ROW, "size": secret}]}),
        json.dumps({"instances": [{**ROW, "x": secret}]}),
        json.dumps({"instances": [{**ROW, secret: 1}]}),
        json.dumps({secret: []}),
        f'{{"instances": [{secret}]}}',
    ]
    for body in bodies:
        served.ask(event(body))
    served.ask(event(f"1,{secret},high\n", content_type=CSV))
    served.ask(event(BODY, content_type=secret, accept=secret))
    served.ask(event(BODY, x_inference_id=f"{secret} {secret}"))
    if serving == "endpoint":
        for status in (400, 422, 500):
            served.endpoint.answer = _model_error(status, json.dumps({"detail": secret}))
            served.ask(event(BODY))
    assert len(served.lines) >= 8
    assert secret not in "".join(served.lines)


# --- the function -------------------------------------------------------------------------------


def test_importing_the_handler_loads_nothing_that_it_does_not_need():
    script = (
        "import sys, api.app\n"
        "heavy = {'numpy', 'onnxruntime', 'botocore', 'boto3', 'orjson', 'asyncio', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CODE)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_handler_reads_its_environment(serve, event, monkeypatch, capsys):
    served = serve("endpoint")
    environment = served.environment
    for name, value in {
        "PROJECT_KEY": environment.project_key,
        "RELEASE": environment.release,
        "SERVING": "endpoint",
        "ENDPOINT_NAME": environment.endpoint_name,
        "ASSETS_DIR": str(environment.assets_dir),
        "TIMEOUT_SECONDS": "3",
        "MAX_INSTANCES": "10",
    }.items():
        monkeypatch.setenv(name, value)
    assert handler(event(BODY), None)["statusCode"] == 200
    assert json.loads(capsys.readouterr().out)["Requests"] == 1
