"""A published auth0-python drives a server: the line that `intake serve --ephemeral --tls` prints comes on
standard input."""

import gzip
import json
import re
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from auth0.authentication import Database, GetToken
from auth0.authentication.token_verifier import AsymmetricSignatureVerifier, TokenVerifier

from majors import NOTHING, VERSION, connect
from report import Report

server = json.load(sys.stdin)
report = Report(f"auth0-python {VERSION}")
call = report.call

domain, connection_id, connection = server["domain"], server["connection_id"], server["connection"]
client_id, client_secret = server["client_id"], server["client_secret"]
audience = f"https://{domain}/api/v2/"
tokens = GetToken(domain, client_id, client_secret=client_secret)
api = connect(domain, client_id=client_id, client_secret=client_secret)


def same(left, right):
    assert left == right, f"{left!r} is not {right!r}"


def entries(page, name):
    return page if isinstance(page, list) else page[name]


def ended(job):
    deadline = time.monotonic() + 60
    while (now := api.job(job["id"]))["status"] == "pending":
        assert time.monotonic() < deadline, f"the job does not end: {now}"
        time.sleep(0.1)
    return now


def upload(users, **options):
    users = users if isinstance(users, str) else json.dumps(users)
    return api.import_users(users, connection_id, **options)


def refused(work, status, message, code=None):
    """The call is refused, and the SDK says so in its own words."""
    try:
        answer = work()
    except Exception as error:
        if not hasattr(error, "status_code"):
            raise
        name, its_status, its_message, its_code = api.refusal(error)
        same(its_status, status)
        same(name, api.name_of_refusal(status))
        assert re.search(message, its_message), its_message
        assert its_code == code if code else its_code in api.no_code, its_code
    else:
        raise AssertionError(f"not refused: {answer!r}")


# -- Tokens --------------------------------------------------------------------------------------------------


@call("GetToken.client_credentials")
def _():
    token = tokens.client_credentials(audience)
    same((token["token_type"], type(token["expires_in"])), ("Bearer", int))


# -- Connections ---------------------------------------------------------------------------------------------

made = {}
for which in ["one", "two", "three"]:

    @call(f"connections.create {which}")
    def _():
        made[which] = api.connections.create(name=which, strategy="auth0", options={"passwordPolicy": "low"})["id"]
        assert re.fullmatch(r"con_\w{16}", made[which]), made


for query, shape in api.lists_of_connections:

    @call(f"connections.list {query}")
    def _():
        page = api.connections.list(**query)
        same(isinstance(page, list), shape == "array")
        take = (query.get("extra_params") or query).get("take")
        same(len(entries(page, "connections")), take or query.get("per_page", 4))
        same("total" in page, shape == "totals")
        same("next" in page, bool(take))


@call("connections.list by name")
def _():
    strategy = ["auth0"] if api.connections.everything is not None else "auth0"
    page = api.connections.list(name="two", strategy=strategy)
    same([one["name"] for one in entries(page, "connections")], ["two"])


if api.connections.everything is None:
    report.absent("connections.list page by page")
else:

    @call("connections.list page by page")
    def _():
        names = [one["name"] for one in api.connections.everything(2)]
        same(names, [connection, "one", "two", "three"])


@call("connections.get")
def _():
    found = api.connections.get(made["one"])
    same((found["name"], found["strategy"], found["options"]["passwordPolicy"]), ("one", "auth0", "low"))


@call("connections.update")
def _():
    changed = api.connections.update(made["one"], options={"passwordPolicy": "fair"})
    same(changed["options"]["passwordPolicy"], "fair")


@call("connections.delete")
def _():
    api.connections.delete(made["three"])


if api.connections.clients is None:
    report.absent("connections.clients.update")
    report.absent("connections.clients.get")
else:

    @call("connections.clients.update")
    def _():
        api.connections.change_clients(made["two"], [{"client_id": client_id, "status": True}])

    @call("connections.clients.get")
    def _():
        same(api.connections.clients(made["two"])["clients"], [{"client_id": client_id}])


# -- Clients and their grants --------------------------------------------------------------------------------


@call("clients.create")
def client():
    return api.clients.create(name="From the SDK", app_type="non_interactive")


@call("clients.get")
def _():
    same(api.clients.get(client["client_id"])["name"], "From the SDK")


@call("clients.list")
def _():
    page = api.clients.list()
    same((page["start"], page["limit"], page["total"], len(page["clients"])), (0, 50, 2, 2))


@call("clients.update")
def _():
    same(api.clients.update(client["client_id"], description="changed")["description"], "changed")


@call("clients.rotate_secret")
def rotated():
    secret = api.clients.rotate_secret(client["client_id"])["client_secret"]
    assert secret != client["client_secret"]
    return secret


