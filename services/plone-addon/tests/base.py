"""A Plone site with the add-on that answers over HTTP, for the tests of this folder."""

import json
import logging
import unittest
from datetime import datetime
from datetime import timezone
from io import BytesIO

import plone.app.contenttypes
import plone.restapi
import requests
import synchro_plone
import transaction
from DateTime import DateTime
from PIL import Image
from plone.app.testing import applyProfile
from plone.app.testing import FunctionalTesting
from plone.app.testing import PLONE_FIXTURE
from plone.app.testing import PloneSandboxLayer
from plone.app.testing import setRoles
from plone.app.testing import SITE_OWNER_NAME
from plone.app.testing import SITE_OWNER_PASSWORD
from plone.app.testing import TEST_USER_ID
from plone.app.textfield.value import RichTextValue
from plone.dexterity.utils import createContentInContainer
from plone.namedfile.file import NamedBlobFile
from plone.namedfile.file import NamedBlobImage
from plone.testing.zope import WSGI_SERVER_FIXTURE
from synchro_plone.service import JSON
from z3c.relationfield import RelationValue
from zope.component import getUtility
from zope.intid.interfaces import IIntIds

# What the package holds to be its own failure is shown; refusals are expected.
shown = logging.StreamHandler()
shown.setLevel(logging.ERROR)
logging.getLogger("synchro_plone").addHandler(shown)

PASSWORD = "a long password for tests"


class Layer(PloneSandboxLayer):
    defaultBases = (PLONE_FIXTURE,)

    def setUpZope(self, app, configurationContext):
        self.loadZCML(package=plone.app.contenttypes)
        self.loadZCML(package=plone.restapi)
        self.loadZCML(package=synchro_plone)

    def setUpPloneSite(self, portal):
        portal.portal_workflow.setDefaultChain("simple_publication_workflow")
        applyProfile(portal, "plone.app.contenttypes:default")
        applyProfile(portal, "plone.restapi:default")
        applyProfile(portal, "synchro_plone:default")
        for name, role in (("reader", "Synchro Reader"), ("writer", "Synchro Writer"), ("nobody", "Member")):
            portal.acl_users.userFolderAddUser(name, PASSWORD, [role], [])


FIXTURE = Layer()
SERVER = FunctionalTesting(bases=(FIXTURE, WSGI_SERVER_FIXTURE), name="synchro_plone:server")


class SiteTest(unittest.TestCase):
    """A test against a site of its own."""

    layer = SERVER

    def setUp(self):
        self.portal = self.layer["portal"]
        setRoles(self.portal, TEST_USER_ID, ["Manager"])
        self.url = self.portal.absolute_url()
        transaction.commit()

    def ask(self, method, service, user="reader", **more):
        """ask sends a request; user may be None, or a pair of name and password."""
        if "json" in more and service.startswith("@synchro"):
            more["data"] = json.dumps(more.pop("json"))
            more["headers"] = {"Content-Type": JSON, **more.get("headers", {})}
        account = (user, PASSWORD) if isinstance(user, str) else user
        headers = {"Accept": "application/json", **more.pop("headers", {})}
        found = requests.request(method, f"{self.url}/{service}", auth=account, headers=headers, timeout=60, **more)
        transaction.begin()  # to see what the request has done
        return found

    def get(self, service, **query):
        found = self.ask("GET", service, params=query)
        self.assertEqual(200, found.status_code, found.text[:500])
        return found.json()

    def read(self, *objects):
        found = self.ask("POST", "@synchro-read", json={"uids": [o if isinstance(o, str) else o.UID() for o in objects]})
        self.assertEqual(200, found.status_code, found.text[:500])
        return found.json()["items"]

    def make(self, container, kind, name, **fields):
        obj = createContentInContainer(container, kind, checkConstraints=False, id=name, **fields)
        transaction.commit()
        return obj

    def rich_site(self):
        """rich_site has one object of each ordinary type, with what stock REST leaves out."""
        news = self.make(self.portal, "Folder", "news", title="News")
        doc = self.make(news, "Document", "doc", title="Zürich 会議", subject=("b", "a"))
        doc.text = RichTextValue("<p>a & b <a href='resolveuid/x'>&nbsp;</a></p>\r\n", "text/html", "text/x-html-safe")
        event = self.make(news, "Event", "event", title="Meeting")
        event.start = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone.utc)
        image = self.make(news, "Image", "image", title="Image")
        data = BytesIO()
        Image.new("RGB", (7, 5)).save(data, "PNG")
        image.image = NamedBlobImage(data.getvalue(), "image/png", "ä.png")
        file = self.make(self.portal, "File", "file", title="File")
        file.file = NamedBlobFile(b"x" * 5000, "application/octet-stream", "f.bin")
        link = self.make(news, "Link", "link", title="Link", remoteUrl="../resolveuid/x")
        doc.relatedItems = [RelationValue(getUtility(IIntIds).getId(file)), RelationValue(getUtility(IIntIds).getId(link))]
        self.portal.portal_workflow.doActionFor(doc, "publish", comment="out")
        doc.creation_date = DateTime("2001-02-03T04:05:06.123456+02:00")
        doc.manage_setLocalRoles("anna", ["Editor"])
        news.default_page = "doc"
        news.layout = "summary_view"
        news.constrain_types_mode = 1
        news.locally_allowed_types = ["Document", "Image"]
        news.moveObjectsToTop(["link"])
        transaction.commit()
        return [news, doc, event, image, file, link]


def manager():
    return (SITE_OWNER_NAME, SITE_OWNER_PASSWORD)
