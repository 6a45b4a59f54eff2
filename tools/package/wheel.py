# SPDX-License-Identifier: MIT
"""A wheel: a zip with a list of what is in it (PEP 427)."""
import base64
import hashlib
import os
import time
import zipfile

import project

# zip knows no time before 1980
EARLIEST = 315532800


def source_date():
    return max(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time()), EARLIEST)


class Wheel:
    """add() its files, then close(): `name` is the file's name."""

    def __init__(self, folder, tag, version=project.VERSION):
        stem = f"{project.NAME}-{version}"
        self.tag = tag
        self.info = stem + ".dist-info"
        self.scripts = stem + ".data/scripts"
        self.name = f"{stem}-{tag}.whl"
        self.date = time.gmtime(source_date())[:6]
        self.zip = zipfile.ZipFile(os.path.join(folder, self.name), "w",
                                   zipfile.ZIP_DEFLATED, compresslevel=9)
        self.record = []

    def add(self, name, data, mode=0o644):
        if isinstance(data, str):
            data = data.encode()
        info = zipfile.ZipInfo(name, self.date)
        info.external_attr = (0o100000 | mode) << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        self.zip.writestr(info, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
        self.record.append(f"{name},sha256={digest.decode()},{len(data)}")

    def close(self):
        for name, text in info_files(self.tag).items():
            self.add(f"{self.info}/{name}", text)
        self.record.append(f"{self.info}/RECORD,,")
        self.add(f"{self.info}/RECORD", "\n".join(self.record) + "\n")
        self.zip.close()
        return self.name


def info_files(tag):
    """What lies in .dist-info besides the list."""
    files = {"METADATA": project.metadata(),
             "WHEEL": "Wheel-Version: 1.0\nGenerator: cgunicorn (%s)\n"
                      "Root-Is-Purelib: false\n" % project.VERSION}
    python, abi, platforms = tag.split("-")
    for platform in platforms.split("."):
        files["WHEEL"] += f"Tag: {python}-{abi}-{platform}\n"
    files["entry_points.txt"] = project.entry_points()
    for name in project.PROJECT["license-files"]:
        files["licenses/" + name] = project.read(name)
    return files
