"""The control plane is a real one, and it goes when its owner goes."""

import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local_cluster import Image, LocalCluster, LocalClusterError, states

pytestmark = [pytest.mark.cluster, pytest.mark.long]

_GONE_SECONDS = 20
_HOLDER = """
    import signal, sys
    from local_cluster import LocalCluster
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background has it ignored
    with LocalCluster("held", node=False) as cluster:
        print(cluster.state_dir, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster("tested", node=False) as running:
        yield running


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder on a short path: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="own-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a cluster; and that cluster's state folder."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_HOLDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        state = Path(process.stdout.readline().strip())
        assert state.is_dir()
        assert len(processes_of(state)) == 5, "keeper, etcd and three daemons"
        try:
            yield process, state
        finally:
            process.kill()


def processes_of(state: Path) -> list[list[str]]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(state) in argument for argument in process.cmdline()):
                found.append(process.cmdline())
    return found


def assert_gone(state: Path) -> None:
    deadline = time.monotonic() + _GONE_SECONDS
    while (left := processes_of(state)) or state.exists():
        assert time.monotonic() < deadline, f"left: {left}, folder: {state.exists()}"
        time.sleep(0.05)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local_cluster", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def until_status(
    name: str, holds: Callable[[subprocess.CompletedProcess[str]], bool]
) -> subprocess.CompletedProcess[str]:
    """Return a cluster's status as soon as it is as meant: its processes see and answer when they get to run."""
    deadline = time.monotonic() + _GONE_SECONDS
    while not holds(said := command("status", "--name", name)):
        assert time.monotonic() < deadline, said.stdout
    return said


def test_client_and_server_report_the_release_they_are_built_from(cluster: LocalCluster) -> None:
    go_mod = (Path(__file__).parents[2] / "local_cluster" / "go" / "go.mod").read_text()
    pinned = re.search(r"k8s.io/kubernetes (v\S+)", go_mod)
    assert pinned is not None

    versions = json.loads(cluster.kubectl("version", "--output=json").stdout)

    assert versions["clientVersion"]["gitVersion"] == pinned[1]
    assert versions["serverVersion"]["gitVersion"] == pinned[1]


def test_listens_on_the_loopback_address_only(cluster: LocalCluster) -> None:
    addresses = {
        connection.laddr.ip
        for component in cluster.components
        for connection in psutil.Process(cluster.pid(component)).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_keys_are_readable_by_their_user_alone(cluster: LocalCluster) -> None:
    assert cluster.state_dir.stat().st_mode & 0o077 == 0
    secrets = [cluster.kubeconfig, *cluster.state_dir.rglob("*.key")]
    assert len(secrets) > 5
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)


def test_refuses_whoever_has_no_right(cluster: LocalCluster) -> None:
    """RBAC decides, for people without a name, for ServiceAccounts, and not by accident for administrators."""
    authority = cluster.state_dir / "pki" / "ca.crt"
    with pytest.raises(urllib.error.HTTPError) as anonymous:
        urllib.request.urlopen(  # noqa: S310 - the cluster's own URL
            f"{cluster.server}/api/v1/pods", context=ssl.create_default_context(cafile=authority), timeout=10
        )
    with anonymous.value as answer:
        assert answer.code == 403
        assert "system:anonymous" in answer.read().decode()
    account = cluster.kubectl("get", "pods", "--as=system:serviceaccount:default:default", check=False)
    assert account.returncode != 0
    assert "forbidden" in account.stderr
    assert cluster.kubectl("auth", "can-i", "*", "*").stdout.strip() == "yes"


def test_a_node_cannot_read_what_its_pods_do_not_use(cluster: LocalCluster) -> None:
    cluster.kubectl("create", "secret", "generic", "unrelated")
    node = f"--kubeconfig={cluster.state_dir / 'node.kubeconfig'}"
    assert "forbidden" in cluster.kubectl("get", "secret", "unrelated", node, check=False).stderr


def test_a_failing_kubectl_tells_why(cluster: LocalCluster) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failure:
        cluster.kubectl("get", "pod", "nobody")
    assert "NotFound" in "".join(failure.value.__notes__)


def test_token_keys_are_where_the_issuer_says(cluster: LocalCluster) -> None:
    issuer = json.loads(cluster.kubectl("get", "--raw", "/.well-known/openid-configuration").stdout)
    assert issuer["issuer"] == cluster.server
    assert issuer["jwks_uri"] == f"{cluster.server}/openid/v1/jwks"
    keys = json.loads(cluster.kubectl("get", "--raw", "/openid/v1/jwks").stdout)["keys"]
    assert [key["alg"] for key in keys] == ["RS256"]
    assert cluster.kubectl("create", "token", "default", "--audience=someone").stdout.count(".") == 2


def test_data_outlives_every_component(cluster: LocalCluster) -> None:
    cluster.kubectl("create", "configmap", "kept")
    before = {component: cluster.pid(component) for component in cluster.components}
    for component in cluster.components:
        cluster.restart(component)
    assert not before.items() & {component: cluster.pid(component) for component in cluster.components}.items()
    cluster.kubectl("get", "configmap", "kept")


