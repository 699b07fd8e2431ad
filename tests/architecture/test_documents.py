"""Documents that repeat what the code says must say the same."""

import re
import subprocess
import sys

import pytest
from support.places import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_tables_of_the_chip_are_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "docs" / "tables.py", "--check"], check=False)
    assert done.returncode == 0, "run: python docs/tables.py"


def test_pages_of_the_studies_are_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "docs" / "study_pages.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run: python docs/study_pages.py"


def test_every_mechanism_has_an_equation_and_a_picture():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "pictures.py", "--check"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sizes = [path.stat().st_size for path in (ROOT / "docs" / "images" / "mechanisms").iterdir()]
    assert max(sizes) < 60_000 and sum(sizes) < 600_000


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_make_targets_and_ci_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test", "bench", "lint"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
