"""An account with an image whose function does what its event says, run by AWS's own client."""

from __future__ import annotations

import importlib.util
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

from local_cloud.cloud import LocalCloud
from local_cloud.images import Registry, build

from .conftest import policy

#: What the function does: a name of the event is a thing to do.
PROGRAM = """\
import json, os, sys, time

calls = 0

def handler(event, context):
    global calls
    calls += 1
    if "body" in event and event.get("httpMethod"):
        return proxied(event)
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "megabytes" in event:
        return len(b"x" * (event["megabytes"] << 20))
    if "answer" in event:
        return "x" * event["answer"]
    if "write" in event:
        with open(os.path.join(os.environ["ASSETS_DIR"], "note.txt"), "a") as file:
            file.write(event["write"])
    for line in event.get("print", []):
        print(line)
    return {
        "arn": context.invoked_function_arn,
        "calls": calls,
        "client": context.client_context and context.client_context.custom,
        "environment": dict(os.environ),
        "event": event,
        "left": context.get_remaining_time_in_millis(),
        "pid": os.getpid(),
        "version": context.function_version,
    }

def proxied(event):
    body = event["body"]
    if body == "nonsense":
        return "nonsense"
    if body == "raise":
        raise ValueError("no")
    if body == "sleep":
        time.sleep(30)
    if body == "binary":
        return {"statusCode": 200, "body": "AAH/", "isBase64Encoded": True,
                "headers": {"Content-Type": "image/png"}}
    return {"statusCode": 201, "body": json.dumps(event),
            "headers": {"X-Release": os.environ.get("RELEASE", "")},
            "multiValueHeaders": {"X-Many": ["a", "b"]}}
"""

#: Fails when it is imported, in the way that ``HOW`` says.
BROKEN = """\
import os

how = os.environ.get("HOW")
if how == "exit":
    os._exit(7)
if how == "raise":
    raise ValueError("no")
import missing_module
"""

#: Makes custom resources: what it is asked goes to the log, what it answers is in the properties.
CUSTOM = """\
import json, urllib.request

def handler(event, context):
    print("ASKED " + json.dumps(event))
    properties = event["ResourceProperties"]
    if properties.get("Silent") == "true":
        return
    fails = properties.get("FailsAt") == event["RequestType"]
    response = {
        "Status": "FAILED" if fails else "SUCCESS",
        "Reason": "it was asked to",
        "PhysicalResourceId": properties.get("Id", "the-id"),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Colour": properties.get("Colour", ""), "Verb": event["RequestType"]},
        **json.loads(properties.get("Response", "{}")),
    }
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(response).encode(), method="PUT"
    )
    urllib.request.urlopen(request)
"""

_NUMBERS = itertools.count()
DOCKERFILE = """\
FROM python
WORKDIR /var/task
COPY . .
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["app.handler"]
"""


class FunctionAccount:
    """An account with the image, a bucket-less role for everything, and functions on demand."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud = cloud
        self.client = cloud.client("lambda")
        self.image_uri = _push_image(cloud, folder)
        self.role_arn = self.role({"Effect": "Allow", "Action": "*", "Resource": "*"})

    def role(self, *statements: dict[str, Any]) -> str:
        """ARN of a new role that Lambda may assume."""
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        iam, name = self.cloud.client("iam"), f"function-role-{next(_NUMBERS)}"
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(*statements))
        return str(role["Role"]["Arn"])

    def request(self, **changes: Any) -> dict[str, Any]:
        """A request of CreateFunction."""
        return {
            "FunctionName": f"function-{next(_NUMBERS)}",
            "Role": self.role_arn,
            "PackageType": "Image",
            "Code": {"ImageUri": self.image_uri},
            "Timeout": 20,
            "MemorySize": 256,
            **changes,
        }

    def make(self, **changes: Any) -> str:
        """Name of a new function."""
        return str(self.client.create_function(**self.request(**changes))["FunctionName"])

    def invoke(self, name: str, event: Any = None, **options: Any) -> dict[str, Any]:
        """The answer, its payload read."""
        payload = json.dumps({} if event is None else event).encode()
        answer = self.client.invoke(FunctionName=name, Payload=payload, **options)
        text = answer["Payload"].read()
        return {**answer, "Payload": json.loads(text) if text else None}


def _push_image(cloud: LocalCloud, folder: Path) -> str:
    """Build and push the image with the runtime client of this environment; return its URI."""
    spec = importlib.util.find_spec("awslambdaric")
    assert spec is not None
    assert spec.origin is not None
    site = Path(spec.origin).parents[1]
    for package in ("awslambdaric", "simplejson"):
        shutil.copytree(site / package, folder / package)
    for module in ("runtime_client*", "snapshot_restore_py.py"):
        for file in site.glob(module):
            shutil.copy(file, folder)
    (folder / "app.py").write_text(PROGRAM)
    (folder / "broken.py").write_text(BROKEN)
    (folder / "custom.py").write_text(CUSTOM)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    image = build(folder, folder / "Dockerfile", cloud.root / "docker")
    cloud.client("ecr").create_repository(repositoryName="functions")
    return Registry(cloud).push(image, "functions", "v1")
