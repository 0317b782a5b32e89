"""Takes webhooks, as somebody else's server would: writes down every request, checks signatures with a
library that is not ours, and can be told to misbehave.

    webhook_receiver.py RECORD [--port PORT] [--secret SECRET] [--mode MODE]

Prints its port. RECORD gets a line of JSON for every request when it is answered (or will not be). A POST
to /control/MODE sets how requests are treated from then on: ok, hang (until another mode is set), drop
(the connection is closed without an answer), redirect, or a status.
"""

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

arguments = argparse.ArgumentParser()
arguments.add_argument("record")
arguments.add_argument("--port", type=int, default=0)
arguments.add_argument("--secret")
arguments.add_argument("--mode", default="ok")
options = arguments.parse_args()

mode = options.mode
changed = threading.Condition()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global mode
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.startswith("/control/"):
            with changed:
                mode = self.path.removeprefix("/control/")
                changed.notify_all()
            self.answer(204)
            return
        with changed:
            treatment = mode
            self.write_down(body, treatment)
            changed.wait_for(lambda: mode != "hang")
        if treatment in ("hang", "drop"):
            self.close_connection = True
        elif treatment == "redirect":
            self.answer(307, ("location", "/redirected"))
        else:
            self.answer(200 if treatment == "ok" else int(treatment))

    def answer(self, status, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def write_down(self, body, treatment):
        headers = {name.lower(): value for name, value in self.headers.items()}
        signature = "none"
        if options.secret:
            try:
                Webhook(options.secret).verify(body, headers, json_parse=False)
                signature = "good"
            except WebhookVerificationError as fault:
                signature = str(fault)
        request = {
            "path": self.path,
            "headers": headers,
            "body": body.decode(),
            "signature": signature,
            "treatment": treatment,
        }
        with open(options.record, "a", encoding="utf-8") as record:
            record.write(json.dumps(request) + "\n")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", options.port), Receiver)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
