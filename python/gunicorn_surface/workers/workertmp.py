# SPDX-License-Identifier: MIT
"""gunicorn.workers.workertmp: the file that a worker touches as a sign of life,
and the master looks at."""
import os
import tempfile
import time


class WorkerTmp:
    def __init__(self, cfg):
        folder = cfg.worker_tmp_dir
        if folder:
            if not os.path.isdir(folder):
                raise RuntimeError("%s doesn't exist. Can't create workertmp." % folder)
            fd, name = tempfile.mkstemp(prefix="wgunicorn-", dir=folder)
            os.unlink(name)
        else:
            fd = os.memfd_create("wgunicorn-")  # never waits for a disk
        try:
            if (cfg.uid, cfg.gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, cfg.uid, cfg.gid)
            os.utime(fd, (0, 0))  # no sign of life yet
        except OSError:
            os.close(fd)
            raise
        self._tmp = os.fdopen(fd, "w+b", 0)

    def notify(self):
        now = time.monotonic()
        os.utime(self._tmp.fileno(), (now, now))

    def last_update(self):
        return os.fstat(self._tmp.fileno()).st_mtime

    def fileno(self):
        return self._tmp.fileno()

    def close(self):
        return self._tmp.close()
