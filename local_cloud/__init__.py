"""One-machine AWS: runs what AWS would run, from the same artifacts.

Start with :class:`local_cloud.cloud.LocalCloud`. The API plane is moto; what executes (jobs,
endpoints, state machines) is real, one module per service, each with an ``install(cloud)``.
Whatever is not supported is refused by name; ``docs/parity.md`` is the whole list.
"""
