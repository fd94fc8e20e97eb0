"""deploy/: units and manifests are what systemd and Kubernetes read, and agree with the code and with each other."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from config.settings import WorkerSettings
from smsq.settings import variable
from tests.packaging import compose
from tests.support.sandbox import ROOT

_SYSTEMD, _KUBERNETES = ROOT / "deploy" / "systemd", ROOT / "deploy" / "kubernetes"
_VERSIONS = ("1.30", "1.37")
_GRACE = WorkerSettings.model_fields["shutdown_grace"].default


def _manifests() -> list[dict[str, Any]]:
    files = yaml.safe_load((_KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    return [each for file in files for each in yaml.safe_load_all((_KUBERNETES / file).read_text(encoding="utf-8"))]


def _manifest(kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in _manifests() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def _container(kind: str, name: str) -> dict[str, Any]:
    container: dict[str, Any] = _manifest(kind, name)["spec"]["template"]["spec"]["containers"][0]
    return container


def _unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((_SYSTEMD / name).read_text(encoding="utf-8"))
    return parser


@pytest.mark.parametrize("version", _VERSIONS)
def test_manifests_are_what_the_api_takes(version: str) -> None:
    """Each is valid by the schemas of the oldest and the newest release, with no unknown field; each file is listed."""
    for each in _manifests():
        kubernetes_validate.validate(each, version, strict=True)
    listed = yaml.safe_load((_KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert {*listed, "kustomization.yaml"} == {file.name for file in _KUBERNETES.iterdir()}


def test_manifests_fit_together() -> None:
    """What a selector, a policy, a reference or a port names exists; every setting is one of the code's."""
    config = _manifest("ConfigMap", "smsq")["data"]
    known = {variable(WorkerSettings, name) for name in WorkerSettings.model_fields}
    assert config.keys() <= known
    sets = [each for each in _manifests() if each["kind"] in ("Deployment", "StatefulSet")]
    labels = [each["spec"]["template"]["metadata"]["labels"]["app"] for each in sets]
    assert [each["spec"]["selector"]["matchLabels"]["app"] for each in sets] == labels
    assert config["SMSQ_REDIS_URL"] == f"redis://{_manifest('Service', 'smsq-redis')['metadata']['name']}:6379/0"
    policy = str([each for each in _manifests() if each["kind"] == "NetworkPolicy"])
    assert set(labels) == set(re.findall(r"smsq-(?:redis|worker|flower)", policy))


def test_containers_run_what_compose_runs() -> None:
    """The same image's commands, the same server options; and each container has no rights but those it needs."""
    services = compose.services({"MOBIZON_API_KEY": "x", "FLOWER_PASSWORD": "x"})
    assert _container("Deployment", "smsq-worker")["command"] == services["worker"]["command"]
    args = _container("StatefulSet", "smsq-redis")["args"]
    for option in services["redis"]["command"]:
        assert option in args
    for kind, name in (("Deployment", "smsq-worker"), ("Deployment", "smsq-flower"), ("StatefulSet", "smsq-redis")):
        rights = _container(kind, name)["securityContext"]
        assert rights["readOnlyRootFilesystem"]
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert _manifest(kind, name)["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]


def test_a_stopping_worker_has_the_time_it_needs() -> None:
    """Both supervisors wait longer than `SMSQ_SHUTDOWN_GRACE`."""
    spec = _manifest("Deployment", "smsq-worker")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > _GRACE + 10
    assert int(_unit("smsq-worker@.service")["Service"]["TimeoutStopSec"]) > _GRACE + 10


def test_units_are_what_systemd_reads(tmp_path: Path) -> None:
    """The worker's command and its signals; with systemd at hand, its own judgement of all units."""
    service = _unit("smsq-worker@.service")["Service"]
    assert service["ExecStart"].split()[1:] == ["-A", "worker", "worker", "-E", "-n", "%i@%H"]
    assert (service["KillMode"], service["RestartPreventExitStatus"]) == ("mixed", "2")
    assert " --worker %i@%H" in _unit("smsq-probe@.service")["Service"]["ExecStart"]
    example = re.findall(r"^(\w+)=", (_SYSTEMD / "worker.env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(example) <= {variable(WorkerSettings, name) for name in WorkerSettings.model_fields}
    if not shutil.which("systemd-analyze"):
        return
    names = []
    for file in (*_SYSTEMD.glob("*.service"), *_SYSTEMD.glob("*.timer")):
        text = re.sub(r"/opt/smsq/\.venv/bin/\w+", "/bin/true", file.read_text(encoding="utf-8"))
        (tmp_path / file.name).write_text(text)
        names.append(file.name.replace("@", "@1"))
    judged = subprocess.run(
        ["systemd-analyze", "verify", *names], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (judged.returncode, judged.stderr) == (0, "")
