"""What each provider does, through the API of its service and with the role of its action.

Source: https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference.html
"""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from local_cloud.actions import Need
from local_cloud.codecommit.repository import Repository
from local_cloud.codepipeline.job import ActionError, Job, Result, Revision

__all__ = ["run"]

#: Minutes until an approval that nobody gives has failed: seven days.
_APPROVAL_MINUTES = 10_080


def run(job: Job) -> Result:
    """Do what the action says, to its end.

    Raises
    ------
    ActionError
        When it fails.
    AbandonedError
        When nobody waits for it any more.
    """
    return _PROVIDERS[job.action.provider](job)


# ------------------------------------------------------------------------------ sources


def _codecommit(job: Job) -> Result:
    name, branch = job.required("RepositoryName"), job.required("BranchName")
    client = job.client("codecommit")
    wanted = (
        job.revision
        or client.get_branch(repositoryName=name, branchName=branch)["branch"]["commitId"]
    )
    commit = client.get_commit(repositoryName=name, commitId=wanted)["commit"]
    _check(job, "codecommit:UploadArchive", f"codecommit:{{place}}:{name}")
    archive = Repository(job.cloud.root / "git" / name).archive(wanted)
    variables = {
        "AuthorDate": _date(commit["author"]["date"]),
        "BranchName": branch,
        "CommitId": wanted,
        "CommitMessage": commit["message"],
        "CommitterDate": _date(commit["committer"]["date"]),
        "RepositoryName": name,
    }
    artifacts = [job.store.put(job.client("s3"), _, archive) for _ in job.action.outputs]
    summary = commit["message"].partition("\n")[0]
    return Result(variables, artifacts, summary, Revision(wanted, summary))


def _date(text: str) -> str:
    moment = dt.datetime.fromtimestamp(int(text.partition(" ")[0]), dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _check(job: Job, action: str, resource: str) -> None:
    """A permission for what is no operation of the API."""
    cloud = job.cloud
    arn = f"arn:aws:{resource.format(place=f'{cloud.region}:{cloud.account_id}')}"
    role = job.action.role_arn or job.role_arn
    cloud.account.check(cloud.account.identity_of(role), [Need(action, arn)])


def _s3(job: Job) -> Result:
    bucket, key = job.required("S3Bucket"), job.required("S3ObjectKey")
    s3 = job.client("s3")
    if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        raise ActionError(
            f"bucket {bucket} is not versioned; a source must be", "ConfigurationError"
        )
    version = {"VersionId": job.revision} if job.revision else {}
    answer = s3.get_object(Bucket=bucket, Key=key, **version)
    content = answer["Body"].read()
    variables = {
        "BucketName": bucket,
        "ETag": answer["ETag"].strip('"'),
        "ObjectKey": key,
        "VersionId": answer["VersionId"],
    }
    artifacts = [job.store.put(s3, name, content) for name in job.action.outputs]
    revision = Revision(answer["VersionId"], f"Amazon S3 version id: {answer['VersionId']}")
    return Result(variables, artifacts, revision.summary, revision)


# ------------------------------------------------------------------------------ CodeBuild


def _codebuild(job: Job) -> Result:
    client = job.client("codebuild")
    places = {name: job.store.place(name) for name in job.action.outputs}
    primary = job.input(job.configuration.get("PrimarySource") or job.inputs[0].name)
    outputs = [
        {"type": "S3", "location": place.bucket, "name": place.key, "packaging": "ZIP"}
        for place in places.values()
    ]
    named = [
        {**output, "artifactIdentifier": name} for name, output in zip(places, outputs, strict=True)
    ]
    is_one = len(outputs) == 1
    build = client.start_build(
        projectName=job.required("ProjectName"),
        sourceTypeOverride="S3",
        sourceLocationOverride=f"{primary.bucket}/{primary.key}",
        secondarySourcesOverride=[
            {"type": "S3", "location": f"{_.bucket}/{_.key}", "sourceIdentifier": _.name}
            for _ in job.inputs
            if _ is not primary
        ],
        artifactsOverride=outputs[0] if is_one else {"type": "NO_ARTIFACTS"},
        secondaryArtifactsOverride=[] if is_one else named,
        environmentVariablesOverride=_build_variables(job),
    )["build"]
    job.note(build["id"], build["logs"]["cloudWatchLogsArn"])

    def ended() -> Any:
        (found,) = client.batch_get_builds(ids=[build["id"]])["builds"]
        return found if found["buildComplete"] else None

    build = job.wait(ended)
    if build["buildStatus"] != "SUCCEEDED":
        raise ActionError(f"Build terminated with state: {build['buildStatus']}{_failed(build)}")
    exported = build.get("exportedEnvironmentVariables", [])
    variables = {variable["name"]: variable["value"] for variable in exported}
    return Result(variables, list(places.values()))


def _build_variables(job: Job) -> list[dict[str, str]]:
    text = job.configuration.get("EnvironmentVariables", "[]")
    try:
        found: list[dict[str, str]] = json.loads(text)
    except ValueError as error:
        raise ActionError(
            f"EnvironmentVariables is no JSON: {error}", "ConfigurationError"
        ) from error
    return found


def _failed(build: Mapping[str, Any]) -> str:
    for phase in build["phases"]:
        if phase.get("phaseStatus") == "FAILED":
            context: Mapping[str, str] = next(iter(phase.get("contexts", [])), {})
            return (
                f". Phase: {phase['phaseType']}, Code: {context.get('statusCode', '')},"
                f" Message: {context.get('message', '')}"
            )
    return ""


# ------------------------------------------------------------------------------ CloudFormation

#: A stack in one of these can only be deleted.
_DEAD = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}
_GOOD = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
#: Bytes of a template that a request may carry; longer ones are put into the bucket first.
_TEMPLATE_BYTES = 51_200


