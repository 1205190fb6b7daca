"""From an execution's history to the stages that a person follows."""

from datetime import UTC, datetime, timedelta

from local_cloud import execution

START = datetime(2026, 1, 1, tzinfo=UTC)


def history(*events):
    return [{"timestamp": START + timedelta(seconds=second), **event} for second, event in events]


def entered(name):
    return {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": name}}


def read(*events, now=100):
    stages = execution.stages(history(*events), START + timedelta(seconds=now))
    return [(stage.name, stage.status, stage.seconds, stage.error) for stage in stages]


def test_an_execution_that_has_not_entered_a_state_has_no_stages():
    assert read((0, {"type": "ExecutionStarted"})) == []


def test_the_last_stage_is_running_and_its_time_goes_on():
    events = [(0, entered("PrepareData")), (4, entered("TrainModel"))]
    assert read(*events, now=10) == [
        ("PrepareData", "SUCCEEDED", 4, None),
        ("TrainModel", "RUNNING", 6, None),
    ]


def test_plumbing_states_belong_to_the_stage_before_them():
    events = [
        (0, entered("EvaluateModel")),
        (3, entered("ReadEvaluation")),
        (4, entered("CheckGate")),
        (5, {"type": "ExecutionSucceeded"}),
    ]
    assert read(*events) == [
        ("EvaluateModel", "SUCCEEDED", 4, None),
        ("CheckGate", "SUCCEEDED", 1, None),
    ]


def test_a_failed_execution_fails_the_stage_it_was_in_with_its_cause():
    failed = {
        "type": "ExecutionFailed",
        "executionFailedEventDetails": {"error": "PrepareFailed", "cause": "data.csv: empty"},
    }
    events = [(0, entered("PrepareData")), (2, entered("PrepareFailed")), (3, failed)]
    assert read(*events) == [("PrepareData", "FAILED", 3, "data.csv: empty")]


def test_a_rejected_model_rejects_the_gate_and_carries_the_reasons():
    failed = {"type": "ExecutionFailed", "executionFailedEventDetails": {"cause": "roc_auc 0.5"}}
    events = [(0, entered("CheckGate")), (1, entered("ModelRejected")), (2, failed)]
    assert read(*events) == [("CheckGate", "REJECTED", 1, "roc_auc 0.5")]


def test_an_aborted_execution_says_so():
    events = [(0, entered("TrainModel")), (2, {"type": "ExecutionAborted"})]
    assert read(*events) == [("TrainModel", "FAILED", 2, "ExecutionAborted")]