@call("client_grants.create")
def grant():
    grant = api.client_grants.create(client_id=client["client_id"], audience=audience, scope=["read:users"])
    assert grant["id"].startswith("cgr_")
    return grant


@call("client_grants.list")
def _():
    page = api.client_grants.list(client_id=client["client_id"])
    same([one["id"] for one in entries(page, "client_grants")], [grant["id"]])


if api.client_grants.get is None:
    report.absent("client_grants.get")
else:

    @call("client_grants.get")
    def _():
        same(api.client_grants.get(grant["id"])["scope"], ["read:users"])


@call("client_grants.update")
def _():
    scope = ["read:users", "update:users"]
    same(api.client_grants.update(grant["id"], scope=scope)["scope"], scope)


# -- Imports -------------------------------------------------------------------------------------------------

ann = {"email": "ann@example.test", "email_verified": True, "user_metadata": {"plan": "free", "team": "\U0001f98a"}}
bob = {"email": "bob@example.test", "email_verified": False, "app_metadata": {"roles": ["admin"]}}


@call("jobs.users_imports.create")
def job():
    users = [ann, bob, {"email": "no address"}]
    job = upload(users, external_id="batch-17", send_completion_email=False)
    same((job["type"], job["status"], job["external_id"]), ("users_import", "pending", "batch-17"))
    return job


@call("jobs.get until it has ended")
def _():
    job_now = ended(job)
    same(job_now["status"], "completed")
    same(job_now["summary"], {"failed": 1, "updated": 0, "inserted": 2, "total": 3})


@call("jobs.errors.get: an array of rows")
def _():
    (row,) = api.job_errors(job["id"])
    same(row["user"]["email"], "no address")
    assert "FORMAT" in row["errors"][0]["code"]


@call("jobs.users_imports.create with upsert")
def _():
    job = ended(upload([{**ann, "user_metadata": {"plan": "paid"}}], upsert=True))
    same(job["summary"], {"failed": 0, "updated": 1, "inserted": 0, "total": 1})


@call(f"jobs.errors.get: {NOTHING}")
def _():
    errors = api.job_errors(ended(upload([bob], upsert=True))["id"])
    assert not errors, errors


@call("jobs.errors.get: the job of a broken file")
def _():
    job = ended(upload("[{]"))
    errors = api.job_errors(job["id"])
    same((job["status"], errors["id"], errors["status"]), ("failed", job["id"], "failed"))
    assert errors["status_details"]


# -- Users ---------------------------------------------------------------------------------------------------

PASSWORD = "Tr0ub4dor&3"


@call("users.list_users_by_email")
def found():
    (user,) = api.users.by_email(ann["email"])
    same((user["email_verified"], user["user_metadata"]), (True, {"plan": "paid"}))
    return user


@call("users.get")
def _():
    same(api.users.get(found["user_id"])["email"], ann["email"])


@call("users.create")
def carl():
    user = api.users.create(connection=connection, email="carl@example.test", password=PASSWORD, name="Carl")
    assert user["user_id"].startswith("auth0|")
    same(user["identities"][0]["connection"], connection)
    return user


@call("users.update")
def _():
    api.users.update(carl["user_id"], user_metadata={"a": 1, "b": 2})
    user = api.users.update(carl["user_id"], user_metadata={"b": None, "c": 3}, name="Carla")
    same((user["name"], user["user_metadata"]), ("Carla", {"a": 1, "c": 3}))


@call("users.list")
def _():
    page = api.users.list(page=0, per_page=2, include_totals=True, sort="email:1")
    same((page["start"], page["limit"], page["length"], page["total"]), (0, 2, 2, 3))
    same([user["email"] for user in page["users"]], [ann["email"], bob["email"]])


@call("users.list with q")
def _():
    q = 'email:"bob@example.test" AND app_metadata.roles:"admin"'
    page = api.users.list(q=q, search_engine="v3", include_totals=True)
    same([user["email"] for user in page["users"]], [bob["email"]])


@call("GetToken.login")
def _():
    token = tokens.login("carl@example.test", PASSWORD, scope="openid", realm=connection)
    keys = AsymmetricSignatureVerifier(f"https://{domain}/.well-known/jwks.json")
    TokenVerifier(keys, f"https://{domain}/", client_id).verify(token["id_token"])


@call("Database.change_password")
def _():
    words = Database(domain, client_id).change_password(ann["email"], connection)
    assert "sent you an email" in words, words


@call("users.logs.list")
def _():
    assert entries(api.users.logs(carl["user_id"], page=0, per_page=10), "logs")


# -- Tickets, verification, exports --------------------------------------------------------------------------


@call("tickets.change_password")
def _():
    ticket = api.password_ticket(user_id=found["user_id"], ttl_sec=60)["ticket"]
    assert ticket.startswith(f"https://{domain}/u/reset-password?ticket="), ticket


