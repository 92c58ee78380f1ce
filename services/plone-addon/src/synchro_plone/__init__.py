"""What Synchro has inside a Plone site: a feed of what was committed, exact reading, and
exact writing of batches in one transaction each. It does nothing on a site where its profile
is not installed."""

import logging

PROTOCOL = 1
"""Rises when a service changes so that an older driver would misunderstand it."""

LOG = logging.getLogger("synchro_plone")
