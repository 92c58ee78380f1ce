"""POST @synchro-apply: a batch of changes in one transaction, with the ledger that says which
of them have taken effect. A batch that is sent twice has its effect once."""

import traceback
from contextlib import contextmanager

import transaction
from AccessControl import getSecurityManager
from AccessControl.SecurityManagement import newSecurityManager
from AccessControl.SecurityManagement import setSecurityManager
from AccessControl.users import UnrestrictedUser
from transaction.interfaces import TransientError

from synchro_plone import LOG
from synchro_plone.capture import applying
from synchro_plone.checks import checked
from synchro_plone.checks import envelope
from synchro_plone.checks import Refusal
from synchro_plone.courtesy import GATE
from synchro_plone.service import JSON
from synchro_plone.service import Refused
from synchro_plone.service import Service
from synchro_plone.settings import settings
from synchro_plone.write import Batch


class Apply(Service):
    media = JSON

    def reply(self):
        writer, fence, mode, raw = envelope(self.body())
        self._admit(writer, fence)
        applying()
        answers, items = [None] * len(raw), {}
        for n, one in enumerate(raw):
            try:
                items[n] = checked(one)
            except Refusal as e:
                answers[n] = e.answer
        with _unrestricted(self.context):
            (self._all if mode == "all" else self._each)(items, answers)
        self._report(raw, answers)
        GATE.close()
        return {"feed": self.store.feed, "items": answers, "conflicts": GATE.conflicts}

    def _admit(self, writer, fence):
        """_admit lets one writer in, at one address, in its newest incarnation."""
        wishes, here = settings(), self.context.absolute_url()
        if not wishes.writer:
            wishes.writer, wishes.address = writer, here
        if wishes.writer != writer:
            raise Refused(409, "OtherWriter", f"the site is written by {wishes.writer!r}; empty the field Writer to change that")
        if wishes.address != here:
            raise Refused(409, "Copied", f"the writer knows this site as {wishes.address}; empty the field Writer if it is no copy")
        if fence < self.store.fence:
            raise Refused(409, "Fenced", "a newer process writes this site", fence=self.store.fence)
        if fence > self.store.fence:
            self.store.fence = fence

    def _all(self, items, answers):
        """_all does everything, or nothing and says why."""
        batch = Batch(self.store)
        if not any(answers):
            try:
                for n, item in items.items():
                    answers[n] = _apply(batch, item)
            except Refusal as e:
                answers[n] = e.answer
        refused = [{"index": n, **a} for n, a in enumerate(answers) if a and a["result"] == "refused"]
        if refused:
            raise Refused(409, "ItemsRefused", "nothing of the batch was applied", items=refused)
        batch.finish(answers)

    def _each(self, items, answers):
        """_each does all that can be done. One savepoint for all is cheaper than one for each,
        and most batches have nothing that is refused."""
        before = transaction.savepoint()
        batch, done = Batch(self.store), {}
        try:
            for n, item in items.items():
                done[n] = _apply(batch, item)
        except Refusal:
            before.rollback()
            batch, done = Batch(self.store), {}
            for n, item in items.items():
                savepoint = transaction.savepoint()
                try:
                    done[n] = _apply(batch, item)
                except Refusal as e:
                    savepoint.rollback()
                    batch.forget(item.uid)
                    done[n] = e.answer
        for n, answer in done.items():
            answers[n] = answer
        batch.finish(answers)

    def _report(self, raw, answers):
        for one, answer in zip(raw, answers):
            answer["uid"] = one["uid"]
            if answer["result"] == "refused":
                LOG.warning("apply refused %s: %s", one["uid"], answer["kind"])


@contextmanager
def _unrestricted(site):
    """_unrestricted lets handlers do what the account itself may not: the account has one
    permission, and what it may write is checked here."""
    before = getSecurityManager()
    user = UnrestrictedUser(before.getUser().getId(), "", ["Manager"], "")
    newSecurityManager(None, user.__of__(site.acl_users))
    try:
        yield
    finally:
        setSecurityManager(before)


def _apply(batch, item):
    try:
        return batch.put(item) if item.op == "put" else batch.remove(item)
    except (Refusal, TransientError):
        raise
    except Exception as e:
        # A handler of some package. Its message may have content in it, its place has not.
        where = "".join(traceback.format_tb(e.__traceback__)[-3:])
        LOG.error("apply failed for %s: %s\n%s", item.uid, type(e).__name__, where)
        raise Refusal("failed", f"the site failed with {type(e).__name__}; its log says where") from None
