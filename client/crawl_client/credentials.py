"""Who asks: the Authorization header of each request, from a kubeconfig's user."""

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from crawl_client.errors import AuthenticationError, ConfigurationError
from crawl_client.kubeconfig import Login, load_pair

_PLUGIN_SECONDS: Final = 60
_REREAD: Final = timedelta(minutes=1)
"""For how long a token from a file is used: those of service accounts are renewed on disk."""
_EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class Credentials:
    """Makes the headers that say who asks.

    Args:
        login: whose user it is.
        token: a bearer token instead.
        tls: where the certificate of a credential plug-in goes.
    """

    def __init__(self, login: Login, token: str | None, tls: ssl.SSLContext | None) -> None:
        self._user = login.user
        self._server = login.server
        self._given = token
        self._tls = tls
        self._token = ""
        self._until = datetime.min.replace(tzinfo=UTC)
        self._lock = asyncio.Lock()

    async def headers(self) -> dict[str, str]:
        """Return the headers; none where a certificate speaks for itself.

        Raises:
            AuthenticationError: a token cannot be had.
            ConfigurationError: the kubeconfig asks for something that is not known here.
        """
        user = self._user
        if token := self._given or user.get("token"):
            return {"Authorization": f"Bearer {token}"}
        if user.get("username"):
            pair = base64.b64encode(f"{user['username']}:{user.get('password', '')}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        if not user.get("tokenFile") and not user.get("exec"):
            if user.get("auth-provider"):
                raise ConfigurationError(
                    "the kubeconfig's auth-provider is not supported; use a credential plug-in (exec)"
                )
            return {}
        async with self._lock:
            if datetime.now(UTC) >= self._until:
                await self._renew()
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    @property
    def renewable(self) -> bool:
        """Whether another try after 401 can be answered otherwise."""
        return not self._given and bool(self._user.get("tokenFile") or self._user.get("exec"))

    def forget(self) -> None:
        """Ask anew for the next request: the API server has refused what there was."""
        self._until = datetime.min.replace(tzinfo=UTC)

    async def _renew(self) -> None:
        if path := self._user.get("tokenFile"):
            try:
                self._token = Path(path).read_text(encoding="utf-8").strip()  # noqa: ASYNC240 - one line
            except OSError as error:
                raise AuthenticationError(f"the token cannot be read: {error}", 401) from error
            self._until = datetime.now(UTC) + _REREAD
            return
        status = await self._run(self._user["exec"])
        self._token = str(status.get("token") or "")
        expires = status.get("expirationTimestamp")
        self._until = datetime.fromisoformat(expires) if expires else datetime.max.replace(tzinfo=UTC)
        if isinstance(self._tls, ssl.SSLContext) and status.get("clientCertificateData"):
            pair = {name: status[member] for name, member in _PAIR.items()}
            load_pair(self._tls, {f"{name}-data": base64.b64encode(text.encode()) for name, text in pair.items()})

    async def _run(self, plugin: Mapping[str, Any]) -> dict[str, Any]:
        """Run a credential plug-in as kubectl does and return the status of what it says."""
        version = plugin.get("apiVersion")
        if version not in _EXEC_VERSIONS:
            raise ConfigurationError(
                f"credential plug-ins of {version} are not supported, but {', '.join(_EXEC_VERSIONS)}"
            )
        info = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        if plugin.get("provideClusterInfo"):
            info["spec"] = {"interactive": False, "cluster": {"server": self._server}}
        added = {each["name"]: each["value"] for each in plugin.get("env") or ()}
        environment = os.environ | added | {"KUBERNETES_EXEC_INFO": json.dumps(info)}
        command = str(plugin.get("command", ""))
        try:
            process = await asyncio.create_subprocess_exec(
                command,
                *map(str, plugin.get("args") or ()),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            hint = plugin.get("installHint") or "install it, or use another context"
            raise AuthenticationError(
                f"the credential plug-in {command!r} cannot run ({error}): {hint}", 401
            ) from error
        said = b""
        try:
            out, said = await asyncio.wait_for(process.communicate(), _PLUGIN_SECONDS)
            status: dict[str, Any] = json.loads(out)["status"]
        except TimeoutError as error:
            process.kill()
            raise AuthenticationError(
                f"the credential plug-in {command!r} took over {_PLUGIN_SECONDS} s", 401
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            words = said.decode(errors="replace").strip().partition("\n")[0] or "it said nothing of use"
            raise AuthenticationError(f"the credential plug-in {command!r} gave no token: {words}", 401) from error
        return status


_PAIR: Final = {"client-certificate": "clientCertificateData", "client-key": "clientKeyData"}
