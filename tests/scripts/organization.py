"""An organization whose projects come of the real templates, and everything its account has."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_cloud.cloud import LocalCloud
from local_cloud.images import Registry, build
from scripts import publication, upgrade
from scripts.account import Account
from scripts.plan import Plan, carry_out
from scripts.publication import Sources, Wish
from scripts.stacks import Stack, all_stacks, settled
from scripts.template_text import published
from tests.local_cloud.conftest import wait_for

ROOT = Path(__file__).parents[2]
SECONDS = 120.0
WISH = Wish("templates-1", "organization", "studio")
#: A build that lasts until somebody stops it.
BUILDSPEC = "version: 0.2\nphases:\n  build:\n    commands:\n      - sleep 600\n"
#: An image whose jobs last until somebody stops them, and whose endpoint answers.
PROGRAM = """\
import http.server, os, sys, time

if sys.argv[1:] != ["serve"]:
    time.sleep(600)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


address = os.environ["SERVE_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.HTTPServer(address, Handler).serve_forever()
"""


def trust(service: str) -> str:
    principal = {"Service": f"{service}.amazonaws.com"}
    return policy(Principal=principal, Action="sts:AssumeRole")


def policy(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def seed_archive(**files: str) -> bytes:
    """What a repository starts with, as the template's bucket holds it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in {"buildspec.yml": BUILDSPEC, **files}.items():
            archive.writestr(name, text)
    return content.getvalue()


def real_sources(version: str = "v1") -> Sources:
    """The real templates, with a small repository."""
    studio, pipeline = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("studio.yml", "pipeline.yml")
    )
    return Sources(studio, published(pipeline, version), seed_archive(), version)


class Organization:
    """Somebody who may create projects, and what they can choose from."""

    def __init__(self, cloud: LocalCloud, account: Account) -> None:
        self.cloud = cloud
        self.account = account
        iam = cloud.client("iam")
        role = iam.create_role(
            RoleName=WISH.role,
            Path="/service-role/",
            AssumeRolePolicyDocument=trust("sagemaker"),
        )
        may = policy(Action=["sagemaker:*", "servicecatalog:*"], Resource="*")
        iam.put_role_policy(RoleName=WISH.role, PolicyName="own", PolicyDocument=may)
        self._role_arn = str(role["Role"]["Arn"])
        self.member = self.client("sagemaker")
        self.publish(real_sources())

    def client(self, service: str) -> Any:
        """boto3 client of a member."""
        return self.cloud.client(
            service, role_arn=self._role_arn, service_principal="sagemaker.amazonaws.com"
        )

    def publish(self, sources: Sources) -> Plan:
        """What build.sh does with templates that are valid."""
        found = publication.look(self.account, WISH, sources)
        plan = publication.plan(self.account, WISH, sources, found)
        carry_out(plan, self.account, dry_run=False)
        return plan

    def create(self, name: str, **parameters: str) -> dict[str, Any]:
        """A project, when its creation has ended."""
        catalog = self.cloud.client("servicecatalog")
        (product,) = catalog.search_products_as_admin()["ProductViewDetails"]
        chosen = {
            "ProductId": product["ProductViewSummary"]["ProductId"],
            "ProvisioningArtifactId": upgrade.newest(self.account).artifact_id,
            "ProvisioningParameters": [
                {"Key": key, "Value": value}
                for key, value in {"ModelName": "churn", **parameters}.items()
            ],
        }
        self.member.create_project(ProjectName=name, ServiceCatalogProvisioningDetails=chosen)
        return self.settled(name)

    def created(self, name: str, **parameters: str) -> str:
        """The key of a new project."""
        project = self.create(name, **parameters)
        assert project["ProjectStatus"] == "CreateCompleted", reason(project)
        return f"{parameters.get('ModelName', 'churn')}-{project['ProjectId']}"

    def settled(self, name: str) -> dict[str, Any]:
        """A project, when nothing goes on with it any more."""

        def settled() -> dict[str, Any] | None:
            project = dict(self.member.describe_project(ProjectName=name))
            status = str(project["ProjectStatus"])
            return None if status == "Pending" or "InProgress" in status else project

        return dict(wait_for(settled, SECONDS))

    def stack(self, key: str) -> Stack:
        """A project's stack."""
        (found,) = (
            stack for stack in all_stacks(self.account) if stack.outputs.get("ProjectKey") == key
        )
        return found

    def outputs(self, key: str) -> Mapping[str, str]:
        """Outputs of a project's stack."""
        return self.stack(key).outputs


