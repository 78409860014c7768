"""What the documents point at exists."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)", page.read_text())
    missing = [target for target in targets
               if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_the_readme_links_every_page():
    readme = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"docs/{page.name}" not in readme] == []


def test_commands_of_the_readme_exist():
    readme = (ROOT / "README.md").read_text()
    shown = set(re.findall(r"^lamina (\w+)", readme, flags=re.MULTILINE))
    assert {"flow", "compile", "verify", "run", "doctor"} <= shown
    assert shown <= {"check", "flow", "run", "compile", "generate", "verify", "synth", "report",
                     "doctor", "tapeout", "undervolt"}
