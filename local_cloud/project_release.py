"""The whole way of a release: from the published template to production, and a release after it.

Each person's part is a module: :mod:`local_cloud.organization` publishes,
:mod:`local_cloud.project` creates, :mod:`local_cloud.production` asks the API; the pipeline works
alone; here somebody watches and approves.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from local_cloud import (
    clone,
    foundation,
    organization,
    production,
    project,
    release,
    results,
    scenarios,
)
from local_cloud.api_client import ApiClient
from local_cloud.blueprint import Blueprint
from local_cloud.cloud import LocalCloud
from local_cloud.execution import is_rejected
from local_cloud.organization import Organization
from local_cloud.progress import Progress
from local_cloud.project import Project
from local_cloud.release import Release
from local_cloud.scenarios import Scenario
from local_cloud.stack_outputs import outputs_of
from local_cloud.summary import Summary
from local_cloud.traffic import Traffic

__all__ = ["release_project"]

_SAGEMAKER = "sagemaker.amazonaws.com"
_TEAM = "team@example.com"  # whose letter box is the outbox, .local/mail
_POLL_SECONDS = 0.3
_REQUESTS_PER_SECOND = 40.0
_AFTERWARDS_SECONDS = 2.0


def release_project(
    cloud: LocalCloud,
    blueprint: Blueprint,
    model: str,
    scenario: Scenario,
    *,
    summary: Summary,
    progress: Progress,
) -> None:
    """Have a project of `blueprint` born, its first release in production, and a second follow.

    `model` is the model's name; `summary` is filled as far as it comes.
    """
    progress.step("Publishing the template")
    seed_code = cloud.root / "work/seed_code"
    has_data = organization.seed(blueprint, seed_code)
    people = organization.publish(cloud, seed_code)
    progress.step("Creating the project")
    form = {"ModelName": model, "NotificationEmail": _TEAM}
    born = project.create(cloud, people.data_scientist, model, form, progress.step)
    summary.project = {"name": born.name, "id": born.id, "stacks": born.stacks}
    watch = _Watch(cloud, people, born, summary, progress)
    if not has_data:
        progress.step("Uploading data")
        bucket = born.outputs["DataBucketName"]
        foundation.upload(
            watch.client("s3"), bucket, "data", blueprint.data_path, blueprint.data_files()
        )
    watch.first_releases()
    if summary.status == "SUCCEEDED":
        watch.next_release(scenario, production.application(cloud, born))


@dataclass(frozen=True)
class _Watch:
    """Somebody who follows a project's releases, and approves them."""

    cloud: LocalCloud
    people: Organization
    born: Project
    summary: Summary
    progress: Progress

    @property
    def client(self) -> Callable[[str], Any]:
        """Clients of the data scientist."""
        return partial(
            self.cloud.client, role_arn=self.people.data_scientist, service_principal=_SAGEMAKER
        )

    # ---------------------------------------------------------------- the first

    def first_releases(self) -> None:
        """Follow what a birth starts: one release, or one for each of the uploaded files."""
        last = None
        for found in release.each(self.client, self.born.outputs["PipelineName"]):
            self._follow(found)
            if last is None or found.workflow():  # the others had nothing to train on
                last = found
        assert last is not None  # noqa: S101 - the first one is awaited
        self._conclude(last)

    # ---------------------------------------------------------------- the next

    def next_release(self, scenario: Scenario, api: ApiClient) -> None:
        """Have another release made while an application asks `api`; say who answered."""
        first = self.summary.release
        golden = results.golden_requests(self.cloud.client, self._inputs())
        self.progress.section(scenario.title)
        with Traffic(api, scenarios.requests(golden), _REQUESTS_PER_SECOND) as traffic:
            second = self._start(scenario)
            self._follow(second, traffic)
            self._conclude(second)
            if scenario.goes_back and self.summary.status == "SUCCEEDED":
                self._go_back(traffic)
            time.sleep(_AFTERWARDS_SECONDS)
        self._count(traffic, first, second.id)
        if scenario.is_bad:
            self._judge_rollback(traffic, first, second.id)
        elif self.summary.status == "SUCCEEDED":
            self._judge_shift(first if scenario.goes_back else second.id)
        self._ask_api(api)

    def _go_back(self, traffic: Traffic) -> None:
        """Return production to the release before, as who may approve."""
        self.progress.step("Going back to the release before")
        started = time.monotonic()
        environment = self.cloud.role_environment(self.people.approver, _SAGEMAKER)
        said = production.go_back(self.born, environment)
        answers = traffic.answers(since=started)
        self.summary.rollback = {
            "guard": "a person",
            "reason": said.strip().splitlines()[0],
            "seconds": time.monotonic() - started,
            "requests": len(answers),
            "failed_requests": len(traffic.failed(answers)),
            "serving_release": production.serving_release(self.cloud, self.born),
        }

    def _start(self, scenario: Scenario) -> Release:
        client, pipeline = self.client, self.born.outputs["PipelineName"]
        if scenario.change is None:
            started = client("codepipeline").start_pipeline_execution(
                name=pipeline, variables=[{"name": "RETRAIN", "value": "always"}]
            )
            return Release(client, pipeline, started["pipelineExecutionId"])
        folder = self.cloud.root / "work/clone"
        environment = self.cloud.role_environment(self.people.data_scientist, _SAGEMAKER)
        before = set(release.ids(client, pipeline))
        clone.commit(self.born.outputs["RepositoryCloneUrl"], folder, scenario.change, environment)
        shutil.rmtree(folder)
        while not (found := [each for each in release.ids(client, pipeline) if each not in before]):
            time.sleep(_POLL_SECONDS)
        return Release(client, pipeline, found[0])

    def _count(self, traffic: Traffic, first: str, second: str) -> None:
        answers = traffic.answers()
        counts = Counter(answer.release or "nobody" for answer in answers)
        self.summary.traffic = {
            "requests": len(answers),
            "failed_requests": len(traffic.failed(answers)),
            "releases": {name: counts[name] for name in (first, second, "nobody") if counts[name]},
        }

    def _judge_shift(self, wanted: str) -> None:
        """All traffic must have moved to one release, and every request have been answered."""
        summary, counted = self.summary, self.summary.traffic or {}
        serving = production.serving_release(self.cloud, self.born)
        if counted["failed_requests"] or serving != wanted:
            summary.status = "FAILED"
            summary.error = (
                f"release {serving} serves, {counted['failed_requests']} of {counted['requests']} "
                f"requests failed; release {wanted}, and none."
            )
        elif summary.rollback:
            summary.status = "ROLLED_BACK"

    def _judge_rollback(self, traffic: Traffic, first: str, second: str) -> None:
        """The release before must serve, and nobody but the new one may have failed a request."""
        summary = self.summary
        refusal = production.refusal(self.cloud, self.born)
        serving = production.serving_release(self.cloud, self.born)
        answers = traffic.answers()
        by_second = [answer for answer in answers if answer.release == second]
        failed = traffic.failed(answers)
        others = [answer for answer in failed if answer.release != second]
        if refusal is None or serving != first or others or not by_second:
            summary.status = "FAILED"
            summary.error = (
                f"release {serving} serves, {len(others)} failed requests are not of {second}, "
                f"which answered {len(by_second)}: {summary.error or 'no error'}; a rollback to "
                f"{first} after some of them failed."
            )
            return
        seen = [answer.at for answer in by_second]
        summary.status, summary.error = "ROLLED_BACK", None
        summary.rollback = {
            "guard": refusal.guard,
            "reason": refusal.reason,
            "seconds": max(seen) - min(seen),
            "requests": len(answers),
            "failed_requests": len(failed),
            "serving_release": serving,
        }

    # ---------------------------------------------------------------- any

    def _follow(self, found: Release, traffic: Traffic | None = None) -> None:
        """Watch the release to its end, and approve it when it asks."""
        approver = partial(
            self.cloud.client, role_arn=self.people.approver, service_principal=_SAGEMAKER
        )
        is_over, shares = False, ""
        while not is_over:
            is_over = found.is_over()
            self._look(found)
            self.progress.update(self.summary.rows(), self.cloud.logs.last_line("/aws/", ""))
            approval = found.approval()
            if approval:
                self.progress.say(approval.text)
                why = "make run approves what passed its tests"
                found.decide(approver, approval, "Approved", why)
            now = _shares(traffic, found.id) if traffic else ""
            if now != shares:
                shares = now
                self.progress.say(now)
            time.sleep(_POLL_SECONDS)

    def _look(self, found: Release) -> dict[str, Any] | None:
        """Copy how far the release is; return its workflow's input, once that was started."""
        workflow = found.workflow()
        self.summary.release = found.id
        self.summary.pipeline = found.look(self.cloud.logs)
        self.summary.stages = workflow[1] if workflow else []
        return workflow[0] if workflow else None

    def _inputs(self) -> dict[str, Any]:
        pipeline = self.born.outputs["PipelineName"]
        workflow = Release(self.client, pipeline, self.summary.release).workflow()
        assert workflow is not None  # noqa: S101 - of a release that has succeeded
        return workflow[0]

    def _conclude(self, found: Release) -> None:
        """Copy what the release came to, and nothing of one before it."""
        summary, inputs = self.summary, self._look(found)
        summary.metrics, summary.gate, summary.model = {}, None, None
        summary.endpoint, summary.golden_requests, summary.predictions = None, None, []
        summary.status, summary.error = "SUCCEEDED", None
        if found.status() != "Succeeded":
            summary.status = "REJECTED" if is_rejected(summary.stages) else "FAILED"
            summary.error = _failure(summary)
        if inputs is None:
            return
        results.read_evaluation(self.cloud.client, inputs, summary)
        stages = summary.pipeline.stages if summary.pipeline else []
        passed = {stage.name for stage in stages if stage.status == "SUCCEEDED"}
        if "Train" in passed:
            results.read_model(self.cloud.client, inputs, summary)
        if "Dev" in passed:
            self.progress.step("Asking the endpoint")
            outputs = outputs_of(
                self.cloud.client("cloudformation"), self.born.outputs["DevStackName"]
            )
            results.ask(self.cloud.client, inputs, outputs["EndpointName"], summary)

    def _ask_api(self, api: ApiClient) -> None:
        golden = results.golden_requests(self.cloud.client, self._inputs())
        body = golden["requests"][0]["body"]
        answer = api.predict(body)
        api.close()
        self.summary.api = {
            "url": api.url,
            "status": answer.status,
            "release": answer.release,
            "input": body,
            "output": answer.text,
        }


def _shares(traffic: Traffic, second: str) -> str:
    """Say how much of the traffic the new release has, to the next ten percent."""
    share = traffic.shares().get(second, 0.0)
    return f"Traffic: {round(share * 10) * 10} % to release {second}"


def _failure(summary: Summary) -> str:
    """Say where the release failed and why: the workflow's own words before the pipeline's."""
    said = next((state.error for state in summary.stages if state.error), None)
    if said:
        return said
    for stage in summary.pipeline.stages if summary.pipeline else ():
        for action in stage.actions:
            if action.error:
                log = f"\nIts log: {action.log}" if action.log else ""
                return f"{stage.name}/{action.name}: {action.error}{log}"
    return "The release was stopped; its pipeline says by whom."
