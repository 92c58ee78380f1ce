# -*- coding: utf-8 -*-
"""Makes ZODB exports, and tries whether ZODB takes others. For Python 2.7 and for Python 3.

    zexp.py FOLDER write DIRECTORY    write an export of each shape
    zexp.py FOLDER read FILE ...      import each; print for each, as JSON, what happened: the error, or ""

FOLDER is where `setup` has installed Zope, or "-" when ZODB is installed in this Python.
"""
import datetime
import json
import os
import shutil
import site
import sys
import tempfile


def load_zodb(folder):
    if folder != '-':
        site.addsitedir(os.path.join(folder, 'site'))
    import ZODB.DB
    import ZODB.FileStorage
    home = tempfile.mkdtemp()
    storage = ZODB.FileStorage.FileStorage(os.path.join(home, 'Data.fs'), blob_dir=os.path.join(home, 'blobs'))
    return ZODB.DB(storage), home


def mapping():
    from persistent.list import PersistentList
    from persistent.mapping import PersistentMapping
    top = PersistentMapping()
    for n in range(20):
        below = PersistentMapping(parent=top, number=n, text=u'caf\xe9 %d' % n, raw=b'\x00\xff' * n)
        below['when'] = datetime.datetime(2008, 5, 1, n, 0, 1, 5)
        below['list'] = PersistentList([None, True, 1.5, 1 << 70, -1, (), (1,), (1, 2, 3, 4), {'a': [u'b']}])
        top[str(n)] = below
    return top


def btree():
    from BTrees.IOBTree import IOBTree
    from BTrees.Length import Length
    from BTrees.OOBTree import OOBTree, OOSet
    top = OOBTree()
    top['many'] = IOBTree(dict((n, u'value %d' % n) for n in range(300)))
    top['set'] = OOSet(['a', 'b'])
    top['length'] = Length(7)
    return top


def blob():
    from persistent.mapping import PersistentMapping
    from ZODB.blob import Blob
    top = PersistentMapping()
    for name, value in (('full', bytes(bytearray(range(256))) * 4), ('empty', b'')):
        top[name] = Blob()
        with top[name].open('w') as out:
            out.write(value)
    return top


def large():
    from persistent.mapping import PersistentMapping
    return PersistentMapping(text=u'\u20ac' * 3000, items=list(range(2500)))


def sets():
    from persistent.mapping import PersistentMapping
    return PersistentMapping(set=set([1, 2]), frozen=frozenset(['a']))


def content():
    from DateTime.DateTime import DateTime
    from OFS.Folder import Folder
    from OFS.Image import File, Image
    top = Folder('news')
    top._setObject('a.bin', File('a.bin', 'A file', b'\x00' * 70000))
    top._setObject('i.gif', Image('i.gif', 'An image', b'GIF89a'))
    top._setObject('below', Folder('below'))
    top.when = DateTime('2008/05/01 10:00:00 GMT+1')
    return top


SHAPES = [mapping, btree, blob, large, sets]


def write(database, directory):
    import transaction
    shapes = list(SHAPES)
    try:
        import OFS.Image
        assert OFS.Image
        shapes.append(content)
    except ImportError:
        pass  # only where all of Zope is installed
    connection = database.open()
    for shape in shapes:
        connection.root()[shape.__name__] = shape()
        transaction.commit()
        name = '%s.python%d.zexp' % (shape.__name__, sys.version_info[0])
        connection.exportFile(connection.root()[shape.__name__]._p_oid, os.path.join(directory, name)).close()


def read(database, names):
    import transaction
    found = []
    for name in names:
        connection = database.open()
        error = ''
        try:
            imported = connection.importFile(name)
            connection.root()['imported'] = imported
            transaction.commit()
        except Exception as problem:
            error = '%s: %s' % (type(problem).__name__, problem)
            transaction.abort()
        connection.close()
        found.append(error)
    json.dump(found, sys.stdout)


def main():
    if len(sys.argv) < 4 or sys.argv[2] not in ('write', 'read'):
        sys.exit(__doc__)
    database, home = load_zodb(sys.argv[1])
    try:
        if sys.argv[2] == 'write':
            write(database, sys.argv[3])
        else:
            read(database, sys.argv[3:])
    finally:
        database.close()
        shutil.rmtree(home)


if __name__ == '__main__':
    main()
