"""Events of a write by Synchro, without the handlers that would act as if an editor did it."""

from zope.component import getSiteManager
from zope.interface import providedBy

LEFT_OUT = {
    # Sends mail and moves things, by rules that ran on the source already.
    "plone.app.contentrules.handlers.added",
    "plone.app.contentrules.handlers.copied",
    "plone.app.contentrules.handlers.modified",
    "plone.app.contentrules.handlers.removed",
    # A version for each change: the history that counts is the source's.
    "plone.app.versioningbehavior.subscribers.create_initial_version_after_adding",
    "plone.app.versioningbehavior.subscribers.create_version_on_save",
    # Runs once at the end: it searches the catalog, which writes what waits for it.
    "plone.app.linkintegrity.handlers.modifiedContent",
    # Languages and what translations share arrive as they are.
    "plone.app.multilingual.subscriber.createdEvent",
    "plone.app.multilingual.dx.subscriber.LanguageIndependentModifier",
    # Calls the handlers of the object, which announce does itself.
    "zope.component.event.objectEventNotify",
}
"""By their full names: a prefix would silence the cleaning up of what is removed."""


def announce(event):
    """announce does what zope.event.notify does, but for the handlers that are left out."""
    _call(event)
    _call(event.object, event)


def _call(*objects):
    handlers = getSiteManager().adapters.subscriptions([providedBy(o) for o in objects], None)
    for handler in handlers:
        if _name(handler) not in LEFT_OUT:
            handler(*objects)


def _name(handler):
    named = handler if hasattr(handler, "__name__") else type(handler)
    return f"{named.__module__}.{named.__name__}"
