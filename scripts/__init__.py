"""What a platform engineer does to an account: publish, upgrade projects, remove them.

Every command asks first what there is (``Found`` values), computes from that a plan (frozen values,
no calls), shows it, and carries it out. ``--dry-run`` ends before the last, and the tests compare
plans. A plan holds only what is still to be done, so an interrupted command is started again.

=================== ==============================================================================
module              holds
=================== ==============================================================================
``account``         whose account it is, in which region; the only maker of clients
``plan``            steps: shown, and carried out one after the other
``seed_archive``    the seed code as an archive, and the version of what is published
``template_text``   parts of a template's text
``publication``     ``build.sh``
``validation``      ``validate-tpl.sh``
``project``         what there is of a project
``removal``         ``rm_prj.sh``
``bucket_removal``  ``rm_s3.sh``
``upgrade``         ``upgrade_prj.sh``
``buckets``, ``stacks``, ``roles``  the steps that several commands have
=================== ==============================================================================
"""
