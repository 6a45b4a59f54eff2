# SPDX-License-Identifier: MIT
"""What the black-box tests are built from: waiting, processes, HTTP."""
