"""The workflow's template: its parameters, the roles, the state machine and its log."""

from __future__ import annotations

import typing

from aws_cdk import (
    CfnOutput,
    CfnResource,
    LegacyStackSynthesizer,
    RemovalPolicy,
    Stack,
    Tags,
)
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infrastructure import parameters, permissions
from infrastructure.workflow import RoleArns, training_workflow
from infrastructure.workflow_input import PROJECT_TAG

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
        project = parameters.project(self)
        Tags.of(self).add(PROJECT_TAG, project.name)
        prepare = permissions.prepare_role(self, project)
        train = permissions.train_role(self, project)
        evaluate = permissions.evaluate_role(self, project)
        endpoint = permissions.endpoint_role(self, project, project.name)
        workflow = permissions.workflow_role(self, project, [prepare, train, evaluate, endpoint])
        roles = RoleArns(prepare.role_arn, train.role_arn, evaluate.role_arn, endpoint.role_arn)
        log_group = logs.LogGroup(
            self,
            "WorkflowLog",
            # This beginning keeps the account's resource policy for log delivery short.
            log_group_name=f"/aws/vendedlogs/states/{project.state_machine}",
            retention=logs.RetentionDays.THREE_MONTHS,
            encryption_key=kms.Key.from_key_arn(self, "Key", project.key_arn),
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
