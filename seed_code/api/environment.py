"""What each function of image 2 is given: the contract with ``infrastructure``.

=================== ================= ======================= =====================================
function            handler (CMD)     called by               where
=================== ================= ======================= =====================================
API                 api.app.handler   API Gateway, the guards private subnets, EFS mounted
release's assets    api.assets        ``Custom::ReleaseAssets`` private subnets, EFS mounted
                    .handler
guard before        api.checks        ``Custom::ReleaseCheck``, outside: calls AWS's services
                    .handler          CodeDeploy
guard after         api.checks        CodeDeploy              outside: calls AWS's services
                    .handler
=================== ================= ======================= =====================================

Variables
---------
Of the API: ``PROJECT_KEY``, ``RELEASE``, ``SERVING`` (``endpoint`` or ``lambda``), ``ENDPOINT_NAME``
(with ``endpoint``), ``ASSETS_DIR`` (where EFS is mounted), ``TIMEOUT_SECONDS`` (the function's own
timeout, 3 or more: the endpoint gets 2 less), ``MAX_INSTANCES`` (most rows of a request: ``maxItems``
of the gateway's schema, for all media types).

Of the assets: ``PROJECT_KEY``, ``DATA_BUCKET``, ``ASSETS_DIR``.

Of the guards: ``PROJECT_KEY``, ``RELEASE``, ``SERVING``, ``ENDPOINT_NAME`` (with ``endpoint``),
``DATA_BUCKET``, ``GUARD`` (``before`` or ``after``), ``FUNCTION`` (what is asked: ``before`` the ARN
of the new version, ``after`` the ARN of the alias), ``TOPIC_ARN`` (told when a guard fails),
``LATENCY_REQUESTS``, ``LATENCY_P50_MS``, ``LATENCY_P99_MS`` (budgets from project.yml).

Custom resources
----------------
``Custom::ReleaseAssets``: ``Release``; ``ModelDataUrl``, the archive that the model is made of
(``s3://<bucket>/<key>``). Its id is ``releases/<release>``, the folder below ``ASSETS_DIR``;
attributes ``Folder`` and ``OnnxSha256``. Another release is a replacement: the folder of the old one
goes in CloudFormation's clean-up, when nobody is sent to the old version any more.

``Custom::ReleaseCheck``: ``Release``. Checks when it is created; later CodeDeploy's hooks do.

Permissions
-----------
API: ``sagemaker:InvokeEndpoint`` on its endpoint; ``elasticfilesystem:ClientMount``.

Assets: ``s3:GetObject`` on ``releases/*`` and ``s3:PutObject`` on ``releases/*/deployment/*`` of the
data bucket; its key (``kms:Decrypt``, ``kms:GenerateDataKey``);
``elasticfilesystem:ClientMount`` and ``ClientWrite``. Being in the VPC it answers CloudFormation
through the gateway endpoint of S3, whose policy must let it put to
``cloudformation-custom-resource-response-*``.

Guards: ``sagemaker:DescribeEndpoint``, ``sagemaker:DescribeEndpointConfig``;
``lambda:InvokeFunction`` on the version and the alias; of the data bucket ``s3:GetObject`` on
``releases/*``, ``s3:ListBucket`` with that prefix, ``s3:PutObject`` on ``releases/*/deployment/*``;
its key; ``sns:Publish``; ``codedeploy:PutLifecycleEventHookExecutionStatus``.
"""

from __future__ import annotations
