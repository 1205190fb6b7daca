"""Whatever is wrong with a release, the one before it goes on serving, and somebody is told why.

Each release of these tests is made in the local cloud with all that a release has: functions,
hooks, alarms, a deployment that moves traffic, and an endpoint where the fault is behind one; only
the fault differs. Clients ask all the time; half of what they ask has a number that no test row
has.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from bench.production import KEY, STACK
from local_cloud.scenarios import RARE_NUMBER
from local_cloud.traffic import Traffic
from mlsystem.names import Names
from mlsystem.settings import Checks
from pipeline.environment import ApprovalEnvironment
from pipeline.production import approve

from .conftest import AT_ONCE, CANARY, HEALTHY_SECONDS, SHARE, Ended, Production, wait

pytestmark = pytest.mark.xdist_group("production")

PREDICTOR, APP, CHECKS = "mlsystem/predictor.py", "api/app.py", "api/checks.py"
PREDICT = "        inputs: dict[str, npt.NDArray[Any]] = {}\n"
IF_RARE = f"        if (numbers == {RARE_NUMBER}).any():\n    "
SLEEP = '        __import__("time").sleep({})\n'
HANDLE = "    return _api().answer(event)\n"
JUDGED = "    reason, tell = _judge(seconds)\n"

RAISES = (PREDICTOR, PREDICT, f'{IF_RARE}        raise OverflowError("int32")\n{PREDICT}')
NONSENSE = (PREDICTOR, "        return answers\n", "        return answers[:, ::-1]\n")
SLOW = (PREDICTOR, PREDICT, SLEEP.format(0.3) + PREDICT)
SLOW_IF_RARE = (PREDICTOR, PREDICT, IF_RARE + SLEEP.format(1.3) + PREDICT)
SLOWER_IF_RARE = (PREDICTOR, PREDICT, IF_RARE + SLEEP.format(4) + PREDICT)
DOES_NOT_START = (
    PREDICTOR,
    "        self._check_inputs()\n",
    '        raise _refused("a fault", "none")\n',
)
HANGS_IN_PING = (
    "container/app.py",
    "            return _ping(inference)\n",
    f"    {SLEEP.format(3600)}            return _ping(inference)\n",
)
OTHER_SCHEMA = (
    PREDICTOR,
    "    return contract, graph\n",
    """\
    from dataclasses import replace

    first, *others = contract.features
    return replace(contract, features=(replace(first, name="renamed"), *others)), graph
