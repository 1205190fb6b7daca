r"""Training workflow and dev endpoint of a project: a CDK app that synthesizes plain templates.

================== ===============================================================================
module             holds
================== ===============================================================================
``workflow_input`` what varies by project.yml and release: the input of an execution (pure)
``workflow``       the states, from PrepareData to ReleaseSucceeded
``jobs``           the requests of the SageMaker jobs
``registration``   what RegisterModel does inside
``deployment``     what DeployEndpoint does inside
``tasks``          a task with its retries and timeout
``failures``       how every failure ends in a named Fail state with a text for a person
``grants``         what every role is made of
``permissions``    the role of each actor of workflow and dev endpoint, and no more
``stack``          the workflow's template: resources, outputs
``dev``            the dev endpoint's template: resources, outputs
``parameters``     parameters of the templates
``app``            synthesis to files
``files``          files that are whole or not there
``node``           finds the Node.js that the CDK needs
================== ===============================================================================

::

    python -m infrastructure synth --output build
    python -m infrastructure settings --project project.yml
    python -m infrastructure workflow-input --project project.yml --release ID \
        --bucket BUCKET --image URI --output workflow-input.json --settings-output project.json
"""
