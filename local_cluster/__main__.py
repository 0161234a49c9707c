"""`python -m local_cluster`: a cluster on this machine from the command line."""

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pydantic import ConfigDict, TypeAdapter, ValidationError

from local_cluster import build
from local_cluster.cluster import LocalCluster, environment
from local_cluster.components import Image
from local_cluster.errors import LocalClusterError
from local_cluster.health import Health
from local_cluster.keeping import read_components
from local_cluster.named import NamedCluster

_COMMAND = "python -m local_cluster"
_UP_SECONDS = 120
_POLL_SECONDS = 0.1
_DOWN = 3
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WARNING = "No isolation: pods run as your own processes, with your files and your network. For development only."
_DESCRIPTION = """\
A real Kubernetes cluster on this machine: etcd, API server, controller manager, scheduler, and a node that runs pods
as ordinary processes. Needs neither containers nor root. The first start builds the programs (about 8 minutes).
"""
_EPILOG = f"""\
example:
  {_COMMAND} up --image worker='python -m my_worker'
  eval "$({_COMMAND} env)"
  kubectl run hello --image=worker --restart=Never
  {_COMMAND} down

{_WARNING}
"""
_IMAGES_HELP = """\
JSON file with images: {"NAME": {"entrypoint": ["python", "-m", "my_worker"], "command": ["--an-argument"],
"env": {"KEY": "value"}}}; each part may be left out
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    options = _parser().parse_args(arguments)
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _end)
    try:
        status: int = options.run(options)
    except LocalClusterError as error:
        sys.stderr.write(f"local cluster: error: {error}\n")
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_COMMAND, description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    name = argparse.ArgumentParser(add_help=False)
    name.add_argument("--name", default="default", help="which cluster, if you want several (default: %(default)s)")

    up = commands.add_parser("up", parents=[name], help="start a cluster", epilog=_WARNING)
    up.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="run COMMAND, quoted as in a shell, for containers with the image NAME; without a COMMAND the container "
        "must have one itself; may be repeated",
    )
    up.add_argument("--images", type=Path, metavar="FILE", help=_IMAGES_HELP)
    up.add_argument("--no-node", action="store_true", help="control plane only: pods stay pending")
    up.add_argument("--foreground", action="store_true", help="keep the cluster until Ctrl-C instead of until `down`")
    up.set_defaults(run=_up)

    down = commands.add_parser("down", parents=[name], help="end a cluster and remove everything it has left")
    down.set_defaults(run=_down)
    status = commands.add_parser(
        "status",
        parents=[name],
        help="show processes and health",
        epilog=f"Exit status: 0 all is well, 1 something is not, {_DOWN} the cluster is not up.",
    )
    status.set_defaults(run=_status)
    env = commands.add_parser(
        "env", parents=[name], help=f'print shell variables: eval "$({_COMMAND} env)" makes kubectl talk to the cluster'
    )
    env.set_defaults(run=_env)
    programs = commands.add_parser("build", help="build programs, if need be, and print the folders they are in")
    programs.add_argument(
        "programs", nargs="*", default=[build.KUBERNETES.name], metavar="PROGRAM", help=", ".join(build.PROGRAMS)
    )
    programs.set_defaults(run=_build)
    return parser


def _up(options: argparse.Namespace) -> int:
    images = _images(options.image, options.images)
    named = NamedCluster(options.name)
    if options.foreground:
        return _hold(named, images, with_node=not options.no_node)
    if named.entry() is not None:
        _await_ready(named, None)
        _say(f"Cluster {named.name} is already up.")
        return 0
    build.ensure()  # here, where progress can be seen
    command = [sys.executable, "-m", "local_cluster", "up", "--foreground", "--name", named.name]
    command += [f"--image={image}" for image in options.image]
    command += [f"--images={options.images}"] if options.images else []
    command += ["--no-node"] if options.no_node else []
    with named.log.open("wb") as log:
        holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        _await_ready(named, holder)
    except BaseException:
        holder.terminate()
        holder.wait(_UP_SECONDS)
        raise
    holder.returncode = 0  # it stays; this object need not wait for it
    _say(_greeting(named.name))
    return 0


def _hold(named: NamedCluster, images: dict[str, Image], *, with_node: bool) -> int:
    """Keep a cluster in this process until a signal ends it."""
    with named.hold() as publish, LocalCluster(named.name, images=images, node=with_node) as cluster:
        publish(cluster.blueprint, cluster.components)
        _say(_greeting(named.name))
        cluster.wait()
    raise LocalClusterError("the cluster has ended because its keeper was killed")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)  # ending takes a moment, and must not be left half done
    raise SystemExit(128 + number)


def _await_ready(named: NamedCluster, holder: subprocess.Popen[bytes] | None) -> None:
    """Wait until the cluster is ready; `holder` is the process that starts it, if that is a child of this one."""
    deadline = time.monotonic() + _UP_SECONDS
    while time.monotonic() < deadline:
        starting = holder is not None and holder.poll() is None
        entry = named.entry()
        if entry is not None and entry.blueprint is not None:
            return
        if entry is None and not starting:
            said = named.log.read_text().strip() if named.log.exists() else "it was ended"
            raise LocalClusterError(f"cluster {named.name} did not start:\n{said}")
        time.sleep(_POLL_SECONDS)
    raise LocalClusterError(f"the cluster is not ready after {_UP_SECONDS} s; see {named.log}")


def _down(options: argparse.Namespace) -> int:
    ended = NamedCluster(options.name).end()
    _say(f"Cluster {options.name} {'has ended' if ended else 'is not up'}.")
    return 0


def _status(options: argparse.Namespace) -> int:
    entry = NamedCluster(options.name).entry()
    if entry is None:
        _say(f"Cluster {options.name} is not up.")
        return _DOWN
    if entry.blueprint is None:
        _say(f"Cluster {options.name} is starting.")
        return 1
    health = Health(entry.blueprint)
    started = read_components(entry.blueprint.state)
    well = True
    _say(f"Cluster {options.name} at {entry.blueprint.server}, state in {entry.blueprint.state}")
    for component in entry.components:
        process = started[component]
        ended = process["exit"] is not None
        problem = f"has ended with {process['exit']}" if ended else health.problem(component)
        well = well and problem is None
        _say(f"{component:<24} {'-' if ended else process['pid']:>8}  {problem or 'healthy'}")
    return 0 if well else 1


def _env(options: argparse.Namespace) -> int:
    entry = NamedCluster(options.name).entry()
    if entry is None or entry.blueprint is None:
        sys.stderr.write(f"local cluster: {options.name} is not up: {_with_name('up', options.name)}\n")
        return _DOWN
    for key, value in environment(entry.blueprint).items():
        _say(f"export {key}={shlex.quote(value)}")
    return 0


def _build(options: argparse.Namespace) -> int:
    if unknown := set(options.programs) - set(build.PROGRAMS):
        raise LocalClusterError(f"no such program: {', '.join(sorted(unknown))}; there are {', '.join(build.PROGRAMS)}")
    for name in options.programs:
        _say(str(build.ensure(build.PROGRAMS[name])))
    return 0


def _images(pairs: Sequence[str], file: Path | None) -> dict[str, Image]:
    images: dict[str, Image] = {}
    try:
        if file is not None:
            listed = TypeAdapter(dict[str, Image], config=ConfigDict(extra="forbid"))  # a misspelt key is an error
            images |= listed.validate_json(file.read_bytes())
        for pair in pairs:
            name, _, command = pair.partition("=")
            images[name] = Image(entrypoint=shlex.split(command))
    except OSError as error:
        raise LocalClusterError(f"cannot read {file}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise LocalClusterError(f"{file} is no list of images: {where}: {first['msg']}") from error
    except ValueError as error:
        raise LocalClusterError(f"--image is not quoted as in a shell: {error}") from error
    return images


def _greeting(name: str) -> str:
    return (
        f"Cluster {name} is up. {_WARNING}\n"
        f'To use it: eval "$({_with_name("env", name)})"   To end it: {_with_name("down", name)}'
    )


def _with_name(command: str, name: str) -> str:
    return f"{_COMMAND} {command}" + ("" if name == "default" else f" --name {name}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
