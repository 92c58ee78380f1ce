# -*- coding: utf-8 -*-
"""Makes and reads .zs files with the original collective.synchro, under Python 2.7.

    zs.py FOLDER write DIRECTORY    write one file of each shape by each writer, and index.json
    zs.py FOLDER read FILE ...      print what the original finds in files, as JSON

FOLDER is where `setup` has installed the original and Zope. Only the classes and the queue of the
original are used; the parts of Plone that it asks for while it is loaded are empty stand-ins.
In JSON a byte string is written with one character for each byte.
"""
import cPickle
import json
import os
import pickle
import shutil
import site
import sys
import types

ALL_BYTES = ''.join(map(chr, range(256)))


def stand_in(name, **values):
    module = types.ModuleType(name)
    module.__dict__.update(values)
    module.__path__ = []
    sys.modules[name] = module
    if '.' in name:
        parent, last = name.rsplit('.', 1)
        setattr(sys.modules[parent], last, module)


def load_original(folder):
    site.addsitedir(os.path.join(folder, 'site'))
    sys.path.insert(0, os.path.join(folder, 'collective.synchro-1.0.2'))
    import Products
    import zope.component.interfaces
    import zope.interface
    import zope.lifecycleevent.interfaces
    # The Zope of 2008 had this name in both places.
    zope.lifecycleevent.interfaces.IObjectEvent = zope.component.interfaces.IObjectEvent
    stand_in('Products.CMFCore', permissions=None)
    stand_in('Products.CMFCore.permissions', setDefaultRoles=lambda *words: None)
    stand_in('Products.CMFCore.utils', getToolByName=lambda context, name, default=None: context.tools[name])
    stand_in('Products.CMFCore.Expression', Expression=None, getExprContext=None)
    stand_in('Products.CMFPlone')
    stand_in('Products.CMFPlone.migrations', v3_0=None)
    stand_in('Products.CMFPlone.interfaces', IPloneBaseTool=zope.interface.Interface)
    import collective.synchro.data
    import collective.synchro.queues
    return collective.synchro.data, collective.synchro.queues


class Tool(object):
    """Stands for the tools of a portal: plugins that give what they are told to."""

    def __init__(self, datas):
        self.datas = datas

    def getPlugins(self, event):
        return [lambda context, data=data: Plugin(data) for data in self.datas]

    def getPortalObject(self):
        return self

    def getPhysicalPath(self):
        return ('', 'portal')


class Plugin(object):

    def __init__(self, data):
        self.data = data

    def exportData(self):
        return self.data


class Content(object):
    """An object of a site, as far as the original asks."""

    def __init__(self, path, uid, datas):
        self.path, self.uid = path, uid
        self.tools = {'portal_synchronisation': Tool(datas), 'portal_url': Tool([])}
        self.aq_base = self

    def getPhysicalPath(self):
        return ('', 'portal') + self.path

    def UID(self):
        return self.uid


def info(value, filename, mimetype='application/octet-stream'):
    return {'file': value, 'filename': filename, 'mimetype': mimetype}


