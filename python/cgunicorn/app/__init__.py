# SPDX-License-Identifier: MIT
"""Applications that configure and start the server, by gunicorn's names."""
