# SPDX-License-Identifier: MIT
"""gunicorn.instrument"""
