"""Whether the repository's tests have passed on these very files: then they need not run again.

A release that data, the schedule or a person started has the code of the one before. Its build
would say the same of it, minutes later. So a build whose tests have passed leaves a note, named by
the digest of all files of the repository; the next one looks for it first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from infrastructure.files import write_whole
from mlsystem.names import Names
from pipeline import files
from pipeline.storage import exists

__all__ = ["note", "was"]

_REPORT = "reports/tests.xml"


def was(s3: Any, bucket: str, names: Names, root: Path, output: Path) -> bool:
    """Return whether the tests have passed on the files at `root`; say so, also in the report."""
    digest = _digest(root, output)
    if not exists(s3, bucket, names.tests_key(digest)):
        print(f"Tests: to be run, nothing is known of {digest[:12]}")
        return False
    print(f"Tests: not run, these files have passed them ({digest[:12]})")
    (output / _REPORT).parent.mkdir(parents=True, exist_ok=True)
    write_whole(output / _REPORT, _report(digest))
    return True


def note(s3: Any, bucket: str, names: Names, root: Path, output: Path) -> None:
    """Write down that the tests have passed on the files at `root`."""
    key = names.tests_key(_digest(root, output))
    if not exists(s3, bucket, key):
        s3.put_object(Bucket=bucket, Key=key, Body=names.release.encode())


def _digest(root: Path, output: Path) -> str:
    root, output = root.absolute(), output.absolute()
    return files.digest(
        root, [path for path in files.below(root) if not path.is_relative_to(output)]
    )


def _report(digest: str) -> str:
    """A report in the format of JUnit: one test, skipped, and why."""
    suite = ElementTree.Element("testsuite", name="tests", tests="1", skipped="1")
    case = ElementTree.SubElement(suite, "testcase", classname="tests", name="repository")
    ElementTree.SubElement(case, "skipped", message=f"passed before with the same files: {digest}")
    return ElementTree.tostring(suite, encoding="unicode") + "\n"
