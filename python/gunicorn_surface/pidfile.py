# SPDX-License-Identifier: MIT
"""gunicorn.pidfile"""
import os
import tempfile

from gunicorn import util


class Pidfile:
    """A file with the master's process id; fname None: none is written."""

    def __init__(self, fname):
        self.fname = fname
        self.pid = None

    def create(self, pid):
        other = self.validate()
        if other == os.getpid():
            return
        if other:
            raise RuntimeError("Already running on PID %s (or pid file '%s' is stale)"
                               % (other, self.fname))
        self.pid = pid
        folder = os.path.dirname(self.fname or "")
        if folder and not os.path.isdir(folder):
            raise RuntimeError("%s doesn't exist. Can't create pidfile." % folder)
        fd, temporary = tempfile.mkstemp(dir=folder or None)
        with open(fd, "w") as f:
            f.write("%s\n" % pid)
        if not self.fname:
            self.fname = temporary
        elif os.path.dirname(temporary) == os.path.dirname(os.path.abspath(self.fname)):
            os.rename(temporary, self.fname)
        else:  # no folder was named: the temporary one is another file system's
            os.unlink(temporary)
            with open(self.fname, "w") as f:
                f.write("%s\n" % pid)
        os.chmod(self.fname, 0o644)

    def rename(self, path):
        self.unlink()
        self.fname = path
        self.create(self.pid)

    def unlink(self):
        """Removes it if it is still ours."""
        try:
            with open(self.fname) as f:
                if int(f.read() or 0) == self.pid:
                    util.unlink(self.fname)
        except (OSError, TypeError, ValueError):
            pass

    def validate(self):
        """The process that it names, if there is one."""
        try:
            with open(self.fname) as f:
                pid = int(f.read())
            os.kill(pid, 0)
        except PermissionError:
            return pid
        except (OSError, TypeError, ValueError):
            return None
        return pid
