# SPDX-License-Identifier: MIT
"""Migrates the database and adds the user that the tests log in with."""
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "app.settings"
import django  # noqa: E402

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402

call_command("migrate", verbosity=0)
User.objects.create_superuser("ada", "ada@example.org", "lovelace")