def _cloudformation(job: Job) -> Result:
    client = job.client("cloudformation")
    name, mode = job.required("StackName"), job.required("ActionMode")
    stack = _stack(client, name)
    if mode == "DELETE_ONLY":
        if stack is not None:
            _delete(job, client, stack["StackId"])
        return Result()
    if stack is not None and stack["StackStatus"] in _DEAD and mode == "REPLACE_ON_FAILURE":
        _delete(job, client, stack["StackId"])
        stack = None
    request = _stack_request(job, name)
    if stack is None:
        stack_id = client.create_stack(**request)["StackId"]
    else:
        stack_id = _update(client, request) or stack["StackId"]
    job.note(stack_id, "")
    stack = job.wait(lambda: _settled(client, stack_id))
    if stack["StackStatus"] not in _GOOD:
        raise ActionError(f"Stack {name} is {stack['StackStatus']}: {_reason(client, stack_id)}")
    outputs = {_["OutputKey"]: _["OutputValue"] for _ in stack.get("Outputs", [])}
    return Result(outputs, _output_file(job, outputs))


def _stack(client: Any, name: str) -> Any:
    try:
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    except client.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def _settled(client: Any, stack_id: str) -> Any:
    (stack,) = client.describe_stacks(StackName=stack_id)["Stacks"]
    return None if stack["StackStatus"].endswith("_IN_PROGRESS") else stack


def _delete(job: Job, client: Any, stack_id: str) -> None:
    role = job.configuration.get("RoleArn")
    client.delete_stack(StackName=stack_id, **({"RoleARN": role} if role else {}))
    stack = job.wait(lambda: _settled(client, stack_id))
    if stack["StackStatus"] != "DELETE_COMPLETE":
        raise ActionError(
            f"Stack {stack['StackName']} is {stack['StackStatus']}: {_reason(client, stack_id)}"
        )


def _update(client: Any, request: Mapping[str, Any]) -> str | None:
    try:
        stack_id: str = client.update_stack(**request)["StackId"]
    except client.exceptions.ClientError as error:
        if "No updates are to be performed" in str(error):
            return None
        raise
    return stack_id


def _stack_request(job: Job, name: str) -> dict[str, Any]:
    configuration = _template_configuration(job)
    parameters = {**configuration.get("Parameters", {}), **_overrides(job)}
    capabilities = [_.strip() for _ in job.configuration.get("Capabilities", "").split(",")]
    role = job.configuration.get("RoleArn")
    return {
        "StackName": name,
        **_template(job),
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()
        ],
        "Tags": [
            {"Key": key, "Value": value} for key, value in configuration.get("Tags", {}).items()
        ],
        "Capabilities": [capability for capability in capabilities if capability],
        **({"RoleARN": role} if role else {}),
    }


def _template(job: Job) -> dict[str, str]:
    content = job.file(job.required("TemplatePath"))
    if len(content) <= _TEMPLATE_BYTES:
        return {"TemplateBody": content.decode()}
    place = job.store.put(job.client("s3"), "template", content)
    host = f"{place.bucket}.s3.{job.cloud.region}.amazonaws.com"
    return {"TemplateURL": f"https://{host}/{place.key}"}


def _template_configuration(job: Job) -> dict[str, Any]:
    reference = job.configuration.get("TemplateConfiguration")
    if not reference:
        return {}
    configuration = _json(job.file(reference), reference)
    for name in set(configuration) - {"Parameters", "Tags"}:
        raise ActionError(
            f"{reference}: {name} is not part of the local cloud", "ConfigurationError"
        )
    return configuration


def _overrides(job: Job) -> dict[str, str]:
    given = _json(job.configuration.get("ParameterOverrides") or "{}", "ParameterOverrides")
    return {name: _override(job, name, value) for name, value in given.items()}


