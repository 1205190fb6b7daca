"""The table of resource types: a module per service, a description per type.

A new type is a description in its service's module, with an entry in ``TYPES`` there; the tests of
``tests/local_cloud/cloudformation/test_types.py`` say what is missing.

=================== ==============================================================================
module              holds
=================== ==============================================================================
``calls``           API calls as data
``parts``           groups of properties with calls of their own: settings, lists, tags
``resource_type``   a type: its calls, and the life of its resources
``tag_forms``       the forms in which services take tags
``availability``    which operations the local cloud has
``table``           all types by name
``nested``          a stack as a resource of another one
others              the types of one service each
=================== ==============================================================================
"""
