"""Whatever is wrong with a release, the one before it goes on serving, and somebody is told why.

Each release of these tests is made in the local cloud with everything that a release has: endpoint,
functions, hooks, alarms, a deployment that moves traffic; only the fault differs. Clients ask all
the time, and half of what they ask has a number that no test row has.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from local_cloud.scenarios import RARE_NUMBER
from pipeline.environment import ProductionEnvironment
from pipeline.production import approve

from .conftest import SHARE, Ended, Production, wait

pytestmark = pytest.mark.xdist_group("production")

PREDICTOR, APP, CHECKS = "mlsystem/predictor.py", "api/app.py", "api/checks.py"
PREDICT = "        inputs: dict[str, npt.NDArray[Any]] = {}\n"
IF_RARE = f"        if (numbers == {RARE_NUMBER}).any():\n    "
SLEEP = '        __import__("time").sleep({})\n'
HANDLE = "    return _api().answer(event)\n"

RAISES = (PREDICTOR, PREDICT, f'{IF_RARE}        raise OverflowError("int32")\n{PREDICT}')
NONSENSE = (PREDICTOR, "        return answers\n", "        return answers[:, ::-1]\n")
SLOW = (PREDICTOR, PREDICT, SLEEP.format(0.3) + PREDICT)
SLOW_IF_RARE = (PREDICTOR, PREDICT, IF_RARE + SLEEP.format(1.3) + PREDICT)
DOES_NOT_START = (
    PREDICTOR,
    "        self._check_inputs()\n",
    '        raise _refused("a fault", "none")\n',
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
NEVER_REPORTS = (CHECKS, "    reason = _reason(seconds)\n", "    return\n")


def assert_old_serves(production: Production, ended: Ended, first: str) -> None:
    """The release was taken back, and nobody but it has failed a request."""
    assert ended.status == "UPDATE_ROLLBACK_COMPLETE", ended
    assert production.outputs["ServingRelease"] == first
    assert {production.serving for _ in range(5)} == {first}
    own = {ended.id, ""}  # of what crashes the gateway does not know who it was
    assert {answer.release for answer in ended.failed} <= own, ended
    assert len(ended.failed) <= SHARE * len(ended.answers), ended


def assert_refused_before_traffic(
    production: Production, ended: Ended, first: str, *words: str
) -> None:
    """The hook before traffic said why, and no client ever saw the release."""
    assert_old_serves(production, ended, first)
    assert not ended.answered, ended
    assert not ended.failed, ended
    assert ended.guard == "HOOK_EXECUTION_FAILURE", ended
    assert any("LiveAlias" in why and "HOOK_EXECUTION_FAILURE" in why for why in ended.reasons)
    reason = ended.reports["before"]["reason"]
    for word in words:
        assert word in reason
        assert word in ended.mails
    assert "refused before traffic" in ended.mails
    assert ended.deployment["deploymentId"] in ended.mails


def assert_stopped_by_alarm(production: Production, ended: Ended, first: str, *alarms: str) -> None:
    """One of the alarms stopped the deployment, while the canary answered."""
    assert_old_serves(production, ended, first)
    assert ended.guard == "ALARM_ACTIVE", ended
    message = ended.deployment["errorInformation"]["message"]
    assert any(f"-{alarm}" in message for alarm in alarms), ended
    assert any("LiveAlias" in why and "ALARM_ACTIVE" in why for why in ended.reasons)
    assert "went off" in ended.mails
    assert ended.deployment["deploymentId"] in ended.mails


# --------------------------------------------------------------------- of the model


def test_a_model_that_raises_on_some_inputs(production):
    first = production.make_sure()
    ended = production.release(**production.model(RAISES))
    assert_stopped_by_alarm(production, ended, first, "more-errors", "model-errors", "api-errors")
    assert ended.failed


def test_a_model_that_answers_nonsense(production):
    first = production.make_sure()
    ended = production.release(**production.model(NONSENSE))
    assert_refused_before_traffic(production, ended, first, "golden: 0 of")


def test_a_slow_model(production):
    first = production.make_sure()
    ended = production.release(**production.model(SLOW), CheckRequests="10", CheckP50Ms="200")
    assert_refused_before_traffic(production, ended, first, "latency: p50", "at most 200")


def test_a_model_that_is_slow_for_some_inputs(production):
    first = production.make_sure()
    ended = production.release(**production.model(SLOW_IF_RARE), AlarmLatencyMs="1000")
    assert_stopped_by_alarm(production, ended, first, "slow")
    assert not ended.failed, ended


def test_an_endpoint_that_is_never_healthy(production):
    first = production.make_sure()
    ended = production.release(**production.model(DOES_NOT_START))
    assert_old_serves(production, ended, first)
    assert not ended.failed, ended
    assert not ended.deployment
    assert any(why.startswith("Endpoint:") for why in ended.reasons), ended


def test_a_schema_that_api_and_model_do_not_share(production):
    first = production.make_sure()
    ended = production.release(**production.model(OTHER_SCHEMA))
    assert_old_serves(production, ended, first)
    assert not ended.answered, ended
    assert not ended.failed, ended
    # The hook's own requests fail and count: whoever is faster, it or an alarm.
    assert ended.guard in ("HOOK_EXECUTION_FAILURE", "ALARM_ACTIVE"), ended
    assert "status 502" in ended.mails or "more-errors" in ended.mails


# --------------------------------------------------------------------- of the function


def test_a_function_that_crashes_at_import(production):
    first = production.make_sure()
    ended = production.release(**production.function(CRASHES_AT_IMPORT))
    assert_refused_before_traffic(production, ended, first, "the function crashed")


def test_a_function_that_runs_out_of_memory(production):
    first = production.make_sure()
    ended = production.release(**production.function(HOARDS_IF_RARE))
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
    ended = production.release(**production.function(NEVER_REPORTS))
    assert_old_serves(production, ended, first)
    assert not ended.answered, ended
    assert ended.guard == "HOOK_EXECUTION_FAILURE", ended
    assert "did not report within an hour" in ended.deployment["errorInformation"]["message"]
    assert ended.deployment["deploymentId"] in ended.mails


def test_alarms_without_data_are_no_success(production):
    first = production.make_sure()
    begun = production.begin(**production.function(SAYS_NOTHING_AS_ALIAS))
    wait(begun.deployment)
    alarms = {
        name: state
        for name, state in production.alarms.items()
        if name.startswith(f"{production.stack}-{begun.names.label}")
    }
    ended = begun.end()
    assert alarms
    assert "ALARM" not in alarms.values()
    assert_old_serves(production, ended, first)
    assert ended.guard == "HOOK_EXECUTION_FAILURE", ended
    assert ended.reports["before"]["passed"]
    assert "golden: 0 of" in ended.reports["after"]["reason"]
    assert "refused after traffic had moved" in ended.mails


def test_an_alarm_that_somebody_has_deleted(production):
    first = production.make_sure()
    deleted: list[str] = []

    def delete(label: str) -> None:
        name = f"{production.stack}-{label}-crashes"
        wait(lambda: name in production.alarms)
        production.cloud.client("cloudwatch").delete_alarms(AlarmNames=[name])
        deleted.append(name)

    with production.traffic() as traffic:
        begun = production.begin()
        deleting = threading.Thread(target=delete, args=(begun.names.label,))
        deleting.start()
        ended = begun.end()
        deleting.join()
    ended.answers = traffic.answers()
    assert_old_serves(production, ended, first)
    assert not ended.failed, ended
    assert ended.guard == "CODEDEPLOY_RESOURCE_CANNOT_BE_FOUND", ended
    assert deleted[0] in ended.deployment["errorInformation"]["message"]
    assert ended.deployment["deploymentId"] in ended.mails


# --------------------------------------------------------------------- of the moment


def test_a_rollback_while_requests_are_in_flight(production):
    first = production.make_sure()
    with production.traffic() as traffic:
        begun = production.begin(**production.model(SLOW), CheckRequests="10")
        new = begun.names.release
        wait(lambda: [answer for answer in traffic.answers() if answer.release == new])
        production.cloud.client("codedeploy").stop_deployment(
            deploymentId=begun.deployment(), autoRollbackEnabled=True
        )
        ended = begun.end()
    ended.answers = traffic.answers()
    assert_old_serves(production, ended, first)
    assert ended.guard == "MANUAL_STOP", ended
    assert ended.answered
    assert not ended.failed, ended
    assert ended.deployment["deploymentId"] in ended.mails


def test_a_second_release_during_the_first_ones_bake(production):
    first = production.make_sure()
    client = production.cloud.client("codedeploy")
    with production.traffic() as traffic:
        begun = production.begin()
        new = begun.names.release
        wait(lambda: [answer for answer in traffic.answers() if answer.release == new])
        with pytest.raises(ClientError, match="UPDATE_IN_PROGRESS"):
            production.begin()
        revision = client.get_deployment(deploymentId=begun.deployment())["deploymentInfo"][
            "revision"
        ]
        with pytest.raises(ClientError, match="DeploymentLimitExceeded"):
            client.create_deployment(
                applicationName=production.stack,
                deploymentGroupName=production.stack,
                revision=revision,
            )
        ended = begun.end()
    ended.answers = traffic.answers()
    assert ended.status == "UPDATE_COMPLETE", ended
    assert not ended.failed, ended
    assert {answer.release for answer in ended.answers} == {first, new}
    assert production.serving == new


def test_a_first_release_with_a_fault(production):
    production.delete()
    ended = production.begin(**production.model(NONSENSE)).end()
    assert ended.status == "ROLLBACK_COMPLETE", ended
    assert not production.cloud.client("apigateway").get_rest_apis()["items"]
    assert any(why.startswith("ReleaseCheck: ") and "golden: 0 of" in why for why in ended.reasons)
    assert "refused before traffic" in ended.mails

    # What the pipeline's next release begins with.
    outputs = production.born.outputs
    approve(
        ProductionEnvironment(
            project_key=production.key,
            release=production.first.release,
            pipeline_name=outputs["PipelineName"],
            model_package_group=outputs["ModelPackageGroupName"],
        ),
        production.as_pipeline,
    )
    new = production.make_sure()
    assert production.serving == new
