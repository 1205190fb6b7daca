"""The template: its parameters, the roles, the state machine and its log."""

from __future__ import annotations

import typing

from aws_cdk import (
    CfnOutput,
    CfnParameter,
    CfnResource,
    LegacyStackSynthesizer,
    RemovalPolicy,
    Stack,
)
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infrastructure import permissions
from infrastructure.permissions import Project
from infrastructure.workflow import RoleArns, training_workflow
from infrastructure.workflow_input import PROJECT_NAME_LENGTH, PROJECT_NAME_PATTERN

__all__ = ["TrainingStack"]


class TrainingStack(Stack):
    """Everything that a project's training workflow needs, given its bucket, key and images.

    A plain template: no assets and nothing bootstrapped, so that it can be deployed as it is.
    """

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(
            scope,
            name,
            description="Training workflow: prepare, train, evaluate, register, deploy",
            synthesizer=LegacyStackSynthesizer(),
        )
        project = self._project()
        prepare = permissions.prepare_role(self, project)
        train = permissions.train_role(self, project)
        evaluate = permissions.evaluate_role(self, project)
        endpoint = permissions.endpoint_role(self, project)
        workflow = permissions.workflow_role(self, project, [prepare, train, evaluate, endpoint])
        roles = RoleArns(prepare.role_arn, train.role_arn, evaluate.role_arn, endpoint.role_arn)
        log_group = logs.LogGroup(
            self,
            "WorkflowLog",
            # This beginning keeps the account's resource policy for log delivery short.
            log_group_name=f"/aws/vendedlogs/states/{project.state_machine}",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,
        )
        machine = sfn.StateMachine(
            self,
            "TrainingWorkflow",
            state_machine_name=project.state_machine,
            definition_body=sfn.DefinitionBody.from_chainable(
                training_workflow(self, roles, project.key_arn)
            ),
            # Its permissions are written out; the CDK would add its own.
            role=workflow.without_policy_updates(),
            # Without data: inputs and outputs stay in the execution, where they are encrypted.
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=False
            ),
            tracing_enabled=True,
        )
        # The CDK also writes it as DependsOn, where cfn-lint rightly sees that RoleArn says it.
        typing.cast("CfnResource", machine.node.default_child).add_deletion_override("DependsOn")
        CfnOutput(
            self,
            "StateMachineArn",
            value=machine.state_machine_arn,
            description="What to start an execution of, with the output of workflow-input",
        )

    def _project(self) -> Project:
        return Project(
            name=self._parameter(
                "ProjectName",
                "Unique in account and region; begins the name of everything that is made.",
                PROJECT_NAME_PATTERN,
                "lower-case letters, digits and single hyphens, a letter first",
                PROJECT_NAME_LENGTH,
            ),
            bucket=self._parameter(
                "DataBucketName",
                "Bucket of the project: data/ and releases/.",
                "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
                "the name of a bucket",
                63,
            ),
            key_arn=self._parameter(
                "KmsKeyArn",
                "Key that encrypts the bucket, the jobs' volumes and the endpoint's.",
                "arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+",
                "the ARN of a key (not of an alias)",
                256,
            ),
            repository=self._parameter(
                "RepositoryName",
                "ECR repository of the container image, in this account and region.",
                "[a-z0-9]+([._/-][a-z0-9]+)*",
                "the name of an ECR repository",
                256,
            ),
        )

    def _parameter(
        self, name: str, description: str, pattern: str, required: str, length: int
    ) -> str:
        value: str = CfnParameter(
            self,
            name,
            description=description,
            allowed_pattern=f"^{pattern}$",
            constraint_description=f"{required}, at most {length} characters",
            max_length=length,
        ).value_as_string
        return value
