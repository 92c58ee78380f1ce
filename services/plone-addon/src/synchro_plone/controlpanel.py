"""The page of the settings, in Classic and in Volto."""

from plone.app.registry.browser.controlpanel import ControlPanelFormWrapper
from plone.app.registry.browser.controlpanel import RegistryEditForm
from plone.restapi.controlpanels import RegistryConfigletPanel
from zope.component import adapter
from zope.interface import Interface

from synchro_plone.settings import ISettings
from synchro_plone.settings import PREFIX


class Form(RegistryEditForm):
    schema = ISettings
    schema_prefix = PREFIX
    label = "Synchro"


class Page(ControlPanelFormWrapper):
    form = Form


@adapter(Interface, Interface)
class VoltoPanel(RegistryConfigletPanel):
    schema = ISettings
    schema_prefix = PREFIX
    configlet_id = "synchro"
    configlet_category_id = "Products"
