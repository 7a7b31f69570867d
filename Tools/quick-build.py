#!/usr/bin/env python3
"""Builds the test bundles that WEFT_TESTS names, like `swift build --product weftPackageTests`, without planning what is planned already.

The package manager takes 0.6 s to find out that the list of files is what it was; this looks itself (0.03 s) and gives the plan it wrote last
(.build/debug.yaml) to the toolchain's build engine. A file more or less, another Package.swift or other bundles: the package manager plans and builds.

Usage: WEFT_TESTS=WeftHTTP Tools/quick-build.py [--jobs N]. The state is .build/quick.json; deleting it is always safe.
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
PLAN, QUICK, STATE, DATABASE = BUILD / "debug.yaml", BUILD / "quick.yaml", BUILD / "quick.json", BUILD / "quick.db"
PRODUCT = "weftPackageTests"
SOURCES = (".swift", ".c", ".h", ".cc", ".cpp", ".modulemap")
# What only the package manager can do. Of its files, those stay that the last whole build wrote; none depends on what stands in a source.
ITS_OWN = {"package-structure-tool", "test-discovery-tool", "test-entry-point-tool", "write-auxiliary-file"}


def circumstances():
    """What a plan depends on: files by name, the manifest by content, which bundles are declared."""
    folders = (folder for part in ("Sources", "Tests", "Examples", "Tools") for folder in os.walk(ROOT / part))
    files = sorted(f"{path}/{name}" for path, _, names in folders for name in names if name.endswith(SOURCES))
    said = [os.environ.get(name, "") for name in ("WEFT_TESTS", "WEFT_ONLY", "CI")]
    manifest = (ROOT / "Package.swift").read_bytes()
    return hashlib.sha256(json.dumps([files, said]).encode() + manifest).hexdigest()


def unknown_bundles():
    """What WEFT_TESTS names and the manifest does not declare, and all that it declares."""
    manifest = (ROOT / "Package.swift").read_text()
    known = set(re.findall(r'\bof: "(\w+)"', manifest) + re.findall(r'name: "(\w+)Tests"', manifest))
    known |= {f"WeftProxy{folder}" for folder in re.findall(r'proxyTests\("(\w+)"\)', manifest)}
    return sorted(set(filter(None, os.environ.get("WEFT_TESTS", "").split(","))) - known), sorted(known)


def of_plan():
    """What a build of other bundles in the same place leaves behind: the list of objects to link, which the package manager alone writes."""
    lists = list((BUILD / "debug").glob(f"{PRODUCT}.product/Objects.LinkFileList"))
    return hashlib.sha256(lists[0].read_bytes()).hexdigest() if lists else ""


def is_planned():
    try:
        known = json.loads(STATE.read_text())
    except (OSError, ValueError):
        return False
    return known == {"circumstances": circumstances(), "plan": of_plan()}


def rewrite():
    """Makes of the package manager's plan one that the build engine alone can follow."""
    head, commands = PLAN.read_text().split("\ncommands:\n", 1)
    head = re.sub(r"client:\n(  .*\n)+", "client:\n  name: swift-build\n  version: 0\n", head)
    blocks = re.split(r'\n(?=  ")', commands)
    kept = [b for b in blocks if re.search(r"^    tool: (\S+)", b, re.M)[1] not in ITS_OWN]
    target = re.search(rf'^  "({PRODUCT}-[^"]*\.test)":', head, re.M)[1]
    head = re.sub(r"(?m)^default:.*", f'default: "{target}"', head)
    QUICK.write_text(head + "\ncommands:\n" + "\n".join(kept).replace('"-parseable-output",', ""))
    STATE.write_text(json.dumps({"circumstances": circumstances(), "plan": of_plan()}))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--jobs", default="2", help="how many at once (default 2)")
    jobs = arguments.parse_args().jobs
    unknown, known = unknown_bundles()
    if unknown or not os.environ.get("WEFT_TESTS"):
        sys.exit(f"no test bundle {', '.join(unknown) or 'is named (T=…)'}; there are {', '.join(known)}")
    if is_planned():
        sys.exit(subprocess.run(
            ["swift-build-tool", "-f", QUICK, "--db", DATABASE, "-j", jobs], cwd=ROOT, stdin=subprocess.DEVNULL).returncode)
    STATE.unlink(missing_ok=True)
    done = subprocess.run(
        f"set -o pipefail; swift build --product {PRODUCT} --jobs {jobs} 2>&1 | Tools/progress.sh", cwd=ROOT, shell=True, executable="/bin/bash")
    if done.returncode == 0:
        rewrite()
    sys.exit(done.returncode)


main()
