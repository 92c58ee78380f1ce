"""Installs and removes what the profiles' files cannot say."""

from plone.base.interfaces import INonInstallable
from zope.interface import implementer

from synchro_plone import store

ROLES = ("Synchro Reader", "Synchro Writer")
PERMISSIONS = ("Synchro: Read", "Synchro: Write")


@implementer(INonInstallable)
class HiddenProfiles:
    """Keeps the uninstall profile out of the lists."""

    def getNonInstallableProfiles(self):
        return ["synchro_plone:uninstall"]

    def getNonInstallableProducts(self):
        return []


def install(setup):
    store.create(setup.aq_parent)


def uninstall(setup):
    site = setup.aq_parent
    store.remove(site)
    for name in PERMISSIONS:
        site.manage_permission(name, roles=[], acquire=1)
    # From the site first: the list of the role manager is made after it.
    site._delRoles([role for role in ROLES if role in site.userdefined_roles()])
    manager = site.acl_users.portal_role_manager
    for role in ROLES:
        if role in manager.listRoleIds():
            manager.removeRole(role)
