"""Questions to an endpoint, and what counts as the right answer."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from local_cloud import endpoint_client
from local_cloud.errors import LocalCloudError
from local_cloud.summary import Prediction


class Endpoint(BaseHTTPRequestHandler):
    answer: ClassVar = {"score": 0.25, "predicted_label": "no"}
    status = 200

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.status != 200:
            body = b'{"detail": "row 1: 2 values"}'
        elif self.headers["Accept"] == "text/csv":
            body = f"{self.answer['predicted_label']}\n".encode()
        else:
            body = json.dumps({"predictions": [self.answer]}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneTest", (Endpoint,), {}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def address(server):
    return f"http://127.0.0.1:{server.server_port}/invocations"


def golden(**expected):
    request = {
        "content_type": "application/json", "accept": "application/json",
        "body": '{"instances": [{"age": 3}]}', "expected": expected,
    }  # fmt: skip
    return {"tolerance": 1e-3, "requests": [request]}


@pytest.mark.parametrize(
    ("expected", "answered"),
    [
        ({"score": 0.2505, "predicted_label": "no"}, 1),
        ({"score": 0.2515, "predicted_label": "no"}, 0),
        ({"score": 0.25, "predicted_label": "yes"}, 0),
        ({"score": 0.25}, 0),
        ({"score": "0.25", "predicted_label": "no"}, 0),
    ],
)
def test_an_answer_is_right_within_the_tolerance_and_with_the_same_keys(url, expected, answered):
    assert endpoint_client.check(address(url), golden(**expected)) == {
        "sent": 1,
        "answered": answered,
    }


def test_examples_are_asked_as_csv(url):
    assert endpoint_client.ask(address(url), ["1,2"], golden(), labels=True) == [
        Prediction("1,2", "no")
    ]


def test_without_examples_test_rows_are_asked(url):
    assert endpoint_client.ask(address(url), [], golden(), labels=True) == [
        Prediction({"age": 3}, "no")
    ]


@pytest.mark.parametrize(("labels", "expected"), [(True, "22.5"), (False, 22.5)])
def test_a_score_is_a_number_and_a_label_is_text(url, labels, expected):
    url.RequestHandlerClass.answer = {"predicted_label": "22.5"}
    asked = endpoint_client.ask(address(url), ["1"], golden(), labels=labels)
    assert asked == [Prediction("1", expected)]


def test_a_refusal_carries_the_endpoints_reason(url):
    url.RequestHandlerClass.status = 400
    with pytest.raises(LocalCloudError, match="row 1: 2 values"):
        endpoint_client.ask(address(url), ["1"], golden(), labels=False)
