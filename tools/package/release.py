# SPDX-License-Identifier: MIT
"""What goes with a release's files.

usage: release.py sdist FOLDER      the source archive
       release.py finish FOLDER     SHA256SUMS, and sbom.cdx.json (CycloneDX 1.5):
                                    what is inside of the files there
"""
import hashlib
import json
import os
import re
import sys
import time

import backend
import project
from wheel import source_date

THIRD = os.path.join(project.ROOT, "third_party")


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def third_party():
    """(name, version) of what is linked in, as the sources themselves say."""
    def said(pattern, *names):
        with open(os.path.join(THIRD, *names), encoding="utf-8") as f:
            return re.search(pattern, f.read(), re.M)

    http = [said(rf"HTTP_PARSER_VERSION_{n} (\d+)", "http-parser", "http_parser.h")[1]
            for n in ("MAJOR", "MINOR", "PATCH")]
    zlib = said(r'ZLIB_VERSION "([^"]+)"', "zlib", "zlib.h")[1]
    yaml = re.search(r"YAML_VERSION_STRING='\"([\d.]+)\"'", project.read("Makefile"))[1]
    return [("http-parser", ".".join(http), "MIT"), ("libyaml", yaml, "MIT"),
            ("nghttp2", said(r'NGHTTP2_VERSION "([^"]+)"', "nghttp2", "nghttp2", "nghttp2ver.h")[1], "MIT"),
            ("zlib", zlib, "Zlib")]


def released(folder):
    return sorted(n for n in os.listdir(folder)
                  if n.startswith(f"{project.NAME}-{project.VERSION}")
                  and n.endswith((".whl", ".tar.gz")))


def sbom(folder):
    files = [{"type": "file", "name": name, "bom-ref": name,
              "hashes": [{"alg": "SHA-256", "content": sha256(os.path.join(folder, name))}]}
             for name in released(folder)]
    inside = [{"type": "library", "name": name, "version": version,
               "bom-ref": f"{name}@{version}", "licenses": [{"license": {"id": licence}}],
               "purl": f"pkg:generic/{name}@{version}"}
              for name, version, licence in third_party()]
    ours = {"type": "application", "name": project.NAME, "version": project.VERSION,
            "bom-ref": project.NAME,
            "licenses": [{"license": {"id": project.PROJECT["license"]}}],
            "purl": f"pkg:pypi/{project.NAME}@{project.VERSION}"}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(source_date()))
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"timestamp": stamp, "component": ours},
            "components": files + inside,
            "dependencies": [{"ref": ref, "dependsOn": [c["bom-ref"] for c in inside]}
                             for ref in [project.NAME] + [f["bom-ref"] for f in files]]}


def finish(folder):
    names = released(folder)
    if not names:
        raise SystemExit(f"{folder} has no files of version {project.VERSION}: "
                         "make sdist wheels")
    with open(os.path.join(folder, "sbom.cdx.json"), "w", encoding="utf-8") as f:
        json.dump(sbom(folder), f, indent=1)
        f.write("\n")
    with open(os.path.join(folder, "SHA256SUMS"), "w", encoding="utf-8") as f:
        for name in [*names, "sbom.cdx.json"]:
            f.write(f"{sha256(os.path.join(folder, name))}  {name}\n")
    print("\n".join(names))


def main(what, folder):
    if what == "sdist":
        print(backend.build_sdist(folder))
    elif what == "finish":
        finish(folder)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*(sys.argv[1:] if len(sys.argv) == 3 else ["help", ""]))
