"""Two users into a throwaway server, with the newest auth0-python from PyPI:  python import_users.py"""
import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

start = time.monotonic()
intake = subprocess.Popen(["intake", "serve", "--ephemeral", "--tls"], stdout=subprocess.PIPE)
try:
    server = json.loads(intake.stdout.readline())
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = server["ca_file"]
    urllib.request.urlopen(f"{server['url']}/.well-known/jwks.json").close()
    print(f"first answer {(time.monotonic() - start) * 1000:.0f} ms after the start of intake")

    from auth0.management import ManagementClient

    auth0 = ManagementClient(
        domain=server["domain"], client_id=server["client_id"], client_secret=server["client_secret"]
    )
    with open(Path(__file__).with_name("users.json"), "rb") as users:
        job = auth0.jobs.users_imports.create(users=users, connection_id=server["connection_id"])
    while (job := auth0.jobs.get(job.id)).status == "pending":
        time.sleep(0.05)
    assert job.summary.dict(exclude_none=True) == {"failed": 0, "updated": 0, "inserted": 2, "total": 2}, job
finally:
    intake.terminate()
    intake.wait()
