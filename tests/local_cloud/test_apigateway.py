"""API Gateway: requests over HTTP to deployed APIs, whose functions are real processes."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import http.client
import itertools
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import hypothesis.strategies as st
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.exceptions import ClientError
from hypothesis import given, settings

from local_cloud.apigateway import address
from local_cloud.apigateway.definition import Definition
from local_cloud.apigateway.proxy import answer_of
from local_cloud.apigateway.request import ClientRequest
from local_cloud.apigateway.responses import RefusedError, filled
from local_cloud.apigateway.throttling import Buckets, Quotas
from local_cloud.cloud import LocalCloud
from local_cloud.iam import Credentials
from local_cloud.lambda_functions import functions
from local_cloud.metrics import Metric

from .cloudformation.conftest import Driver
from .conftest import MakeRole, wait_for
from .function_account import FunctionAccount

_NUMBERS = itertools.count()

SCHEMA = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "required": ["instances"],
    "properties": {
        "instances": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {"type": ["object", "array"]},
        }
    },
    "additionalProperties": False,
}
LOG_FORMAT = json.dumps(
    {
        "request": "$context.requestId",
        "status": "$context.status",
        "path": "$context.resourcePath",
        "caller": "$context.identity.userArn",
        "refused": "$context.error.responseType",
        "latency": "$context.responseLatency",
        "function": "$context.integrationLatency",
    }
)


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Client:
    """Sends requests to one API, signed when there are credentials."""

    def __init__(self, cloud: LocalCloud, api_id: str, stage: str = "prod") -> None:
        self.cloud = cloud
        self.api_id = api_id
        host = f"{api_id}.execute-api.{cloud.region}.amazonaws.com"
        self.url = address(cloud, f"https://{host}/{stage}")

    def send(
        self,
        path: str = "/open",
        body: str | bytes = "{}",
        *,
        verb: str = "POST",
        credentials: Credentials | None = None,
        service: str = "execute-api",
        region: str | None = None,
        at: str = "",
        **headers: str,
    ) -> Answer:
        url = f"{self.url}{path}"
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "application/json", **named}
        if credentials is not None:
            scope = (service, region or self.cloud.region)
            sent |= signed(AWSRequest(verb, url, headers=sent, data=data), credentials, scope, at)
        return ask(verb, url, sent, data)

    def administrator(self) -> Credentials:
        return self.cloud.account.administrator.credentials


def ask(verb: str, url: str, headers: dict[str, str], data: bytes) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(verb, target, data, headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def signed(
    request: AWSRequest, credentials: Credentials, scope: tuple[str, str], at: str = ""
) -> dict[str, str]:
    """The headers that a signature adds; made at another time, if wanted."""
    before = set(request.headers)
    keys = BotocoreCredentials(
        credentials.access_key, credentials.secret_key, credentials.session_token or None
    )
    signer = SigV4Auth(keys, *scope)
    signer.add_auth(request)
    if at:
        del request.headers["Authorization"]
        request.headers.replace_header("X-Amz-Date", at)
        request.context["timestamp"] = at
        text = signer.string_to_sign(request, signer.canonical_request(request))
        signer._inject_signature_to_request(request, signer.signature(text, request))
    return {name: value for name, value in request.headers.items() if name not in before}


@pytest.fixture(scope="module")
def account(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> FunctionAccount:
    """An account for this module."""
    return FunctionAccount(cloud, tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def function(account: FunctionAccount) -> str:
    """A function that answers as a proxied one must, and the one that APIs may invoke."""
    name = account.make(Environment={"Variables": {"RELEASE": "r-1"}})
    account.client.add_permission(
        FunctionName=name,
        StatementId="apis",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceAccount=account.cloud.account_id,
    )
    return name


@pytest.fixture(scope="module")
def writer(cloud: LocalCloud, make_role: MakeRole) -> str:
    """The role with which API Gateway writes logs."""
    return make_role(("logs:*", "*"), service="apigateway.amazonaws.com")


@pytest.fixture(scope="module")
def stacks(cloud: LocalCloud) -> Driver:
    """Stacks of the administrator."""
    return Driver(cloud.client("cloudformation"))


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::ApiGateway::{kind}", "Properties": properties}


def ref(name: str) -> dict[str, Any]:
    return {"Ref": name}


def method(function_arn: str, path: str, verb: str = "POST", **properties: Any) -> dict[str, Any]:
    functions = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions"
    return resource(
        "Method",
        RestApiId=ref("Api"),
        ResourceId=ref(path),
        HttpMethod=verb,
        Integration={
            "Type": "AWS_PROXY",
            "IntegrationHttpMethod": "POST",
            "Uri": {"Fn::Sub": f"{functions}/{function_arn}/invocations"},
            **properties.pop("Integration", {}),
        },
        **{"AuthorizationType": "NONE", **properties},
    )


def path_of(part: str, parent: Any = None) -> dict[str, Any]:
    root = {"Fn::GetAtt": ["Api", "RootResourceId"]}
    return resource("Resource", RestApiId=ref("Api"), ParentId=parent or root, PathPart=part)


def template(account: FunctionAccount, function: str, writer: str) -> dict[str, Any]:
    """Methods for everybody, for signed requests and for keys, with a model and answers."""
    arn = functions().arn(function)
    checked = {
        "RequestValidatorId": ref("Validator"),
        "RequestModels": {"application/json": ref("Model")},
    }
    methods = {
        "OpenPost": method(arn, "Open"),
        "OpenGet": method(arn, "Open", "GET"),
        "SignedPost": method(arn, "Signed", AuthorizationType="AWS_IAM"),
        "KeyedPost": method(arn, "Keyed", ApiKeyRequired=True),
        "CheckedPost": method(arn, "Checked", **checked),
        "CheckedGet": method(
            arn,
            "Checked",
            "GET",
            RequestValidatorId=ref("Validator"),
            RequestParameters={"method.request.querystring.q": True,
                               "method.request.header.X-Wanted": True},
        ),
        "ThrottledPost": method(arn, "Throttled"),
        "SlowPost": method(arn, "Slow", Integration={"TimeoutInMillis": 200}),
        "ItemAny": method(arn, "Item", "ANY"),
    }  # fmt: skip
    problem = (
        '{"title":$context.error.messageString,"detail":"$context.error.validationErrorString"}'
    )
    return {
        "Resources": {
            "Account": resource("Account", CloudWatchRoleArn=writer),
            "Api": resource(
                "RestApi",
                Name="predictions",
                BinaryMediaTypes=["image/png"],
                EndpointConfiguration={"Types": ["REGIONAL"]},
            ),
            **{
                name: path_of(name.lower())
                for name in ("Open", "Signed", "Keyed", "Checked", "Throttled", "Slow", "Items")
            },
            "Item": path_of("{id}", ref("Items")),
            "Validator": resource(
                "RequestValidator",
                RestApiId=ref("Api"),
                Name="both",
                ValidateRequestBody=True,
                ValidateRequestParameters=True,
            ),
            "Model": resource(
                "Model",
                RestApiId=ref("Api"),
                Name="Request",
                ContentType="application/json",
                Schema=SCHEMA,
            ),
            "BadBody": resource(
                "GatewayResponse",
                RestApiId=ref("Api"),
                ResponseType="BAD_REQUEST_BODY",
                ResponseTemplates={"application/json": problem},
                ResponseParameters={
                    "gatewayresponse.header.Content-Type": "'application/problem+json'"
                },
            ),
            **methods,
            "Deployment": {
                **resource("Deployment", RestApiId=ref("Api")),
                "DependsOn": [*methods, "BadBody"],
            },
            "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/api/access"}},
            "Stage": {
                **resource(
                    "Stage",
                    RestApiId=ref("Api"),
                    DeploymentId=ref("Deployment"),
                    StageName="prod",
                    Variables={"colour": "red"},
                    AccessLogSetting={
                        "DestinationArn": {"Fn::GetAtt": ["Log", "Arn"]},
                        "Format": LOG_FORMAT,
                    },
                    MethodSettings=[
                        {"ResourcePath": "/*", "HttpMethod": "*", "MetricsEnabled": True},
                        {
                            "ResourcePath": "/throttled",
                            "HttpMethod": "POST",
                            "ThrottlingRateLimit": 0.01,
                            "ThrottlingBurstLimit": 3,
                        },
                    ],
                ),
                "DependsOn": "Account",
            },
            "Key": resource("ApiKey", Enabled=True, Value="a-key-of-twenty-letters"),
            "Disabled": resource("ApiKey", Enabled=False, Value="another-key-of-twenty"),
            "Stranger": resource("ApiKey", Enabled=True, Value="a-strangers-key-of-20"),
            "Plan": {
                **resource(
                    "UsagePlan",
                    ApiStages=[{"ApiId": ref("Api"), "Stage": ref("Stage")}],
                    Quota={"Limit": 4, "Period": "DAY"},
                    Throttle={"RateLimit": 0.01, "BurstLimit": 6},
                ),
            },
            "PlanKey": resource(
                "UsagePlanKey", KeyId=ref("Key"), KeyType="API_KEY", UsagePlanId=ref("Plan")
            ),
            "PlanDisabled": resource(
                "UsagePlanKey", KeyId=ref("Disabled"), KeyType="API_KEY", UsagePlanId=ref("Plan")
            ),
        },
        "Outputs": {"Api": {"Value": ref("Api")}, "Plan": {"Value": ref("Plan")}},
    }


def another(account: FunctionAccount, function: str, writer: str) -> dict[str, Any]:
    """The same for another stack, without what there can be only one of."""
    found = template(account, function, writer)
    for name in ("Log", "Key", "Disabled", "Stranger", "PlanKey", "PlanDisabled"):
        del found["Resources"][name]
    del found["Resources"]["Stage"]["Properties"]["AccessLogSetting"]
    return found


@pytest.fixture(scope="module")
def api(account: FunctionAccount, function: str, writer: str, stacks: Driver) -> Client:
    """A deployed API."""
    name = f"api-{next(_NUMBERS)}"
    stack = stacks.create(name, template(account, function, writer))
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return Client(account.cloud, stacks.outputs(name)["Api"])


# ------------------------------------------------------------------------------ proxy


def test_a_request_is_the_function_s_event(api: Client) -> None:
    answer = api.send("/open?a=1&a=2&b=", '{"x": "ü"}', X_Inference_Id="i-1", User_Agent="me")
    event = answer.document
    assert answer.status == 201
    assert event["httpMethod"] == "POST"
    assert (event["path"], event["resource"]) == ("/open", "/open")
    assert (event["body"], event["isBase64Encoded"]) == ('{"x": "ü"}', False)
    assert event["queryStringParameters"] == {"a": "2", "b": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""]}
    assert event["headers"]["X-Inference-Id"] == "i-1"
    assert event["headers"]["X-Forwarded-Proto"] == "https"
    host = f"{api.api_id}.execute-api.xx-local-1.amazonaws.com"
    assert event["headers"]["Host"] == host
    assert event["multiValueHeaders"]["X-Inference-Id"] == ["i-1"]
    assert event["pathParameters"] is None
    assert event["stageVariables"] == {"colour": "red"}
    context = event["requestContext"]
    assert context["requestId"] == answer.headers["x-amzn-RequestId"]
    assert (context["stage"], context["path"]) == ("prod", "/prod/open")
    assert (context["apiId"], context["domainName"]) == (api.api_id, host)
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["identity"]["userAgent"] == "me"
    assert context["identity"]["userArn"] is None


def test_the_answer_is_the_function_s(api: Client) -> None:
    answer = api.send()
    assert answer.headers["X-Release"] == "r-1"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Many"] in {"a", "b"}  # twice; a dictionary keeps one
    assert {"x-amz-apigw-id", "X-Amzn-Trace-Id"} <= set(answer.headers)


def test_parts_of_the_path_are_parameters(api: Client) -> None:
    event = api.send("/items/seven%20up", verb="PUT").document
    assert event["pathParameters"] == {"id": "seven up"}
    assert event["resource"] == "/items/{id}"


def test_bytes_travel_as_base64(api: Client) -> None:
    answer = api.send(body=b"\x00\xff", Content_Type="image/png")
    event = answer.document
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\x00\xff"
    assert api.send(body="binary", Accept="image/png").body == b"\x00\x01\xff"
    assert api.send(body="binary").body == b"AAH/"


@pytest.mark.parametrize("body", ["nonsense", "raise"])
def test_a_function_that_fails_is_a_502(api: Client, body: str) -> None:
    answer = api.send(body=body)
    assert answer.status == 502
    assert answer.document == {"message": "Internal server error"}
    assert answer.headers["x-amzn-ErrorType"] == "InternalServerErrorException"


def test_a_function_that_is_late_is_a_504(api: Client) -> None:
    api.send("/slow", "warm")
    answer = api.send("/slow", "sleep")
    assert answer.status == 504
    assert answer.document == {"message": "Endpoint request timed out"}


def test_what_there_is_not_is_a_403(api: Client) -> None:
    for path, verb in (("/nothing", "POST"), ("/open", "DELETE"), ("/", "GET")):
        answer = api.send(path, verb=verb)
        assert answer.status == 403
        assert answer.document == {"message": "Missing Authentication Token"}
    assert Client(api.cloud, api.api_id, "test").send().document == {"message": "Forbidden"}


def test_too_much_is_a_413(api: Client) -> None:
    assert api.send(body=b"x" * 10_485_761).status == 413
    assert api.send(body=b"x" * 6_291_456).document == {"message": "Request Too Long"}


def test_a_function_without_the_permission_is_a_500(
    account: FunctionAccount, writer: str, stacks: Driver
) -> None:
    unwilling = account.make()
    stacks.create("unwilling", another(account, unwilling, writer))
    api = Client(account.cloud, stacks.outputs("unwilling")["Api"])
    answer = api.send()
    assert (answer.status, answer.document) == (500, {"message": "Internal server error"})


# ------------------------------------------------------------------------------ signatures


def test_a_signed_request_tells_the_function_who_it_is(
    api: Client, cloud: LocalCloud, make_role: MakeRole
) -> None:
    arn = f"arn:aws:execute-api:xx-local-1:000000000000:{api.api_id}/prod/POST/signed"
    role_arn = make_role(("execute-api:Invoke", arn))
    credentials = cloud.credentials(role_arn, "sagemaker.amazonaws.com")
    answer = api.send("/signed", credentials=credentials)
    assert answer.status == 201
    event = answer.document
    assert event["requestContext"]["identity"]["userArn"].endswith("/sagemaker")
    assert event["requestContext"]["identity"]["accessKey"] == credentials.access_key
    assert "Authorization" not in event["headers"]
    assert api.send("/signed", credentials=api.administrator()).status == 201


def test_a_signed_request_to_the_api_s_own_name(api: Client) -> None:
    host = f"{api.api_id}.execute-api.xx-local-1.amazonaws.com"
    headers = {"Content-Type": "application/json"}
    request = AWSRequest("POST", f"https://{host}/prod/signed", headers=headers, data=b"{}")
    named = signed(request, api.administrator(), ("execute-api", "xx-local-1"))
    url = f"{api.cloud.endpoint_url}/prod/signed"
    answer = ask("POST", url, {**headers, **named, "Host": host}, b"{}")
    assert answer.status == 201
    assert ask("POST", url, {**headers, "Host": f"nobody{host[6:]}"}, b"{}").status == 403


def test_an_unsigned_request_is_a_403(api: Client) -> None:
    answer = api.send("/signed")
    assert answer.status == 403
    assert answer.document == {"message": "Missing Authentication Token"}
    assert answer.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    answer = api.send("/signed", Authorization="Bearer x")
    assert answer.status == 403
    assert answer.headers["x-amzn-ErrorType"] == "IncompleteSignatureException"


def test_a_role_without_the_permission_is_a_403(
    api: Client, cloud: LocalCloud, make_role: MakeRole
) -> None:
    other = f"arn:aws:execute-api:xx-local-1:000000000000:{api.api_id}/prod/GET/*"
    role_arn = make_role(("execute-api:Invoke", other))
    credentials = cloud.credentials(role_arn, "sagemaker.amazonaws.com")
    answer = api.send("/signed", credentials=credentials)
    assert answer.status == 403
    message = answer.document["message"]
    assert "is not authorized to perform: execute-api:Invoke on resource" in message
    assert f"xx-local-1:********:{api.api_id}/prod/POST/signed" in message


def test_a_wrong_signature_is_a_403(api: Client, make_role: MakeRole) -> None:
    right = api.administrator()
    session = api.cloud.credentials(make_role(("*", "*")), "sagemaker.amazonaws.com")
    stolen = dataclasses.replace(session, session_token="another")
    wrong = dataclasses.replace(right, secret_key="wrong")
    unknown = dataclasses.replace(right, access_key="AKIAUNKNOWN")
    old = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=6)).strftime("%Y%m%dT%H%M%SZ")
    for options, text in (
        ({"credentials": wrong}, "does not match the signature you provided"),
        ({"credentials": unknown}, "security token included in the request is invalid"),
        ({"credentials": stolen}, "security token included in the request is invalid"),
        ({"credentials": right, "service": "lambda"}, "correct service: 'execute-api'"),
        ({"credentials": right, "region": "us-east-1"}, "valid region, not 'us-east-1'"),
        ({"credentials": right, "at": old}, "Signature expired"),
    ):
        answer = api.send("/signed", **options)  # type: ignore[arg-type]
        assert answer.status == 403
        assert text in answer.document["message"]


def test_a_body_that_was_changed_on_the_way_is_a_403(api: Client) -> None:
    url = f"{api.url}/signed"
    headers = {"Content-Type": "application/json"}
    request = AWSRequest("POST", url, headers=headers, data=b"{}")
    named = signed(request, api.administrator(), ("execute-api", "xx-local-1"))
    assert ask("POST", url, {**headers, **named}, b"[]").status == 403


# ------------------------------------------------------------------------------ keys, limits


def test_a_key_is_needed_that_a_plan_knows(api: Client) -> None:
    for key in ("", "no-key", "another-key-of-twenty", "a-strangers-key-of-20"):
        answer = api.send("/keyed", x_api_key=key)
        assert (answer.status, answer.document) == (403, {"message": "Forbidden"})


def test_a_plan_has_a_quota_and_a_rate(api: Client) -> None:
    answers = [api.send("/keyed", x_api_key="a-key-of-twenty-letters") for _ in range(7)]
    assert [answer.status for answer in answers] == [201] * 4 + [429] * 3
    assert answers[0].document["requestContext"]["identity"]["apiKey"] == "a-key-of-twenty-letters"
    assert answers[4].document == {"message": "Limit Exceeded"}
    assert answers[6].document == {"message": "Too Many Requests"}


def test_a_method_has_a_rate(api: Client) -> None:
    answers = [api.send("/throttled") for _ in range(5)]
    assert sorted(answer.status for answer in answers) == [201] * 3 + [429] * 2
    assert api.send().status == 201  # the others have none


def test_a_bucket_fills_with_time() -> None:
    moment = [0.0]
    buckets = Buckets(lambda: moment[0])
    assert [buckets.take("a", 2.0, 3.0) for _ in range(4)] == [True, True, True, False]
    moment[0] = 0.5
    assert [buckets.take("a", 2.0, 3.0) for _ in range(2)] == [True, False]
    assert buckets.take("b", 2.0, 3.0)
    moment[0] = 100.0
    assert [buckets.take("a", 2.0, 3.0) for _ in range(4)] == [True, True, True, False]
    assert not buckets.take("c", 0.0, 0.0)


@pytest.mark.parametrize(
    ("period", "later"), [("DAY", "2026-11-21"), ("WEEK", "2026-11-23"), ("MONTH", "2026-12-01")]
)
def test_a_quota_begins_anew(period: str, later: str) -> None:
    today = [dt.date(2026, 11, 20)]
    quotas = Quotas(lambda: today[0])
    quota = {"limit": 2, "period": period}
    assert [quotas.take("k", quota) for _ in range(3)] == [True, True, False]
    today[0] = dt.date.fromisoformat(later)
    assert quotas.take("k", quota)


# ------------------------------------------------------------------------------ validation


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("{}", 'object has missing required properties (["instances"])'),
        ('{"instances": []}', "array is too short: must have at least 1 elements but"),
        ('{"instances": [[], [], [], []]}', "array is too long: must have at most 3 elements"),
        ('{"instances": [1]}', "instance type (integer) does not match any allowed primitive"),
        ('{"instances": [{}], "x": 1}', 'properties which are not allowed by the schema: ["x"]'),
        ("[]", 'instance type (array) does not match any allowed primitive types (allowed: ["obj'),
        ("no json", "Error validating request body"),
        ('{"instances": [[NaN]]}', "Error validating request body"),
        ("[" * 100_000, "Error validating request body"),
        ("", "Error validating request body"),
    ],
)  # fmt: skip
def test_a_body_must_be_what_the_model_says(api: Client, body: str, problem: str) -> None:
    answer = api.send("/checked", body)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.document["title"] == "Invalid request body"
    assert problem in answer.document["detail"]


def test_a_right_body_passes_and_other_media_types_are_not_looked_at(api: Client) -> None:
    assert api.send("/checked", '{"instances": [{"a": 1}, [1, 2]]}').status == 201
    assert api.send("/checked", "{}", Content_Type="application/json; charset=utf-8").status == 400
    assert api.send("/checked", "a,b", Content_Type="text/csv").status == 201


def test_required_parameters_must_be_there(api: Client) -> None:
    answer = api.send("/checked", verb="GET")
    assert answer.status == 400
    assert answer.document == {"message": "Missing required request parameters: [q, X-Wanted]"}
    assert api.send("/checked?q=1", verb="GET", x_wanted="yes").status == 201


# ------------------------------------------------------------------------------ logs, metrics


def test_each_request_has_a_line_without_its_content(api: Client, cloud: LocalCloud) -> None:
    path = cloud.root / "logs" / "api" / "access" / api.api_id / "prod.log"

    def line_of(answer: Answer) -> dict[str, str] | None:
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        request = answer.headers["x-amzn-RequestId"]
        return next((line for line in found if line["request"] == request), None)

    good, bad = api.send(body="secret"), api.send("/signed", "secret")
    line = wait_for(lambda: line_of(good))
    assert (line["status"], line["path"], line["caller"]) == ("201", "/open", "-")
    assert line["refused"] == "-"
    assert int(line["latency"]) >= int(line["function"]) >= 0
    line = wait_for(lambda: line_of(bad))
    assert (line["status"], line["refused"]) == ("403", "MISSING_AUTHENTICATION_TOKEN")
    assert line["function"] == "-"
    assert "secret" not in path.read_text()
    logs = cloud.client("logs")
    wait_for(lambda: logs.filter_log_events(logGroupName="/api/access")["events"])


def test_requests_are_counted(api: Client, cloud: LocalCloud) -> None:
    def seen(name: str, **dimensions: str) -> float:
        metric = Metric.of("AWS/ApiGateway", name, {"ApiName": "predictions", **dimensions})
        return cloud.metrics.read(metric, 0, 1 << 60).total

    names = ("Count", "4XXError", "5XXError")
    before = [seen(name, Stage="prod") for name in names]
    method = {"Stage": "prod", "Method": "POST", "Resource": "/open"}
    of_method = seen("Count", **method)
    api.send()
    api.send("/signed")
    api.send(body="raise")
    after = [seen(name, Stage="prod") for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 1, 1]
    assert seen("Count", **method) - of_method == 2
    assert seen("Latency", Stage="prod") > seen("IntegrationLatency", Stage="prod") > 0


# ------------------------------------------------------------------------------ stacks


def test_what_is_not_deployed_is_not_reachable(
    account: FunctionAccount, function: str, writer: str, stacks: Driver
) -> None:
    first = another(account, function, writer)
    stacks.create("changing", first)
    api = Client(account.cloud, stacks.outputs("changing")["Api"])
    changed = json.loads(json.dumps(first))
    changed["Resources"]["OpenPost"]["Properties"]["AuthorizationType"] = "AWS_IAM"
    changed["Resources"]["Plan"]["Properties"].pop("Quota")
    changed["Resources"]["Stage"]["Properties"]["Variables"] = {"shape": "round"}
    changed["Resources"]["Model"]["Properties"]["Schema"] = {"type": "array"}
    assert stacks.update("changing", changed)["StackStatus"] == "UPDATE_COMPLETE"
    answer = api.send()
    assert answer.status == 201
    assert answer.document["stageVariables"] == {"shape": "round"}
    assert api.send("/checked", "[]").status == 400
    gateway = account.cloud.client("apigateway")
    assert "quota" not in gateway.get_usage_plan(usagePlanId=stacks.outputs("changing")["Plan"])
    again = json.loads(json.dumps(changed))
    again["Resources"]["Deployment2"] = again["Resources"].pop("Deployment")
    again["Resources"]["Stage"]["Properties"]["DeploymentId"] = ref("Deployment2")
    assert stacks.update("changing", again)["StackStatus"] == "UPDATE_COMPLETE"
    assert api.send().status == 403
    assert api.send("/checked", "[]").status == 201
    assert len(gateway.get_stages(restApiId=api.api_id)["item"]) == 1
    assert stacks.delete("changing")["StackStatus"] == "DELETE_COMPLETE"
    host = f"{api.api_id}.execute-api.xx-local-1.amazonaws.com"
    assert ask("POST", f"{api.cloud.endpoint_url}/prod/open", {"Host": host}, b"").status == 403
    assert not [_ for _ in gateway.get_rest_apis()["items"] if _["id"] == api.api_id]


def test_no_request_is_lost_while_another_deployment_takes_over(
    account: FunctionAccount, api: Client
) -> None:
    gateway = account.cloud.client("apigateway")
    statuses: list[int] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            statuses.append(api.send().status)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        deployment = gateway.create_deployment(restApiId=api.api_id)["id"]
        operation = {"op": "replace", "path": "/deploymentId", "value": deployment}
        gateway.update_stage(restApiId=api.api_id, stageName="prod", patchOperations=[operation])
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {201}


def test_logs_need_a_role_of_the_account(account: FunctionAccount, api: Client) -> None:
    gateway = account.cloud.client("apigateway")
    before = gateway.get_account()["cloudwatchRoleArn"]

    def role(arn: str) -> None:
        operation = {"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}
        gateway.update_account(patchOperations=[operation])

    with pytest.raises(ClientError, match="does not have required permissions"):
        role(account.role_arn)
    role("")
    level = {"op": "replace", "path": "/*/*/logging/loglevel", "value": "ERROR"}
    with pytest.raises(ClientError, match="CloudWatch Logs role ARN must be set"):
        gateway.update_stage(restApiId=api.api_id, stageName="prod", patchOperations=[level])
    role(before)
    gateway.update_stage(restApiId=api.api_id, stageName="prod", patchOperations=[level])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: _["OpenPost"]["Properties"].update(AuthorizationType="CUSTOM"), "CUSTOM"),
        (lambda _: _["OpenPost"]["Properties"]["Integration"].update(Type="MOCK"), "type MOCK"),
        (lambda _: _["Stage"]["Properties"].update(CacheClusterEnabled=True), "CacheCluster"),
        (lambda _: _["Api"]["Properties"].update(Body={"openapi": "3.0.1"}), "Body is not part"),
        (lambda _: _["Api"]["Properties"].update(Policy={}), "Policy is not part"),
        (
            lambda _: _["Api"]["Properties"].update(EndpointConfiguration={"Types": ["PRIVATE"]}),
            "PRIVATE",
        ),
    ],
)
def test_what_is_not_here_is_refused_by_name(
    account: FunctionAccount,
    stacks: Driver,
    change: Callable[[dict[str, Any]], Any],
    message: str,
) -> None:
    wanted = another(account, "any", account.role_arn)
    del wanted["Resources"]["Account"]
    del wanted["Resources"]["Stage"]["DependsOn"]
    change(wanted["Resources"])
    name = f"refused-{next(_NUMBERS)}"
    try:
        stacks.create(name, wanted)
    except ClientError as error:
        assert message in str(error)
    else:
        assert message in str(stacks.reasons(name, "CREATE_FAILED"))


def test_a_deployer_needs_the_permission_for_each_path(
    account: FunctionAccount, function: str, writer: str, stacks: Driver, make_role: MakeRole
) -> None:
    role_arn = make_role(
        ("apigateway:*", "arn:aws:apigateway:xx-local-1::/restapis*"),
        service="cloudformation.amazonaws.com",
    )
    stack = stacks.create("denied-api", another(account, function, writer), RoleARN=role_arn)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    reasons = str(stacks.reasons("denied-api", "CREATE_FAILED"))
    assert "apigateway:" in reasons
    assert "arn:aws:apigateway:xx-local-1::/" in reasons


def test_a_policy_can_go_by_the_tags_of_an_api(
    account: FunctionAccount, function: str, stacks: Driver, make_role: MakeRole
) -> None:
    place = "arn:aws:apigateway:xx-local-1::"
    mine = {"StringEquals": {"aws:ResourceTag/owner": "me"}}
    asked = {"StringEquals": {"aws:RequestTag/owner": "me"}}
    role_arn = make_role(
        service="cloudformation.amazonaws.com",
        statements=[
            {"Effect": "Allow", "Action": "apigateway:POST", "Condition": asked,
             "Resource": [f"{place}/{kind}" for kind in ("restapis", "usageplans")]},
            {"Effect": "Allow", "Action": "apigateway:*", "Condition": mine,
             "Resource": [f"{place}/{kind}/*" for kind in ("restapis", "usageplans", "tags")]},
        ],
    )  # fmt: skip
    wanted = another(account, function, account.role_arn)
    del wanted["Resources"]["Account"]
    del wanted["Resources"]["Stage"]["DependsOn"]
    options = {"RoleARN": role_arn, "Tags": [{"Key": "owner", "Value": "me"}]}
    assert stacks.create("tagged", wanted, **options)["StackStatus"] == "CREATE_COMPLETE"
    api_id = stacks.outputs("tagged")["Api"]
    client = account.cloud.client(
        "apigateway", role_arn=role_arn, service_principal="cloudformation.amazonaws.com"
    )
    assert client.get_resources(restApiId=api_id)["items"]
    other = account.cloud.client("apigateway").create_rest_api(name="other")["id"]
    with pytest.raises(ClientError, match="apigateway:GET on resource"):
        client.get_resources(restApiId=other)
    assert stacks.delete("tagged")["StackStatus"] == "DELETE_COMPLETE"


# ------------------------------------------------------------------------------ whatever comes

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
REQUEST = ClientRequest("POST", "prod", "/", {"Accept": ["image/png"]}, {}, b"", "", "", "HTTP/1.1")


@settings(max_examples=80, deadline=None)
@given(
    answer=ANY_JSON
    | st.fixed_dictionaries(
        {"statusCode": st.sampled_from([200, "404", 99, None, 1e400])},
        optional={
            "headers": st.dictionaries(st.text(max_size=8), st.text(max_size=8)) | ANY_JSON,
            "multiValueHeaders": st.dictionaries(st.text(max_size=8), st.lists(st.text())),
            "body": st.text() | ANY_JSON,
            "isBase64Encoded": st.booleans(),
        },
    )
)
def test_any_answer_of_a_function_is_an_answer_or_a_502(answer: Any) -> None:
    definition = Definition({"binaryMediaTypes": ["image/png"]})
    try:
        found = answer_of(json.dumps(answer).encode(), REQUEST, definition)
    except RefusedError as error:
        assert error.status == 502
        return
    assert 100 <= found.status <= 599
    for name, value in found.headers:
        line = f"{name}: {value}"
        assert "\n" not in line
        line.encode("latin-1")


@settings(max_examples=40, deadline=None)
@given(
    body=st.binary(max_size=200),
    path=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#")),
    verb=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"]),
    header=st.text(st.characters(codec="latin-1", categories=["L", "N", "P"]), max_size=20),
)
def test_any_request_has_an_answer_that_blames_nobody_else(
    api: Client, body: bytes, path: str, verb: str, header: str
) -> None:
    for place in (f"/checked{path}", f"/{path}"):
        assert api.send(place, body, verb=verb, X_Any=header, Content_Type=header).status < 500


# ------------------------------------------------------------------------------ parts


def test_the_most_exact_resource_answers() -> None:
    definition = Definition({})
    for index, path in enumerate(("/a/{x}", "/a/b", "/{rest+}", "/a/{x}/c")):
        definition.resources[str(index)] = {
            "id": str(index),
            "path": path,
            "resourceMethods": {"GET": {"httpMethod": "GET"}},
        }

    def found(path: str) -> tuple[str, dict[str, str]]:
        route = definition.find(path, "GET")
        assert route is not None
        return route.resource["path"], dict(route.path_parameters)

    assert found("/a/b") == ("/a/b", {})
    assert found("/a/d") == ("/a/{x}", {"x": "d"})
    assert found("/a/d/c") == ("/a/{x}/c", {"x": "d"})
    assert found("/z/y/x") == ("/{rest+}", {"rest": "z/y/x"})
    assert definition.find("/a/b", "POST") is None


def test_a_template_s_variables_are_filled_in() -> None:
    known = {"status": "200", "error.message": "no", "stageVariables.colour": "red"}
    assert filled("$context.status.", known, missing="-") == "200."
    assert filled("$context.error.message $stageVariables.colour", known, missing="-") == "no red"
    assert filled("$input.body $context.x", known, missing="-") == "$input.body -"
