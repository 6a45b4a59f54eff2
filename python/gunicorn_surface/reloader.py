# SPDX-License-Identifier: MIT
"""gunicorn.reloader: threads that call back when a file of the code changes."""
import glob
import os
import sys
import threading
import time

from gunicorn import util


class ReloaderBase(threading.Thread):
    def __init__(self, extra_files=None, interval=1, callback=None):
        super().__init__(daemon=True)
        self._lock = threading.RLock()
        self._interval, self._callback = interval, callback
        self._extra_files = set(extra_files or ())
        self._since = time.time()  # what is newer at the first look has changed

    def add_extra_file(self, filename):
        with self._lock:
            self._extra_files.add(filename)

    def get_files(self):
        """Sources of all modules, and the files and patterns that were added."""
        found = set()
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str):
                found.add(path[:-1] if path.endswith((".pyc", ".pyo")) else path)
        with self._lock:
            extra = list(self._extra_files)
        for name in extra:
            found.update(glob.glob(name, recursive=True)
                         if util.is_glob_pattern(name) else [name])
        return found


class Reloader(ReloaderBase):
    """Looks at the times of all files, once in an interval."""

    def run(self):
        seen = {}
        while True:
            for path in self.get_files():
                try:
                    mtime = os.stat(path).st_mtime
                except OSError:
                    continue
                if mtime > seen.setdefault(path, self._since):
                    seen[path] = mtime
                    if self._callback:
                        self._callback(path)
            time.sleep(self._interval)


try:
    import inotify.adapters as _inotify
    from inotify import constants as _events
except ImportError:
    class InotifyReloader:
        def __init__(self, extra_files=None, callback=None):
            raise ImportError("You must have the inotify module installed to use the "
                              "inotify reloader")

    has_inotify = False
else:
    has_inotify = True

    class InotifyReloader(ReloaderBase):
        """The kernel tells of changes in the files' folders."""

        event_mask = (_events.IN_CREATE | _events.IN_DELETE | _events.IN_DELETE_SELF
                      | _events.IN_MODIFY | _events.IN_MOVE_SELF | _events.IN_MOVED_FROM
                      | _events.IN_MOVED_TO)

        def __init__(self, extra_files=None, callback=None):
            super().__init__(extra_files, callback=callback)
            self._watcher = _inotify.Inotify()
            self._folders = set()

        def get_dirs(self):
            return {os.path.dirname(os.path.realpath(f)) for f in self.get_files()}

        def refresh_dirs(self):
            for folder in self.get_dirs() - self._folders:
                if os.path.isdir(folder):
                    self._folders.add(folder)
                    self._watcher.add_watch(folder, mask=self.event_mask)

        def run(self):
            self.refresh_dirs()
            for event in self._watcher.event_gen():
                if event is None:
                    self.refresh_dirs()
                elif self._callback:
                    self._callback(event[3])


preferred_reloader = InotifyReloader if has_inotify else Reloader
reloader_engines = {"auto": preferred_reloader, "poll": Reloader, "inotify": InotifyReloader}