def _override(job: Job, name: str, value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    ((function, arguments),) = value.items()
    if function == "Fn::GetArtifactAtt":
        place = job.input(arguments[0])
        host = f"{place.bucket}.s3.{job.cloud.region}.amazonaws.com"
        attributes = {
            "BucketName": place.bucket,
            "ObjectKey": place.key,
            "URL": f"https://{host}/{place.key}",
        }
        if arguments[1] in attributes:
            return attributes[arguments[1]]
    if function == "Fn::GetParam":
        artifact, path, key = arguments
        found = _json(job.file(f"{artifact}::{path}"), path)
        if key in found:
            return str(found[key])
    raise ActionError(
        f"ParameterOverrides/{name}: {json.dumps(value)} names nothing", "ConfigurationError"
    )


def _json(text: str | bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ActionError(f"{where} is no JSON: {error}", "ConfigurationError") from error
    if not isinstance(found, dict):
        raise ActionError(f"{where}: a JSON object is needed", "ConfigurationError")
    return found


def _reason(client: Any, stack_id: str) -> str:
    """The first failure of the newest operation, with its resource."""
    failures = []
    for event in client.describe_stack_events(StackName=stack_id)["StackEvents"]:
        status, reason = event.get("ResourceStatus", ""), event.get("ResourceStatusReason", "")
        if status.endswith("_FAILED") and "cancelled" not in reason:
            failures.append(f"{event['LogicalResourceId']}: {reason}")
        is_stack = event["LogicalResourceId"] == event["StackName"]
        if is_stack and status in {
            "CREATE_IN_PROGRESS",
            "UPDATE_IN_PROGRESS",
            "DELETE_IN_PROGRESS",
        }:
            break
    return failures[-1] if failures else "no event says why"


def _output_file(job: Job, outputs: Mapping[str, str]) -> list[Any]:
    name = job.configuration.get("OutputFileName")
    if not name or not job.action.outputs:
        return []
    archive = _zipped(name, json.dumps(outputs))
    return [job.store.put(job.client("s3"), job.action.outputs[0], archive)]


def _zipped(name: str, text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()


# ------------------------------------------------------------------------------ Step Functions


def _stepfunctions(job: Job) -> Result:
    client = job.client("stepfunctions")
    arn, prefix = job.required("StateMachineArn"), job.configuration.get("ExecutionNamePrefix")
    text = job.configuration.get("Input", "{}")
    if job.configuration.get("InputType") == "FilePath":
        text = job.file(f"{job.inputs[0].name}::{text}").decode()
    name = f"{prefix}-{job.id}" if prefix else job.id
    execution = client.start_execution(stateMachineArn=arn, name=name, input=text)["executionArn"]
    job.note(execution, "")

    def ended() -> Any:
        found = client.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    found = job.wait(ended)
    if found["status"] != "SUCCEEDED":
        reason = ": ".join(found[key] for key in ("error", "cause") if found.get(key))
        raise ActionError(f"The execution of the state machine is {found['status']}: {reason}")
    archive = _zipped("output.json", found.get("output", "{}"))
    artifacts = [job.store.put(job.client("s3"), _, archive) for _ in job.action.outputs]
    return Result({"StateMachineArn": arn, "ExecutionArn": execution}, artifacts)


# ------------------------------------------------------------------------------ approval


def _manual(job: Job) -> Result:
    minutes = job.action.timeout_minutes or _APPROVAL_MINUTES
    topic = job.configuration.get("NotificationArn")
    if topic:
        subject = f"APPROVAL NEEDED: AWS CodePipeline {job.pipeline} for action {job.action.name}"
        message = json.dumps(_approval_message(job, minutes))
        job.client("sns").publish(TopicArn=topic, Subject=subject[:100], Message=message)
    answer = job.wait(lambda: job.approval, minutes * 60 * job.cloud.wait_factor)
    if answer is None:
        raise ActionError(
            f"Nobody approved or rejected within {minutes} minutes", "ApprovalTimedOut"
        )
    if answer.status != "Approved":
        raise ActionError(f"Rejected by {answer.by}: {answer.summary}", "Rejected")
    return Result(summary=answer.summary, updated_by=answer.by)


def _approval_message(job: Job, minutes: int) -> dict[str, Any]:
    """What a topic hears.

    Source: https://docs.aws.amazon.com/codepipeline/latest/userguide/approvals-json-format.html
    """
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
    return {
        "region": job.cloud.region,
        "approval": {
            "pipelineName": job.pipeline,
            "stageName": job.stage,
            "actionName": job.action.name,
            "token": job.token,
            "expires": expires.strftime("%Y-%m-%dT%H:%MZ"),
            "externalEntityLink": job.configuration.get("ExternalEntityLink"),
            "customData": job.configuration.get("CustomData"),
        },
    }


_PROVIDERS: dict[str, Callable[[Job], Result]] = {
    "CloudFormation": _cloudformation,
    "CodeBuild": _codebuild,
    "CodeCommit": _codecommit,
    "Manual": _manual,
    "S3": _s3,
    "StepFunctions": _stepfunctions,
}
