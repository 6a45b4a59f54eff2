# SPDX-License-Identifier: MIT
"""gunicorn.app"""
