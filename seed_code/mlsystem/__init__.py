"""The core that every image, function and template of a project shares.

Two layers, and data flows one way between them:

* contracts: :mod:`~mlsystem.settings`, :mod:`~mlsystem.names`, :mod:`~mlsystem.artifacts`,
  :mod:`~mlsystem.errors`. Importable anywhere, by anyone, in milliseconds.
* machine learning: data, training, evaluation, prediction. Pure functions of their arguments.

Nothing in this package reads the environment or the clock, or talks to AWS.
"""
