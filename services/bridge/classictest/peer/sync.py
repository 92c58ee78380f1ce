# -*- coding: utf-8 -*-
"""Runs the original's own synchronize_queue, with its own options, under Python 2.7.

    sync.py FOLDER OPTIONS

FOLDER is where `setup` has installed the original. It needs no Zope, but `ssh` and `sftp` on the PATH.
"""
import os
import sys


def main():
    sys.path.insert(0, os.path.join(sys.argv[1], 'collective.synchro-1.0.2'))
    from collective.synchro import scripts
    sys.argv[:] = ['synchronize_queue'] + sys.argv[2:]
    scripts.synchro_queues()


if __name__ == '__main__':
    main()
