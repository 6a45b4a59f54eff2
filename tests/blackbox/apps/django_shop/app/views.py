# SPDX-License-Identifier: MIT
import hashlib
import os

from django.conf import settings
from django.http import FileResponse, HttpResponse, JsonResponse
from django.http import StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt

from .models import Item


def index(request):
    return HttpResponse("welcome to the shop", content_type="text/plain")


def items(request):
    return JsonResponse({"items": list(Item.objects.values_list("name",
                                                                flat=True))})


def whoami(request):
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"user": request.user.get_username(),
                         "visits": visits, "pid": os.getpid(),
                         "secure": request.is_secure(),
                         "host": request.get_host()})


@csrf_exempt
def upload(request):
    """The hash of an uploaded file, read as Django reads it."""
    file = request.FILES["file"]
    total = hashlib.sha256()
    for part in file.chunks():
        total.update(part)
    return JsonResponse({"name": file.name, "size": file.size,
                         "sha": total.hexdigest(),
                         "note": request.POST.get("note")})


@csrf_exempt
def raw(request):
    return JsonResponse({"sha": hashlib.sha256(request.body).hexdigest()})


def rows(request):
    count = int(request.GET["count"])
    lines = (f"{i},{i * i}\n" for i in range(count))
    return StreamingHttpResponse(lines, content_type="text/csv")


def download(request):
    path = settings.BASE_DIR / request.GET["name"]
    return FileResponse(open(path, "rb"), as_attachment=True)


def moved(request):
    return redirect("index")


def boom(request):
    raise RuntimeError("the till is jammed")
