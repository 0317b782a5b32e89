"""A mail server for tests (aiosmtpd): says its port, and writes down every letter it is brought.

Listens on 127.0.0.1 and prints the port. Each letter is a line of JSON in --log, with "answer", which is
what the client was told. Ends when its standard input does.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", required=True)
    parser.add_argument("--refuse-first", type=int, default=0, help="answer so many letters with 451")
    parser.add_argument("--reject", action="store_true", help="answer every letter with 550")
    parser.add_argument("--delay", type=float, default=0, help="seconds until a letter is answered")
    parser.add_argument("--certificate", help="offer STARTTLS; a file with certificate and key (PEM)")
    parser.add_argument("--tls", action="store_true", help="TLS from the first byte instead")
    parser.add_argument("--user", help="ask for this user")
    parser.add_argument("--password")
    return parser.parse_args()


class Handler:
    def __init__(self, options):
        self.options = options
        self.refusals_left = options.refuse_first

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(self.options.delay)
        answer = "250 taken"
        if self.options.reject:
            answer = f"550 5.1.1 <{envelope.rcpt_tos[0]}>: no such mailbox"
        elif self.refusals_left > 0:
            self.refusals_left -= 1
            answer = "451 4.7.1 greylisted, try again"
        self.write(answer, session, envelope)
        return answer

    def write(self, answer, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text, html = letter.get_body(("plain",)), letter.get_body(("html",))
        encrypted = session.ssl is not None or self.options.tls
        entry = {
            "answer": answer,
            "tls": encrypted,
            "authenticated": bool(session.authenticated),
            "envelope_from": envelope.mail_from,
            "envelope_to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in letter.items()},
            "defects": [str(defect) for part in letter.walk() for defect in part.defects],
            "message_id": letter["message-id"],
            "subject": letter["subject"],
            "to": letter["to"],
            "text": text and text.get_content().replace("\r\n", "\n"),
            "html": html and html.get_content().replace("\r\n", "\n"),
        }
        with open(self.options.log, "a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


async def main():
    options = arguments()
    handler = Handler(options)
    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate)

    def authenticator(server, session, envelope, mechanism, given):
        wanted = (options.user.encode(), options.password.encode())
        is_right = (given.login, given.password) == wanted
        return AuthResult(success=is_right, handled=False)

    def protocol():
        starttls = None if options.tls else context
        login = {}
        if options.user:
            login = {"authenticator": authenticator, "auth_required": True, "auth_require_tls": starttls is not None}
        return SMTP(handler, hostname="mail.test", tls_context=starttls, enable_SMTPUTF8=True, **login)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        protocol, "127.0.0.1", options.port, ssl=context if options.tls else None
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    # Whoever started this has it end by ending himself.
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


# What clients do wrong is for the tests to say.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
asyncio.run(main())
