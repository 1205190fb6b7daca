"""upgrade_prj.sh: who is brought to the newest version, and how."""

import pytest

from scripts.errors import ScriptError
from scripts.project import Project
from scripts.upgrade import Candidate, Newest, UpdateProject, plan

OFFERED = Newest(
    "v2", "pa-2", "https://templates.s3.eu-west-1.amazonaws.com/templates/pipeline.yml"
)


def candidate(version, status="CreateCompleted", s3_template=None):
    return Candidate(Project("churn", "p-1", status), version, s3_template)


def test_a_project_behind_is_updated_to_the_newest_version():
    details = {"ProvisioningArtifactId": "pa-2"}
    assert plan([candidate("v1")], OFFERED).steps == (
        UpdateProject("churn", "v2", (("ServiceCatalogProvisioningUpdateDetails", details),)),
    )


def test_a_project_from_before_production_stays_without():
    old = Candidate(Project("churn", "p-1", "CreateCompleted"), "v1", None, has_production=False)
    ((_, details),) = plan([old], OFFERED).steps[0].details
    assert details["ProvisioningParameters"] == [{"Key": "Production", "Value": "no"}]


def test_a_project_that_is_up_to_date_is_left_alone():
    found = plan([candidate("v2", "CreateInProgress")], OFFERED)
    assert found.steps == ()
    assert found.kept == ("the project churn, which has version v2",)


def test_a_project_from_s3_is_updated_from_there():
    (step,) = plan([candidate("v1", s3_template="pipeline")], OFFERED).steps
    provider = {"TemplateName": "pipeline", "TemplateURL": OFFERED.template_url}
    assert step.details == (("TemplateProvidersToUpdate", [{"CfnTemplateProvider": provider}]),)


def test_a_failed_update_can_be_tried_again():
    assert plan([candidate("v1", "UpdateFailed")], OFFERED).steps


@pytest.mark.parametrize("status", ["CreateInProgress", "CreateFailed", "DeleteFailed", "Pending"])
def test_one_that_cannot_be_updated_stops_all_before_anything_is_done(status):
    with pytest.raises(ScriptError, match=status):
        plan([candidate("v1"), candidate("v1", status)], OFFERED)
