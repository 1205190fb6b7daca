"""Rules that our hand-written templates keep, one module each.

A rule has ``SOURCE`` (why), ``check`` (what breaks it, in sentences that begin with where), and
``GOOD`` and ``BAD``, resources that keep and break it. The stack that ``check`` reads is evaluated;
rules about how a template is written (:mod:`cfn.rules.reasons`, ...) read its text instead.
"""
