"""What MONAI Label's log-in needs of Keycloak: a program for the label server's environment, which has PyJWT.

Usage: realm.py USERS SECONDS, where USERS is JSON (name to password and roles). Prints the address of the realm.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


def main() -> None:
    """Serve until the process is ended."""
    import jwt
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    users, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    public = "".join(key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode().splitlines()[1:-1])

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = f"http://127.0.0.1:{server.server_port}/realm"
            known = self.path.endswith("openid-configuration")
            self.answer(200, {"token_endpoint": f"{here}/token"} if known else {"public_key": public})

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            name = form["username"][0]
            password, roles = users.get(name, (None, []))
            if form["password"][0] != password:
                self.answer(401, {"error": "invalid_grant"})
                return
            claims = {"preferred_username": name, "realm_access": {"roles": roles}, "exp": time.time() + seconds}
            self.answer(200, {"access_token": jwt.encode(claims, key, algorithm="RS256"), "token_type": "Bearer"})

        def answer(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/realm\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
