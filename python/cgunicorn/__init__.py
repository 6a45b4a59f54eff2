# SPDX-License-Identifier: MIT
"""cgunicorn: a pre-fork Python application server in C.

The server is the extension module _cgunicorn; the command `cgunicorn` and
`python -m cgunicorn` start it.
"""
