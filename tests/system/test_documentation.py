"""What README, docs and examples show is what the product takes: templates, settings, links."""

import re
from pathlib import Path

import pytest
import yaml

from gateway.settings import load
from lifecycle.documents import parse_template, read_all, with_absolute_dir

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "examples/*/*.md", "loadtest/**/*.md")
    for path in ROOT.glob(pattern)
)
TEMPLATES = sorted(ROOT.glob("examples/*/template.yaml"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_the_templates_of_the_examples_are_taken(path: Path) -> None:
    (given,) = read_all(path.read_text())
    template = parse_template(with_absolute_dir(given, path.parent)).template
    assert template.create_on_request and template.durable
    assert template.working_dir is None or template.working_dir.is_dir()


def test_the_template_of_the_readme_is_taken() -> None:
    (shown,) = [b for b in blocks(ROOT / "README.md", "yaml") if "ActorTemplate" in b]
    template = parse_template(with_absolute_dir(yaml.safe_load(shown), ROOT)).template
    assert template.key == "demo/counter" and template.suspend_after_s == 60.0


@pytest.mark.parametrize(
    ("role", "variables"),
    [
        ("gateway", {"ROUSE_EDGE_LISTEN": "0.0.0.0:8080"}),
        (
            "worker",
            {
                "ROUSE_DOOR_LISTEN": "0.0.0.0:9001",
                "ROUSE_DOOR_ADVERTISE": "10.0.0.7:9001",
                "ROUSE_RPC_LISTEN": "0.0.0.0:9002",
                "ROUSE_RPC_ADVERTISE": "10.0.0.7:9002",
            },
        ),
    ],
)
def test_the_settings_of_the_readme_start_a_role(
    role: str, variables: dict[str, str], tmp_path: Path
) -> None:
    (shown,) = [b for b in blocks(ROOT / "README.md", "yaml") if "shared_key_file" in b]
    for variable in variables.items():
        assert "=".join(variable) in (ROOT / "README.md").read_text()
    for key in ("shared.key", "snapshot.key"):
        (tmp_path / key).write_text("k" * 64)
    file = tmp_path / "rouse.yaml"
    file.write_text(shown.replace("/etc/rouse", str(tmp_path)))
    environ = {**variables, "ROUSE_DATA_DIR": str(tmp_path)}
    settings = load("gateway" if role == "gateway" else "worker", file, environ, {})
    assert settings.redis.url == "rediss://redis.internal:6379"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [p.name for p in (ROOT / "docs").glob("*.md") if f"docs/{p.name}" not in readme] == []


@pytest.mark.parametrize("shown", blocks(ROOT / "docs" / "auth.md", "yaml"))
def test_the_settings_of_the_page_about_auth_are_taken(shown: str, tmp_path: Path) -> None:
    file = tmp_path / "rouse.yaml"
    file.write_text(shown)
    edge = load("up", file, {"ROUSE_DATA_DIR": str(tmp_path)}, {}).edge
    assert edge.auth.kinds or edge.tls.is_on or edge.proxy_protocol
