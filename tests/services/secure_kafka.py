"""A Kafka that asks who is there and what they may: listeners with TLS and logins, and KRaft's authorizer.

Its plain listener stays for the tests: who comes by it is the administrator.
"""

import base64
import json
import os
import subprocess
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Final, Self

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from detector.embedded import free_port
from tests.services.cache import cached, maven
from tests.services.certificates import Certificates
from tests.services.kafka import HERE, KafkaCluster
from tests.services.kafka import _download as download_kafka

WORD: Final = "hunter2-of-kafka"
USERS: Final = ("detector", "nobody", "oncall", "pager", "airflow", "operator")
_MODULES: Final = "org.apache.kafka.common.security"
_OAUTH: Final = f"{_MODULES}.oauthbearer.OAuthBearerLoginModule"


class SecureKafka(KafkaCluster):
    """One node. `login` is where users log in (SASL_SSL), `mutual` where their certificates say who they are (SSL)."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.certificates = Certificates(directory / "certificates")
        self.login, self.mutual = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self._settings = self._secured()

    def _secured(self) -> dict[str, str]:
        node, files = self.nodes[1], self.certificates
        plain = f"PLAINTEXT://127.0.0.1:{node.port}"
        named = f"LOGIN://{self.login},MUTUAL://{self.mutual}"
        passwords = " ".join(f'user_{user}="{WORD}"' for user in USERS)
        login = "listener.name.login"
        return {
            "listeners": f"{plain},CONTROLLER://127.0.0.1:{node.controller_port},{named}",
            "advertised.listeners": f"{plain},{named}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LOGIN:SASL_SSL,MUTUAL:SSL",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(files.server),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(files.ca),
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "listener.name.mutual.ssl.client.auth": "required",
            f"{login}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            f"{login}.plain.sasl.jaas.config": f"{_MODULES}.plain.PlainLoginModule required {passwords};",
            f"{login}.scram-sha-256.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
            f"{login}.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
            f"{login}.oauthbearer.sasl.jaas.config": f'{_OAUTH} required unsecuredLoginStringClaim_sub="broker";',
        }

    def start(self) -> Self:
        super().start()
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            known = ScramCredentialInfo(mechanism, 4096)
            wanted: list[UserScramCredentialAlteration] = [
                UserScramCredentialUpsertion(user, known, WORD.encode()) for user in USERS
            ]
            for answer in self.admin.alter_user_scram_credentials(wanted).values():
                answer.result(30)
        return self

    def allow(self, part: str, user: str, **environment: str) -> None:
        """Run deploy/kafka/acls.sh as an administrator would. Raises `CalledProcessError`."""
        script = Path(__file__).parents[2] / "deploy" / "kafka" / "acls.sh"
        settings = {"BOOTSTRAP": self.bootstrap, "KAFKA_ACLS": str(_acls_tool(self.directory)), **environment}
        command = [str(script), part, f"User:{user}"]
        subprocess.run(command, env={**os.environ, **settings}, check=True, capture_output=True, text=True)


def _acls_tool(directory: Path) -> Path:
    """What kafka-acls.sh of a Kafka that was unpacked does: Java, with Kafka's own class."""
    libs = cached("kafka", (HERE / "pom.xml").read_text(), download_kafka) / "libs"
    tools = cached("kafka-tools", (HERE / "pom-tools.xml").read_text(), _download_tools) / "libs"
    logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
    quick = f"-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 {logging}"
    start = f"{quick} -cp '{tools}/*:{libs}/*' org.apache.kafka.tools.AclCommand"
    tool = directory / "kafka-acls.sh"
    tool.write_text(f'#!/bin/sh\nexec java {start} "$@"\n')
    tool.chmod(0o755)
    return tool


def _download_tools(directory: Path) -> None:
    libs = f"-DoutputDirectory={directory / 'libs'}"
    maven("dependency:copy-dependencies", "-f", str(HERE / "pom-tools.xml"), libs, "-DincludeScope=runtime")


class TokenEndpoint:
    """Gives whoever names the right secret a token of OAuth, as Kafka's unsecured validator takes it."""

    def __init__(self, subject: str, secret: str) -> None:
        basic = base64.b64encode(f"{subject}:{secret}".encode()).decode()

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                right = self.headers.get("Authorization") == f"Basic {basic}"
                body = json.dumps(_token(subject) if right else {"error": "invalid_client"}).encode()
                self.send_response(200 if right else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing to standard error."""

        self._server = HTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


def _token(subject: str) -> dict[str, object]:
    now = int(time.time())
    claims = {"sub": subject, "iat": now, "exp": now + 3_600, "scope": "kafka"}
    parts = (json.dumps({"alg": "none", "typ": "JWT"}), json.dumps(claims))
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return {"access_token": ".".join([*encoded, ""]), "token_type": "Bearer", "expires_in": 3_600}