def shapes(data):
    """Every shape of a change by name: path, uid, data of plugins."""
    zexp, fss, delete = data.ZexpPluginData, data.FssPluginData, data.DeletePluginData
    uid = '0123456789abcdef0123456789abcdef'
    yield 'page', ('news', 'a-page'), uid, [zexp('ZEXP<p>Bonjour</p>\n' * 20)]
    yield 'all-bytes', ('a',), uid, [zexp(ALL_BYTES + ALL_BYTES[::-1])]
    yield 'large', ('a',), uid, [zexp('ZEXP' + ALL_BYTES * 12)]
    yield 'single-quotes', ('a',), uid, [zexp("it's")]
    yield 'both-quotes', ('a',), uid, [zexp("it's \"so\" \\ and \\n")]
    yield 'delete', ('news', 'old'), uid, [delete('old')]
    yield 'no-uid', ('old',), '', [delete('old')]
    yield 'no-part', ('a',), uid, []
    yield 'file', ('d', 'f.bin'), uid, [zexp('ZEXP'), fss([['f.bin', 'file', info(ALL_BYTES, 'f.bin')]])]
    yield 'empty-file', ('f',), uid, [fss([['f', 'file', info('', '', '')]])]
    yield 'unicode-name', ('f',), uid, [fss([['f', 'file', info('x', u'caf\xe9 \u20ac \\ \n.bin')]])]
    yield 'far-unicode-name', ('f',), uid, [fss([['f', 'file', info('x', u'\U0001f600.png')]])]
    yield 'bytes-name', ('f',), uid, [fss([['f', 'file', info('x', ALL_BYTES)]])]
    yield 'folder-of-files', ('d',), uid, [fss([['d/%d' % n, 'file', info(ALL_BYTES * n, 'n')] for n in range(8)])]
    yield 'leaked', ('d', 'f'), uid, [fss([['other', 'file', info('no', 'no')], ['f2/f', 'file', info('no', u'no')],
                                           ['f', 'file', info('yes', 'yes')], ['f', 'file', info('again', 'yes')]])]
    shared = ''.join(['sha', 'red'])
    value = info(shared, shared, shared)
    yield 'shared', (shared, shared), shared, [fss([[shared, shared, value], [shared, shared, value]])]
    yield 'foreign-id', (u'\xe9t\xe9'.encode('utf-8'), 'a b,(c)'), uid, [zexp('ZEXP')]


def show(change):
    """A change as JSON can hold it, without the values of other objects."""
    parts = []
    for data in change.datas:
        kind = type(data).__name__
        if kind == 'FssPluginData':
            own = [entry for entry in data.data if entry[0].split('/')[0] == change.path[-1]]
            fields = [dict(path=raw(entry[0]), name=raw(entry[1]), file=raw(entry[2]['file']),
                           filename=raw(entry[2]['filename']), text=isinstance(entry[2]['filename'], unicode),
                           mimetype=raw(entry[2]['mimetype'])) for entry in own]
            parts.append({'kind': 'fss', 'fields': fields, 'leaked': len(data.data) - len(own)})
        elif kind == 'ZexpPluginData':
            parts.append({'kind': 'zexp', 'export': raw(data.data)})
        else:
            parts.append({'kind': 'delete', 'id': raw(data.data)})
    return {'path': map(raw, change.path), 'uid': raw(change.uid), 'parts': parts}


def raw(value):
    return value if isinstance(value, unicode) else value.decode('latin-1')


def write(data, queues, directory):
    index = {}
    queue = queues.Queue(os.path.join(directory, 'queue'))
    for shape, path, uid, datas in shapes(data):
        change = data.SynchroData(Content(path, uid, datas))
        index[shape] = show(change)
        made = {'original': open(queue.put(change), 'rb').read()}
        for module in (cPickle, pickle):
            for protocol in range(3):
                made['%s-%d' % (module.__name__, protocol)] = module.dumps(change, protocol)
        for writer, text in made.items():
            name = '%s.%s.zs' % (shape, writer)
            with open(os.path.join(directory, name), 'wb') as out:
                out.write(text)
    shutil.rmtree(queue.path)
    with open(os.path.join(directory, 'index.json'), 'wb') as out:
        json.dump(index, out, sort_keys=True, indent=1, separators=(',', ': '))
        out.write('\n')


def read(names):
    found = []
    for name in names:
        both = []
        for module in (cPickle, pickle):
            with open(name, 'rb') as stream:
                both.append(show(module.load(stream)))
        if both[0] != both[1]:
            sys.exit('%s: cPickle and pickle differ' % name)
        found.append(both[0])
    json.dump(found, sys.stdout)


def main():
    if len(sys.argv) < 4 or sys.argv[2] not in ('write', 'read'):
        sys.exit(__doc__)
    data, queues = load_original(sys.argv[1])
    if sys.argv[2] == 'write':
        write(data, queues, sys.argv[3])
    else:
        read(sys.argv[3:])


if __name__ == '__main__':
    main()
