"""What the owner of a site decides about Synchro."""

from plone.registry.interfaces import IRegistry
from zope import schema
from zope.component import queryUtility
from zope.interface import Interface
from zope.schema.vocabulary import SimpleVocabulary

PREFIX = "synchro_plone"

GRANTABLE = SimpleVocabulary.fromValues(["Reader", "Editor", "Contributor", "Reviewer", "Owner"])
"""Roles that may arrive. One that administers a site cannot be listed at all."""


class ISettings(Interface):
    paths = schema.List(
        title="Paths",
        description="Trees that Synchro may write, such as /news. Empty: the whole site.",
        value_type=schema.TextLine(),
        required=False,
        default=[],
    )
    types = schema.List(
        title="Types",
        description="Types that Synchro may write. Empty: all content types of this site.",
        value_type=schema.TextLine(),
        required=False,
        default=[],
    )
    roles = schema.List(
        title="Local roles",
        description="Local roles that may arrive. Empty: sharing stays this site's own.",
        value_type=schema.Choice(vocabulary=GRANTABLE),
        required=False,
        default=[],
    )
    states = schema.List(
        title="States",
        description="A source's state and the state it becomes here, a pair on each line: "
        "pending published. A state that is not listed stays what it is.",
        value_type=schema.TextLine(),
        required=False,
        default=[],
    )
    markers = schema.List(
        title="Marker interfaces",
        description="Dotted names of marker interfaces that may arrive.",
        value_type=schema.ASCIILine(),
        required=False,
        default=[],
    )
    retention = schema.Int(
        title="Days that changes are kept for",
        description="A source that was not read for longer is compared as a whole.",
        min=1,
        max=3650,
        default=30,
    )
    writer = schema.TextLine(
        title="Writer",
        description="Which Synchro writes this site. It is set by the first that does; empty "
        "it to let another one take over.",
        required=False,
        default="",
    )
    address = schema.TextLine(
        title="Address",
        description="Under which address the writer found this site. A copy of the database "
        "that answers elsewhere is not written to until the writer is emptied.",
        required=False,
        default="",
    )


def settings():
    """settings gives a site's settings; None where the profile is not installed."""
    registry = queryUtility(IRegistry)
    if registry is None or f"{PREFIX}.paths" not in registry:
        return None
    return registry.forInterface(ISettings, prefix=PREFIX, check=False)
