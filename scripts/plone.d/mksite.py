# Run by zconsole in a fresh instance: makes the sites that the tests use.
import sys

import transaction
from AccessControl.SecurityManagement import newSecurityManager
from Products.CMFPlone.factory import addPloneSite
from Testing.makerequest import makerequest
from zope.component.hooks import setSite

app = makerequest(app)  # noqa: F821 - zconsole gives it
newSecurityManager(None, app.acl_users.getUserById("admin").__of__(app.acl_users))
for name in sys.argv[-1].split(","):
    site = addPloneSite(
        app,
        name,
        title=name,
        default_language="en",
        portal_timezone="UTC",
        distribution_name="classic",
        setup_content=False,
    )
    setSite(site)
    site.portal_setup.runAllImportStepsFromProfile("profile-plone.restapi:default")
    transaction.commit()  # or this site is listed in the next one
