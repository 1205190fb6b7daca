"""The table of resource types: a module per service, a description per type.

=================== ==============================================================================
module              holds
=================== ==============================================================================
``calls``           API calls as data
``parts``           groups of properties with calls of their own: settings, lists, tags
``resource_type``   a type: its calls, and the life of its resources
``tag_forms``       the forms in which services take tags
``availability``    which operations the local cloud has
others              the types of one service each
=================== ==============================================================================
"""