""",
)
CRASHES_AT_IMPORT = (APP, "import functools\n", 'import functools\n\nraise OSError("a fault")\n')
HOARDS_IF_RARE = (
    APP,
    HANDLE,
    f"""\
    if "{RARE_NUMBER}" in (event.get("body") or ""):
        hoard = [b"x" * 2**20 for _ in range(2048)]
{HANDLE}""",
)
SAYS_NOTHING_AS_ALIAS = (
    APP,
    HANDLE,
    f"""\
    if context.invoked_function_arn.endswith(":live"):
        headers = {{"X-Release": os.environ["RELEASE"]}}
        return {{"statusCode": 200, "headers": headers, "body": "{{}}"}}
{HANDLE}""",
)
SLOW_AS_ALIAS = (
    (
        APP,
        HANDLE,
        f"""\
    if context.invoked_function_arn.endswith(":live"):
        os.environ["LIVE"] = "yes"
{HANDLE}""",
    ),
    (
        PREDICTOR,
        PREDICT,
        '        if "LIVE" in __import__("os").environ:\n    ' + SLEEP.format(0.3) + PREDICT,
    ),
)
NEVER_REPORTS = (CHECKS, JUDGED, "    return\n")
NEVER_REPORTS_AFTERWARDS = (
    CHECKS,
    JUDGED,
    f'{JUDGED}    if os.environ["GUARD"] == "after":\n        return\n',
)


def assert_old_serves(production: Production, ended: Ended, first: str) -> None:
    """The release was taken back, and nobody but it has failed a request."""
    assert ended.status == "UPDATE_ROLLBACK_COMPLETE", ended
    assert production.outputs["ServingRelease"] == first
    assert {production.serving for _ in range(5)} == {first}
    own = {ended.id, ""}  # of what crashes the gateway does not know who it was
    assert {answer.release for answer in ended.failed} <= own, ended
    assert len(ended.failed) <= SHARE * len(ended.answers), ended


def assert_no_more_than_its_share(ended: Ended) -> None:
    """While the release answered, it had of the traffic what a canary has, give or take chance."""
    own = [answer for answer in ended.answers if answer in ended.failed or answer in ended.answered]
    begun, over = min(answer.at for answer in own), max(answer.at for answer in own)
    during = [answer for answer in ended.answers if begun <= answer.at <= over]
    chance = 4 * math.sqrt(SHARE * (1 - SHARE) * len(during))  # standard deviations
    assert len(own) <= 1 + SHARE * len(during) + chance, ended


def assert_told_once(ended: Ended, state: str) -> None:
    """A mail says which release was taken back, by which deployment, and how that ended."""
    (mail,) = ended.told(ended.deployment["deploymentId"])
    assert ended.id in mail
    assert f" with {state}." in mail


def assert_refused(
    production: Production, ended: Ended, first: str, guard: str, *words: str
) -> None:
    """A hook said why: in its report, in the stack, and in a mail."""
    assert_old_serves(production, ended, first)
    assert ended.guard == "HOOK_EXECUTION_FAILURE", ended
    assert f"-{guard} of " in ended.message
    assert any("LiveAlias" in why and "HOOK_EXECUTION_FAILURE" in why for why in ended.reasons)
    reason = ended.reports[guard]["reason"]
    for word in words:
        assert word in reason
    when = "refused before traffic" if guard == "before" else "refused after traffic had moved"
    assert len(ended.told(ended.label, when, *words)) == 1, ended.mails
    assert_told_once(ended, "FAILURE")


def assert_refused_before_traffic(
    production: Production, ended: Ended, first: str, *words: str
) -> None:
    """The hook before traffic said why, and no client ever saw the release."""
    assert_refused(production, ended, first, "before", *words)
    assert not ended.answered, ended
    assert not ended.failed, ended


def assert_stopped_by_alarm(production: Production, ended: Ended, first: str, *alarms: str) -> None:
    """One of the alarms stopped the deployment, while the canary answered."""
    assert_old_serves(production, ended, first)
    assert ended.guard == "ALARM_ACTIVE", ended
    found = [alarm for alarm in alarms if f"{STACK}-{ended.label}-{alarm}" in ended.message]
    assert found, ended
    assert any("LiveAlias" in why and "ALARM_ACTIVE" in why for why in ended.reasons)
    for alarm in found:
        assert len(ended.told(f"{ended.label}-{alarm}", "went off", "hreshold")) == 1, ended.mails
    assert_told_once(ended, "STOP")


# --------------------------------------------------------------------- of the model


def test_a_model_that_raises_on_some_inputs(production):
    first = production.make_sure()
    ended = production.attempt(**production.behind_endpoint(RAISES), **CANARY)
    assert_stopped_by_alarm(production, ended, first, "more-errors", "model-errors", "api-errors")
    assert ended.failed
    assert_no_more_than_its_share(ended)


def test_a_model_that_answers_nonsense(production):
    first = production.make_sure()
    ended = production.attempt(**production.in_function(NONSENSE))
    assert_refused_before_traffic(production, ended, first, "another answer than evaluate's")


@pytest.mark.parametrize(
    ("budgets", "found"),
    [
        (
            {"CheckP50Ms": f"{Checks().latency_p50_ms:g}"},
            f"(at most {Checks().latency_p50_ms:g})",
        ),
        ({"CheckP99Ms": "250"}, "(at most 250)"),
    ],
    ids=["the default budget", "an own budget"],
)
def test_a_slow_model(production, budgets, found):
    first = production.make_sure()
    ended = production.attempt(**production.in_function(SLOW), **budgets)
    assert_refused_before_traffic(production, ended, first, "latency: p50", found)


def test_a_model_that_is_slow_for_some_inputs(production):
    first = production.make_sure()
    slow = production.behind_endpoint(SLOW_IF_RARE)
    ended = production.attempt(**slow, **CANARY, AlarmLatencyMs="1000")
    assert_stopped_by_alarm(production, ended, first, "slow")
    assert not ended.failed, ended
    assert_no_more_than_its_share(ended)


@pytest.mark.parametrize(
    ("fault", "words"),
    [(DOES_NOT_START, "exit code"), (HANGS_IN_PING, "did not answer GET /ping")],
    ids=["dies", "hangs"],
)
def test_an_endpoint_that_is_never_healthy(production, fault, words):
    first = production.make_sure()
    ended = production.attempt(**production.behind_endpoint(fault))
    assert_old_serves(production, ended, first)
    assert not ended.failed, ended
    assert not ended.deployment
    (why,) = ended.reasons
    assert why.startswith("Endpoint: ")
    assert words in why
    assert ended.seconds < HEALTHY_SECONDS + 30, ended


def test_a_schema_that_api_and_model_do_not_share(production):
    first = production.make_sure()
    # The hook's own requests fail and count: it is to be the one who finds it, not an alarm.
    ended = production.attempt(**production.behind_endpoint(OTHER_SCHEMA), AlarmsStop="no")
    assert_refused_before_traffic(production, ended, first, "golden: 0 of", "status 502")


# --------------------------------------------------------------------- of the function


def test_a_function_that_crashes_at_import(production):
    first = production.make_sure()
    ended = production.attempt(**production.in_function(CRASHES_AT_IMPORT))
    assert_refused_before_traffic(production, ended, first, "the function crashed")


def test_a_function_that_runs_out_of_memory(production):
    first = production.make_sure()
    ended = production.attempt(**production.in_function(HOARDS_IF_RARE), **CANARY)
    assert_stopped_by_alarm(production, ended, first, "crashes", "api-errors")
    assert ended.failed


# --------------------------------------------------------------------- of the guards


@pytest.fixture
def short_hour(production: Production) -> Iterator[None]:
    """An hour that takes seconds."""
    before = production.cloud.wait_factor
    production.cloud.wait_factor = 0.001
    yield
    production.cloud.wait_factor = before


def test_a_hook_that_never_reports(production, short_hour):
    first = production.make_sure()
    ended = production.attempt(**production.in_function(NEVER_REPORTS))
    assert_old_serves(production, ended, first)
    assert not ended.answered, ended
    assert ended.guard == "HOOK_EXECUTION_FAILURE", ended
    assert "did not report within an hour" in ended.message
    assert_told_once(ended, "FAILURE")


def test_alarms_without_data_are_no_success(production):
    first = production.make_sure()
    # Say nothing themselves either; as they are shipped, they say that nothing is wrong.
    template = production.template.replace("notBreaching", "missing")
    assert template != production.template
    begun = production.begin(template, **production.in_function(SAYS_NOTHING_AS_ALIAS), **CANARY)

    def states() -> set[str]:
        return set(production.states_of(begun.names.label).values())

    wait(lambda: states() == {"INSUFFICIENT_DATA"} and begun.deployment())
    time.sleep(0.5)  # CodeDeploy looks at them five times a second
    assert begun.describe()["status"] == "InProgress"
    ended = begun.end()
    assert_refused(production, ended, first, "after", "golden: 0 of")
    assert ended.reports["before"]["passed"]


def test_an_alarm_that_somebody_has_deleted(production):
    first = production.make_sure()
    deleted: list[str] = []

    def delete(label: str) -> None:
        name = f"{STACK}-{label}-crashes"
        wait(lambda: name in production.states)
        production.cloud.client("cloudwatch").delete_alarms(AlarmNames=[name])
        deleted.append(name)

    with production.traffic() as traffic:
        begun = production.begin(Serving="lambda", ApiTimeoutSeconds="3")
        deleting = threading.Thread(target=delete, args=(begun.names.label,))
        deleting.start()
        ended = begun.end()
        deleting.join()
    ended.answers = traffic.answers()
    assert_old_serves(production, ended, first)
    assert not ended.failed, ended
    assert ended.guard == "CODEDEPLOY_RESOURCE_CANNOT_BE_FOUND", ended
    assert deleted[0] in ended.message
    assert_told_once(ended, "FAILURE")


@pytest.mark.parametrize(
    ("guard", "faults"), [("before", [SLOW]), ("after", SLOW_AS_ALIAS)], ids=["before", "after"]
)
def test_an_alarm_that_is_faster_than_the_hook(production, guard, faults):
    """The hook's own requests are slow, for longer than the alarm looks at them."""
    first = production.make_sure()
    slow = production.in_function(*faults, AlarmLatencyMs="100", ApiTimeoutSeconds="3")
    begun = production.begin(**slow, **AT_ONCE, CheckRequests="20")
    ended = begun.end()
    assert_stopped_by_alarm(production, ended, first, "slow")

    # Late, and not asked again: its word counts no more, and nobody hears it.
    said = f'"release": "{ended.id}", "guard": "{guard}"'
    wait(lambda: said in production.log(guard))
    wait(lambda: "the deployment had ended" in production.log(guard).partition(said)[2])
    assert production.log(guard).count(said) == 1
    assert begun.describe()["status"] == "Stopped"
    assert not [mail for mail in begun.mails() if "refused" in mail]
    assert production.serving == first