def reason(project: dict[str, Any]) -> str:
    """Why a project is as it is."""
    product = project["ServiceCatalogProvisionedProductDetails"]
    return str(product.get("ProvisionedProductStatusMessage", ""))


def newer(sources: Sources, version: str, old: str, new: str) -> Sources:
    """Sources of another version, in whose project template a text is another one."""
    assert old in sources.pipeline
    pipeline = sources.pipeline.replace(sources.version, version).replace(old, new)
    return replace(sources, pipeline=pipeline, version=version)


# ------------------------------------------------------------------------------ what releases make


class Release:
    """What a release makes in a project, without training a model for it."""

    def __init__(
        self, organization: Organization, key: str, templates: Path, context: Path
    ) -> None:
        self._organization = organization
        self._cloud = organization.cloud
        self._account = organization.account
        self._key = key
        self._templates = templates
        self.image_uri = self._push(context)

    def _push(self, context: Path) -> str:
        (context / "main.py").write_text(PROGRAM)
        dockerfile = context / "Dockerfile"
        dockerfile.write_text(
            'FROM python\nCOPY main.py /opt/\nENTRYPOINT ["python", "/opt/main.py"]\n'
        )
        image = build(context, dockerfile, self._cloud.root / "docker")
        return Registry(self._cloud).push(image, f"{self._key}-container", "content-1")

    def make_dev(self) -> None:
        """Data, a model, and the stack of the dev endpoint."""
        self._fill_buckets()
        deploy(self._organization, self._key, "dev", self._templates, **self._of_dev())

    def make_everything(self) -> None:
        """All that a release leaves behind, and what still runs of the next one."""
        self.make_dev()
        self._register()
        deploy(self._organization, self._key, "workflow", self._templates)
        self._cloud.client("codebuild").create_report_group(
            name=f"{self._key}-build-tests",
            type="TEST",
            exportConfig={"exportConfigType": "NO_EXPORT"},
        )
        self._serve_without_a_stack()
        self._start_workflow()

    def _fill_buckets(self) -> None:
        s3 = self._cloud.client("s3")
        bucket = f"{self._key}-data"
        for body in (b"1", b"2"):
            s3.put_object(Bucket=bucket, Key="data/a.csv", Body=body)
        s3.put_object(Bucket=bucket, Key="data/deleted.csv", Body=b"3")
        s3.delete_object(Bucket=bucket, Key="data/deleted.csv")
        s3.create_multipart_upload(Bucket=bucket, Key="data/never-ended.csv")
        s3.put_object(
            Bucket=bucket, Key="releases/r1/model/job/output/model.tar.gz", Body=_archive()
        )
        for body in (b"1", b"2"):
            s3.put_object(Bucket=f"{self._key}-artifacts", Key="a/Code/x.zip", Body=body)

    @property
    def _archive_uri(self) -> str:
        return f"s3://{self._key}-data/releases/r1/model/job/output/model.tar.gz"

    def _register(self) -> None:
        container = {"Image": self.image_uri, "ModelDataUrl": self._archive_uri}
        self._cloud.client("sagemaker").create_model_package(
            ModelPackageGroupName=self._key,
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )

    def _of_dev(self) -> dict[str, str]:
        return {
            "Release": "r1",
            "ImageUri": self.image_uri,
            "ModelArchiveUri": self._archive_uri,
            "InstanceType": "ml.m5.large",
            "InstanceCount": "1",
        }

    def _serve_without_a_stack(self) -> None:
        """What a workflow that deploys by itself makes: no stack has it."""
        sagemaker = self._cloud.client("sagemaker")
        dev = sagemaker.describe_model(ModelName=f"{self._key}-dev-r1")
        sagemaker.create_model(
            ModelName=f"{self._key}-model-r0",
            PrimaryContainer={"Image": self.image_uri, "ModelDataUrl": self._archive_uri},
            ExecutionRoleArn=dev["ExecutionRoleArn"],
        )
        variant = {
            "VariantName": "primary",
            "ModelName": f"{self._key}-model-r0",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(
            EndpointConfigName=f"{self._key}-config-r0", ProductionVariants=[variant]
        )
        sagemaker.create_endpoint(
            EndpointName=self._key, EndpointConfigName=f"{self._key}-config-r0"
        )

    def _start_workflow(self) -> None:
        """Let the real state machine prepare data, until somebody stops it."""
        from infrastructure.workflow_input import workflow_input
        from mlsystem import settings
        from mlsystem.names import Names

        document = workflow_input(
            settings.load(ROOT / "seed_code" / "project.yml"),
            Names(self._key, "r2"),
            f"{self._key}-data",
            self.image_uri,
        )
        self._cloud.client("s3").put_object(
            Bucket=f"{self._key}-data", Key="releases/r2/settings/project.json", Body=b"{}"
        )
        place = f"{self._cloud.region}:{self._cloud.account_id}"
        self._cloud.client("stepfunctions").start_execution(
            stateMachineArn=f"arn:aws:states:{place}:stateMachine:{self._key}-training",
            input=json.dumps(document),
        )
        sagemaker = self._cloud.client("sagemaker")

        def is_preparing() -> bool:
            jobs = sagemaker.list_processing_jobs()["ProcessingJobSummaries"]
            return any(
                job["ProcessingJobName"].startswith(self._key)
                and job["ProcessingJobStatus"] == "InProgress"
                for job in jobs
            )

        wait_for(is_preparing, SECONDS)


def deploy(
    organization: Organization, key: str, name: str, templates: Path, **further: str
) -> None:
    """Make a stack as the pipeline does: of the synthesized template, with the deploy role."""
    outputs = organization.outputs(key)
    parameters = {
        "ProjectName": key,
        "DataBucketName": outputs["DataBucketName"],
        "KmsKeyArn": outputs["KmsKeyArn"],
        "RepositoryName": f"{key}-container",
        "PermissionsBoundaryArn": _boundary(organization.cloud),
        **further,
    }
    client = organization.cloud.client("cloudformation")
    stack_id = client.create_stack(
        StackName=f"{key}-{name}",
        TemplateBody=(templates / f"{name}.json").read_text(encoding="utf-8"),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        Tags=[{"Key": "mlsystem-project", "Value": key}],
        RoleARN=outputs["DeployRoleArn"],
        Capabilities=["CAPABILITY_IAM"],
    )["StackId"]
    stack = settled(organization.account, stack_id)
    assert stack is not None
    assert stack.status == "CREATE_COMPLETE", failures(organization.cloud, stack_id)


def _archive() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model.json"))
    return content.getvalue()


def _boundary(cloud: LocalCloud) -> str:
    exports = cloud.client("cloudformation").list_exports()["Exports"]
    return next(
        str(each["Value"]) for each in exports if each["Name"] == "mlsystem-permissions-boundary"
    )


def failures(cloud: LocalCloud, stack_id: str) -> list[str]:
    """What a stack's events say of failures: ``<resource>: <reason>``, the first one first."""
    pages = cloud.client("cloudformation").get_paginator("describe_stack_events")
    events = [event for page in pages.paginate(StackName=stack_id) for event in page["StackEvents"]]
    return [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED")
    ]
