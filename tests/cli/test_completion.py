"""Completion in real shells, with the names that there are.

Names that do not come within two seconds are left out; who wants them asks again.
"""

import shutil
import subprocess
from collections.abc import Callable

import pytest
from terminal import Program

from operator_process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def named(crawl: Program) -> Program:
    for name in ("apple", "apricot", "banana"):
        crawl.says("submit", "https://example.org/", "--name", name, "--suspend")
    return crawl


def in_time(complete: Callable[[], list[str]]) -> list[str]:
    """Complete until names come."""
    found: list[str] = []

    def came() -> bool:
        found.extend(complete())
        return bool(found)

    wait_until(came, "names are completed", 60)
    return found


def bash(program: Program, words: list[str]) -> list[str]:
    """Complete the last word as bash does: by the function that the printed script defines."""
    line = " ".join(words)
    script = f"""
    source <(crawl-operator completion bash)
    COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; COMP_LINE={line!r}
    _crawl_operator_completion crawl-operator
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], env=program.environment(), capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


@pytest.mark.timeout(300)
def test_bash_completes_commands_flags_and_live_names(named: Program) -> None:
    assert "describe" in bash(named, ["crawl-operator", "des"])
    assert in_time(lambda: bash(named, ["crawl-operator", "describe", "ap"])) == ["apple", "apricot"]
    assert "--field-selector" in bash(named, ["crawl-operator", "list", "--fi"])
    assert "trigger" in bash(named, ["crawl-operator", "schedule", "tr"])
    assert bash(named, ["crawl-operator", "explain", "spec.fetch.ti"]) == ["spec.fetch.timeoutSeconds"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_completes_live_names(named: Program) -> None:
    """Zsh's own machinery needs a terminal; what it would be given comes from the function of the printed script."""
    script = """
    compdef() { : }
    _arguments() { print -l -- "$@" }
    _describe() { print -l -- "${(@P)3}" "${(@P)2}" }
    words=(crawl-operator describe ap); CURRENT=3
    source <(crawl-operator completion zsh)
    _crawl_operator_completion
    """

    def offered() -> list[str]:
        done = subprocess.run(
            ["zsh", "-f", "-c", script],
            env=named.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return [done.stdout] if "apple" in done.stdout else []

    [said] = in_time(offered)
    assert "apricot" in said
    assert "banana" not in said


def test_kubectl_completes_the_plugin(named: Program) -> None:
    """Kubectl asks `kubectl_complete-crawl`, which it finds on the path."""

    def offered(*words: str) -> list[str]:
        done = subprocess.run(
            ["kubectl", "__complete", "crawl", *words],
            env=named.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.partition("\t")[0] for line in done.stdout.splitlines() if not line.startswith(":")]

    assert in_time(lambda: offered("describe", "ap")) == ["apple", "apricot"]
    assert "dead-letter" in offered("de")


def test_a_cluster_that_does_not_answer_completes_nothing_and_soon(named: Program) -> None:
    done = subprocess.run(
        ["kubectl_complete-crawl", "describe", "--kubeconfig", "/nowhere", ""],
        env=named.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == (":4\n", "")
