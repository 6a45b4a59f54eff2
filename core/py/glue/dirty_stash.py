# SPDX-License-Identifier: MIT
"""The stash: tables of values that dirty workers and their clients share. It
lives in the dirty arbiter and is bounded: a full one takes no more."""
import fnmatch

PUT, GET, DELETE, KEYS, CLEAR, INFO, ENSURE, DROP, TABLES, EXISTS = range(1, 11)
MOST = 256 * 1024 * 1024  # bytes on the wire of all that is in it
EACH = 200  # what a key or a table costs besides


class Stash:
    def __init__(self, most=MOST):
        self.most = most
        self.used = 0
        self.tables = {}  # name: {key: (value, its cost)}

    def charge(self, cost):
        if self.used + cost > self.most:
            raise KeyError("The stash is full (%d MiB): delete what is not needed"
                           % (self.most >> 20))
        self.used += cost

    def table(self, name):
        """Made, if it is not there."""
        found = self.tables.get(name)
        if found is None:
            self.charge(EACH + len(str(name)))
            found = self.tables[name] = {}
        return found

    def put(self, name, key, value, size):
        found = self.table(name)
        old = found[key][1] if key in found else 0
        self.charge(EACH + size - old)
        found[key] = value, EACH + size

    def empty(self, found):
        self.used -= sum(cost for _, cost in found.values())
        found.clear()

    def drop(self, name):
        found = self.tables.pop(name, None)
        if found is not None:
            self.empty(found)
            self.used -= EACH + len(str(name))
        return found is not None

    def delete(self, found, key):
        gone = found.pop(key, None) if found is not None else None
        if gone is not None:
            self.used -= gone[1]
        return gone is not None

    def run(self, value, size):
        """The result of an operation that came as so many bytes; KeyError with a
        text for what is not there, and for what has no room."""
        op, name, key = value.get("op"), value.get("table"), value.get("key")
        found = self.tables.get(name)
        if op == PUT:
            self.put(name, key, value.get("value"), size)
            return True
        if op == GET:
            if found is None or key not in found:
                raise KeyError("Key not found: %s" % key)
            return found[key][0]
        if op == DELETE:
            return self.delete(found, key)
        if op == KEYS:
            pattern = value.get("pattern")
            return [k for k in found or ()
                    if pattern is None or fnmatch.fnmatchcase(str(k), pattern)]
        if op == CLEAR:
            self.empty(found or {})
            return True
        if op == INFO:
            if found is None:
                raise KeyError("Table not found: %s" % name)
            return {"size": len(found), "table": name}
        if op == ENSURE:
            self.table(name)
            return True
        if op == DROP:
            return self.drop(name)
        if op == TABLES:
            return list(self.tables)
        if op == EXISTS:
            return found is not None and (key is None or key in found)
        raise KeyError("Unknown stash operation: %s" % op)