# --------------------------------------------------------------------- of the moment


def test_a_rollback_while_requests_are_in_flight(production):
    """A person stops the deployment when all traffic is the release's, and some of it slow."""
    first = production.make_sure()
    with production.traffic() as traffic:
        begun = production.begin(
            **production.behind_endpoint(SLOWER_IF_RARE),
            ApiImageUri=production.variant("api", NEVER_REPORTS_AFTERWARDS),
            **AT_ONCE,
        )
        new = begun.names.release
        wait(lambda: len([each for each in traffic.answers() if each.release == new]) > 8)
        stopped_at = time.monotonic()
        production.cloud.client("codedeploy").stop_deployment(
            deploymentId=begun.deployment(), autoRollbackEnabled=True
        )
        ended = begun.end()
    ended.answers = traffic.answers()
    assert_old_serves(production, ended, first)
    assert ended.guard == "MANUAL_STOP", ended
    assert not ended.failed, ended
    assert [answer for answer in ended.answered if answer.at > stopped_at + 1], ended
    assert_told_once(ended, "STOP")


def test_a_second_release_during_the_first_ones_bake(production):
    before = production.make_sure()
    codedeploy = production.cloud.client("codedeploy")
    pipeline = production.cloud.client("codepipeline")

    def executions() -> dict[str, str]:
        found = pipeline.list_pipeline_executions(pipelineName=KEY)["pipelineExecutionSummaries"]
        return {each["pipelineExecutionId"]: each["status"] for each in reversed(found)}

    def waiting() -> list[str]:
        stages = pipeline.get_pipeline_state(name=KEY)["stageStates"]
        (prod,) = [stage for stage in stages if stage["stageName"] == "Prod"]
        return [each["pipelineExecutionId"] for each in prod.get("inboundExecutions", [])]

    with production.traffic(rare=False) as traffic:
        start = production.declare_pipeline(Serving="lambda")
        wait(lambda: len({answer.release for answer in traffic.answers()}) == 2)
        second = start()
        wait(lambda: waiting() == [second])
        with pytest.raises(ClientError, match="UPDATE_IN_PROGRESS"):
            production.begin()
        (baking,) = codedeploy.list_deployments(
            applicationName=STACK, deploymentGroupName=STACK, includeOnlyStatuses=["InProgress"]
        )["deployments"]
        revision = codedeploy.get_deployment(deploymentId=baking)["deploymentInfo"]["revision"]
        with pytest.raises(ClientError, match="DeploymentLimitExceeded"):
            codedeploy.create_deployment(
                applicationName=STACK, deploymentGroupName=STACK, revision=revision
            )
        assert set(executions().values()) == {"InProgress"}
        wait(lambda: set(executions().values()) != {"InProgress"})
        assert executions()[second] == "InProgress"
        wait(lambda: executions()[second] != "InProgress")
    assert list(executions().values()) == ["Succeeded", "Succeeded"]
    answers = traffic.answers()
    assert not Traffic.failed(answers)
    releases = list(dict.fromkeys(answer.release for answer in answers))
    assert len(releases) == 3
    assert releases[0] == before
    assert production.serving == releases[2] == production.outputs["ServingRelease"]


def test_a_first_release_with_a_fault(production, tmp_path):
    production.delete()
    begun = production.begin(**production.in_function(NONSENSE))
    ended = begun.end()
    assert ended.status == "ROLLBACK_COMPLETE", ended
    assert not production.cloud.client("apigateway").get_rest_apis()["items"]
    (why,) = ended.reasons
    assert why.startswith("ReleaseCheck: ")
    assert "another answer than evaluate's" in why
    assert len(ended.told(ended.label, "refused before traffic", "another answer than")) == 1

    # What the pipeline's next release begins with.
    group = production.register(ended.id)
    (tmp_path / "prod-configuration.json").write_text('{"Parameters": {}}')
    environment = ApprovalEnvironment(
        project_key=KEY, release=ended.id, pipeline_name=KEY, model_package_group=group,
        production_access_role_arn="none", build=str(tmp_path),
    )  # fmt: skip
    place = Names(KEY, ended.id).production_place
    production.cloud.client("ssm").put_parameter(Name=place, Type="String", Value="{}")
    approve(environment, production.cloud.client, tmp_path / "approved")
    assert not production.exists()
