"""What the pipeline's own programs do: the buildspecs start them.

================= ================================================================================
module            holds
================= ================================================================================
``environment``   what pipeline.yml tells a build, from its environment variables
``build``         the Build stage, in order
``images``        an image for every content of its Dockerfile and of what that copies, and no more
``changes``       whether there is something new to train on
``releases``      what earlier releases were made of
``files``         digests of files
``registry``      versions of the model: approved ones, and the champion
``accounts``      clients in the account that production is in
``configuration`` parameters and tags of the stacks
``acceptance``    the Dev stage's test: what an endpoint must do before a person is asked
``endpoint``      requests to the endpoint, and how long they take
``production``    the Prod stage's programs: what was approved, and what answers
``rollback``      the way back to an earlier release
``history``       approved releases, and what production answered
``exports``       pipeline variables
================= ================================================================================

::

    python -m pipeline build --output release
    python -m pipeline test --output release
    python -m pipeline approve
    python -m pipeline promote
    python -m pipeline rollback churn-p-8up2y4ihhnzd
"""
