# -*- coding: utf-8 -*-
"""Exports into and imports from classic queues with the original collective.synchro, under Python 2.7.

    queue.py FOLDER export QUEUE NUMBER ZEXP    export NUMBER changes, and print what a site has after them
    queue.py FOLDER import QUEUE SITE           import what is there, once, into a file of JSON, and print that

The queue, its files and every move are the original's. What a change does to a site is told by a
stand-in: a site is a dict of paths, each with the values of its plugins, a character for a byte.
"""
import json
import logging
import os
import random
import sys
import time

import zs


def value_of(data):
    kind = type(data).__name__
    if kind == 'FssPluginData':
        return 'fss', zs.raw(data.data[-1][2]['file'])
    return 'zexp', zs.raw(data.data)


def apply_to(site, change):
    path = '/'.join(map(zs.raw, change.path))
    if type(change.datas[0]).__name__ == 'DeletePluginData':
        site.pop(path, None)
    else:
        site[path] = dict(map(value_of, change.datas), uid=zs.raw(change.uid))


def changes(data, number, export):
    """Objects that are created, edited and removed, in an order of chance that is always the same."""
    chance = random.Random(1)
    live = {}
    for n in range(number):
        path, uid = ('d%d' % (n % 7), 'o%d' % n), '%032x' % n
        if live and chance.random() < 0.4:
            path = chance.choice(sorted(live))
            uid = live[path]
        if path in live and chance.random() < 0.4:
            del live[path]
            yield zs.Content(path, uid, [data.DeletePluginData(path[-1])])
            continue
        live[path] = uid
        value = ''.join(chr(chance.randrange(256)) for _ in range(chance.randrange(500)))
        datas = [data.FssPluginData([['another', 'file', zs.info('leaked', 'x')], [path[-1], 'file', zs.info(value, u'caf\xe9')]])]
        if n % 3 == 0:
            datas.insert(0, data.ZexpPluginData(export))
        yield zs.Content(path, uid, datas)


class Clock(object):
    """A coarse one: files of up to three objects get one time, those of one object never."""

    def __init__(self):
        self.now, self.objects = time.time(), set()

    def tick(self, path):
        if path in self.objects or len(self.objects) == 3:
            self.now, self.objects = max(time.time(), self.now + 0.00001), set()
        self.objects.add(path)


def export_changes(data, queues, path, number, export):
    queue, site, clock = queues.Queue(path), {}, Clock()
    queues.time = lambda: clock.now
    for content in changes(data, number, export):
        change = data.SynchroData(content)
        clock.tick(change.path)
        if queue.put(change) is None:
            sys.exit('nothing was queued')
        apply_to(site, change)
    # No reader takes the file of an object with such a uid.
    queue.put(data.SynchroData(zs.Content(('d0', 'odd'), 'a_b', [data.DeletePluginData('odd')])))
    return site


def import_changes(data, queues, path, name):
    site = json.load(open(name)) if os.path.exists(name) else {}
    data.SynchroData.__call__ = lambda self, context: apply_to(context, self)
    queue = queues.Queue(path)
    for file_name in queue.listQueue('IMPORT', 'TO_PROCESS'):
        queue.importFile(site, file_name)
    with open(name, 'wb') as out:
        json.dump(site, out)
    return site


def main():
    logging.basicConfig(level=logging.WARNING)
    data, queues = zs.load_original(sys.argv[1])
    if sys.argv[2] == 'export':
        site = export_changes(data, queues, sys.argv[3], int(sys.argv[4]), open(sys.argv[5], 'rb').read())
    else:
        site = import_changes(data, queues, sys.argv[3], sys.argv[4])
    json.dump(site, sys.stdout, sort_keys=True)


if __name__ == '__main__':
    main()