@call("tickets.verify_email")
def _():
    ticket = api.email_ticket(user_id=carl["user_id"], ttl_sec=60)["ticket"]
    assert ticket.startswith(f"https://{domain}/u/email-verification?ticket="), ticket


@call("jobs.verification_email.create")
def _():
    job = api.verify_email(user_id=carl["user_id"])
    same(job["type"], "verification_email")
    same(ended(job)["status"], "completed")


def exported(format, **body):
    job = api.export_users(connection_id=connection_id, format=format, limit=10, **body)
    same(job["type"], "users_export")
    job = ended(job)
    same(job["status"], "completed")
    return gzip.decompress(urllib.request.urlopen(job["location"]).read()).decode()


@call("jobs.users_exports.create json, and the file")
def _():
    same(json.loads(exported("json").splitlines()[0])["email"], ann["email"])


@call("jobs.users_exports.create csv, and the file")
def _():
    fields = [{"name": "email"}, {"name": "user_metadata.plan", "export_as": "plan"}]
    assert "ann@example.test" in exported("csv", fields=fields)


# -- Logs and log streams ------------------------------------------------------------------------------------


@call("logs.list")
def event():
    page = api.logs.list(page=0, per_page=5, sort="date:-1")
    same((page["start"], page["limit"], page["length"], len(page["logs"])), (0, 5, 5, 5))
    assert page["total"] > 5
    return page["logs"][4]


@call("logs.get")
def _():
    same(api.logs.get(event["log_id"])["type"], event["type"])


if api.logs.after is None:
    report.absent("logs.list from a checkpoint")
else:

    @call("logs.list from a checkpoint")
    def _():
        page = api.logs.after(event["log_id"], 2)
        same((len(page), page[0]["log_id"] > event["log_id"]), (2, True))


@call("log_streams.create")
def stream():
    return api.log_streams.create(name="ours", type="http", sink={"httpEndpoint": "https://127.0.0.1:9/events"})


@call("log_streams.list")
def _():
    same(api.log_streams.list()[0]["id"], stream["id"])


@call("log_streams.get")
def _():
    same(api.log_streams.get(stream["id"])["name"], "ours")


@call("log_streams.update")
def _():
    same(api.log_streams.update(stream["id"], status="paused")["status"], "paused")


@call("log_streams.delete")
def _():
    api.log_streams.delete(stream["id"])


# -- Refusals, as the SDK's own exceptions -------------------------------------------------------------------

ABSENT = "con_0000000000000000"


@call("400")
def _():
    work = lambda: api.import_users("[]", ABSENT)
    refused(work, 400, r"The connection does not exist\.", "inexistent_connection")


@call("401")
def _():
    nobody = connect(domain, token="no token")
    refused(lambda: nobody.connections.get(connection_id), 401, "Invalid token")


@call("403")
def _():
    narrow = connect(domain, client_id=client["client_id"], client_secret=rotated)
    message = "Insufficient scope, expected any of: read:connections"
    refused(lambda: narrow.connections.get(connection_id), 403, message, "insufficient_scope")


@call("404")
def _():
    refused(lambda: api.connections.get(ABSENT), 404, "The connection does not exist", "inexistent_connection")


@call("409 of a connection")
def _():
    work = lambda: api.connections.create(name="one", strategy="auth0")
    refused(work, 409, "A connection with the same name already exists", "conflict")


@call("409 of a user")
def _():
    work = lambda: api.users.create(connection=connection, email=ann["email"], password=PASSWORD)
    refused(work, 409, r"The user already exists\.", "auth0_idp_error")


@call("413")
def _():
    work = lambda: upload([{**ann, "name": "a" * 600_000}])
    refused(work, 413, "Payload content length greater than maximum allowed: 512000")


@call("429")
def _():
    crowd = [{"email": f"user{i}@crowd.test", "email_verified": False} for i in range(3000)]
    for _ in range(20):
        with ThreadPoolExecutor(6) as pool:
            uploads = [pool.submit(upload, crowd, upsert=True) for _ in range(6)]
        errors = [one.exception() for one in uploads if one.exception()]
        for one in uploads:
            one.exception() or ended(one.result())
        if errors:
            break
    else:
        raise AssertionError("six uploads at once were taken, twenty times")

    def again():
        raise errors[0]

    message = "There are 2 active import users jobs, please wait until some of them are finished and try again"
    refused(again, 429, message, "too_many_requests")


# -- Taking it all back --------------------------------------------------------------------------------------


@call("users.delete")
def _():
    api.users.delete(carl["user_id"])


@call("connections.users.delete_by_email")
def _():
    api.connections.delete_user(connection_id, bob["email"])
    same(api.users.by_email(bob["email"]), [])


@call("client_grants.delete")
def _():
    api.client_grants.delete(grant["id"])


@call("clients.delete")
def _():
    api.clients.delete(client["client_id"])


sys.exit(report.end())