def test_clusters_side_by_side_share_nothing(cluster: LocalCluster) -> None:
    with LocalCluster("tested", node=False) as other:
        other.kubectl("create", "configmap", "elsewhere")
        assert cluster.kubectl("get", "configmap", "elsewhere", check=False).returncode != 0
        mixed = cluster.kubectl("get", "pods", f"--server={other.server}", check=False)
        assert "certificate" in mixed.stderr
        state = other.state_dir
    assert_gone(state)
    cluster.kubectl("get", "namespace", "default")


def test_a_component_that_does_not_start_is_reported_with_its_log(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.kill("kube-scheduler")
    with monkeypatch.context() as patch:
        scheduler = str(cluster.kubectl_path.with_name("kube-scheduler"))
        patch.setattr(type(cluster.blueprint), "command", lambda *_: [scheduler, "--nonsense"])
        with pytest.raises(LocalClusterError, match=r"^kube-scheduler has ended with 1; (?s:.)*--nonsense"):
            cluster.start("kube-scheduler")
    cluster.start("kube-scheduler")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_its_owner(number: signal.Signals) -> None:
    with holder() as (process, state):
        process.send_signal(number)
        process.wait(_GONE_SECONDS)
        assert_gone(state)


def test_pods_go_with_their_cluster_wherever_they_have_hidden() -> None:
    """The process of a pod leaves its session, its parent and its environment behind, and then the node is killed."""
    hidden = ["sleep", f"98765.{os.getpid()}"]
    image = Image(entrypoint=["sh", "-c", f"env -i setsid {' '.join(hidden)} & sleep 1; exec sleep 1000"])

    def running() -> bool:
        return any(process.info["cmdline"] == hidden for process in psutil.process_iter(["cmdline"]))

    with LocalCluster("hiding", images={"escapes": image}) as cluster:
        cluster.kubectl("run", "escapes", "--image=escapes")
        cluster.kubectl("wait", "pod/escapes", "--for=condition=Ready", "--timeout=20s")
        deadline = time.monotonic() + _GONE_SECONDS
        while not running():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        cluster.kill("node")
        state = cluster.state_dir
    assert not running()
    assert_gone(state)


def test_what_a_killed_keeper_leaves_goes_with_the_next_cluster(
    monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    """Keeper and owner killed at once: the kernel ends the components, the next to come removes the folder."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))  # elsewhere another test's cluster may come next
    with holder() as (process, state):
        keeper = next(child for child in psutil.Process(process.pid).children() if str(state) in child.cmdline())
        keeper.kill()
        process.kill()
        process.wait(_GONE_SECONDS)
    deadline = time.monotonic() + _GONE_SECONDS
    while processes_of(state) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state.exists()
    with states.create("next") as (fresh, _):
        states.remove(fresh)
    assert_gone(state)


def test_a_named_cluster_from_the_command_line() -> None:
    name = f"cli-{os.getpid()}"
    assert command("status", "--name", name).returncode == 3
    assert command("env", "--name", name).returncode == 3
    try:
        up = command("up", "--name", name, "--no-node")
        assert up.returncode == 0, up.stderr
        assert "No isolation" in up.stdout
        assert "already up" in command("up", "--name", name).stdout

        status = until_status(name, lambda said: said.returncode == 0)
        assert status.stdout.count("healthy") == 4

        script = (
            f'eval "$({sys.executable} -m local_cluster env --name {name})" && kubectl get namespaces --output=name'
        )
        listed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=30)
        assert "namespace/default" in listed.stdout

        found = re.search(r"state in (\S+)", status.stdout)
        assert found is not None
        scheduler = re.search(r"kube-scheduler +(\d+)", status.stdout)
        assert scheduler is not None
        os.kill(int(scheduler[1]), signal.SIGKILL)
        unwell = until_status(name, lambda said: "has ended with -9" in said.stdout)
        assert unwell.returncode == 1
    finally:
        down = command("down", "--name", name)
    assert down.returncode == 0
    assert not processes_of(Path(found[1]))
    assert not Path(found[1]).exists()
    assert "is not up" in command("down", "--name", name).stdout


def test_a_named_cluster_whose_holder_was_killed_is_not_up() -> None:
    name = f"killed-{os.getpid()}"
    holding = [sys.executable, "-m", "local_cluster", "up", "--foreground", "--no-node", "--name", name]
    with subprocess.Popen(holding, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "is up" in process.stdout.readline()
        process.kill()
    assert command("status", "--name", name).returncode == 3
    assert "is not up" in command("down", "--name", name).stdout


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("--image=quoted='", "not quoted"),
        ("--images=/nowhere.json", "cannot read"),
        ("--images={file}", "no list of images: worker.entrypiont"),
    ],
)
def test_images_that_make_no_sense_are_refused_in_one_line(argument: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    file.write_text('{"worker": {"entrypiont": ["sh"]}}')
    result = command("up", argument.format(file=file))
    assert result.returncode == 1
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["", "../elsewhere", "Capital", "a" * 40])
def test_a_name_that_cannot_be_a_file_or_host_is_refused(name: str) -> None:
    with pytest.raises(LocalClusterError, match="no name for a cluster"):
        LocalCluster(name)
