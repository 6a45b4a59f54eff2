# SPDX-License-Identifier: MIT
from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path

from . import views

urlpatterns = [
    path("", views.index, name="index"),
    path("admin/", admin.site.urls),
    path("items/", views.items),
    path("whoami/", views.whoami),
    path("upload/", views.upload),
    path("raw/", views.raw),
    path("rows/", views.rows),
    path("download/", views.download),
    path("moved/", views.moved),
    path("boom/", views.boom),
] + staticfiles_urlpatterns()
