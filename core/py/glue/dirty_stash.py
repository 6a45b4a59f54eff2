# SPDX-License-Identifier: MIT
"""What the operations of the stash do to its tables."""
import fnmatch

PUT, GET, DELETE, KEYS, CLEAR, INFO, ENSURE, DROP, TABLES, EXISTS = range(1, 11)


def run(tables, value):
    """The result; KeyError with a text for what is not there."""
    op, table, key = value.get("op"), value.get("table"), value.get("key")
    found = tables.get(table)
    if op == PUT:
        tables.setdefault(table, {})[key] = value.get("value")
        return True
    if op == GET:
        if found is None or key not in found:
            raise KeyError("Key not found: %s" % key)
        return found[key]
    if op == DELETE:
        return found is not None and found.pop(key, tables) is not tables
    if op == KEYS:
        pattern = value.get("pattern")
        return [k for k in found or () if pattern is None or fnmatch.fnmatchcase(k, pattern)]
    if op == CLEAR:
        if found is not None:
            found.clear()
        return True
    if op == INFO:
        if found is None:
            raise KeyError("Table not found: %s" % table)
        return {"size": len(found), "table": table}
    if op == ENSURE:
        tables.setdefault(table, {})
        return True
    if op == DROP:
        return tables.pop(table, None) is not None
    if op == TABLES:
        return list(tables)
    if op == EXISTS:
        return found is not None and (key is None or key in found)
    raise KeyError("Unknown stash operation: %s" % op)
