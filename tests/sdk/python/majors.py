"""What differs between the majors of auth0-python, and nothing else: the same calls by the same names, each
giving what the server answered as plain dictionaries; None stands for a call that a major does not have."""

import io
from importlib.metadata import version

VERSION = version("auth0-python")
MAJOR = int(VERSION.split(".")[0])
# 5 takes an answer without a body for a broken one, whoever sends it; 6 gives None.
NOTHING = "nothing (204), which 5 raises as an ApiError" if MAJOR == 5 else "nothing (204)"


def connect(domain, token=None, client_id=None, client_secret=None):
    """A management client that does not try again what is refused."""
    if MAJOR == 4:
        return Major4(domain, token or client_token(domain, client_id, client_secret))
    return FromMajor5(domain, token, client_id, client_secret)


def client_token(domain, client_id, client_secret):
    from auth0.authentication import GetToken

    tokens = GetToken(domain, client_id, client_secret=client_secret)
    return tokens.client_credentials(f"https://{domain}/api/v2/")["access_token"]


class Major4:
    # Every way this major asks for connections, and what the answer looks like.
    lists_of_connections = [
        ({}, "array"),
        ({"page": 0, "per_page": 2}, "array"),
        ({"page": 0, "per_page": 2, "extra_params": {"include_totals": "true"}}, "totals"),
        ({"extra_params": {"take": 2}}, "checkpoint"),
    ]

    def __init__(self, domain, token):
        from auth0.management import Auth0
        from auth0.rest import RestClientOptions

        auth0 = Auth0(domain, token, rest_options=RestClientOptions(retries=0, timeout=60))
        self.connections = Resource4(auth0.connections)
        self.connections.list = auth0.connections.all
        self.connections.clients = self.connections.change_clients = self.connections.everything = None
        self.connections.delete_user = auth0.connections.delete_user_by_email
        self.clients = Resource4(auth0.clients)
        self.clients.list = lambda: auth0.clients.all(page=0, per_page=50, extra_params={"include_totals": "true"})
        self.clients.rotate_secret = auth0.clients.rotate_secret
        self.client_grants = Resource4(auth0.client_grants)
        self.client_grants.list = lambda client_id: auth0.client_grants.all(client_id=client_id)
        self.import_users = lambda users, connection_id, **rest: auth0.jobs.import_users(
            connection_id, io.BytesIO(users.encode()), **rest
        )
        self.job = auth0.jobs.get
        self.job_errors = auth0.jobs.get_failed_job
        self.export_users = lambda **body: auth0.jobs.export_users(body)
        self.verify_email = lambda **body: auth0.jobs.send_verification_email(body)
        self.users = Resource4(auth0.users)
        self.users.list = auth0.users.list
        self.users.by_email = auth0.users_by_email.search_users_by_email
        self.users.logs = auth0.users.get_log_events
        self.logs = Resource4(auth0.logs)
        self.logs.list = lambda **query: auth0.logs.search(include_totals=True, **query)
        self.logs.after = lambda event, take: auth0.logs.search(from_param=event, take=take)
        self.log_streams = Resource4(auth0.log_streams)
        self.log_streams.list = auth0.log_streams.list
        self.password_ticket = lambda **body: auth0.tickets.create_pswd_change(body)
        self.email_ticket = lambda **body: auth0.tickets.create_email_verification(body)

    @staticmethod
    def refusal(error):
        """Name of the exception's class, status, message and code."""
        return type(error).__name__, error.status_code, error.message, error.error_code

    @staticmethod
    def name_of_refusal(status):
        return "RateLimitError" if status == 429 else "Auth0Error"

    # Where the server sends no code, this major takes the name of the status for one.
    no_code = ("Unauthorized", "Request Entity Too Large")


class Resource4:
    def __init__(self, resource):
        self.create = lambda **body: resource.create(body)
        self.get = getattr(resource, "get", None)
        self.update = lambda id, **body: resource.update(id, body)
        self.delete = lambda id: resource.delete(id)


class FromMajor5:
    lists_of_connections = [({}, "checkpoint"), ({"take": 2}, "checkpoint")]
    no_code = (None,)

    def __init__(self, domain, token, client_id, client_secret):
        from auth0.management import ManagementClient

        auth0 = ManagementClient(domain=domain, token=token, client_id=client_id, client_secret=client_secret)
        self.connections = Resource5(auth0.connections)
        self.connections.everything = lambda take: [plain(one) for one in auth0.connections.list(take=take)]
        self.connections.clients = lambda id: plain(auth0.connections.clients.get(id).response)
        self.connections.change_clients = lambda id, changes: auth0.connections.clients.update(id, request=changes)
        self.connections.delete_user = lambda id, email: auth0.connections.users.delete_by_email(id, email=email)
        self.clients = Resource5(auth0.clients)
        self.clients.list = lambda: plain(auth0.clients.list(page=0, per_page=50, include_totals=True).response)
        self.clients.rotate_secret = lambda id: plain(auth0.clients.rotate_secret(id))
        self.client_grants = Resource5(auth0.client_grants)
        self.import_users = lambda users, connection_id, **rest: plain(
            auth0.jobs.users_imports.create(
                users=("users.json", users.encode()), connection_id=connection_id, request_options=ONCE, **rest
            )
        )
        self.job = lambda id: plain(auth0.jobs.get(id))
        self.job_errors = lambda id: job_errors(auth0, id)
        self.export_users = lambda **body: plain(auth0.jobs.users_exports.create(**body))
        self.verify_email = lambda **body: plain(auth0.jobs.verification_email.create(**body))
        self.users = Resource5(auth0.users)
        self.users.by_email = lambda email: plain(auth0.users.list_users_by_email(email=email))
        self.users.logs = lambda id, **query: plain(auth0.users.logs.list(id, **query).response)
        self.logs = Resource5(auth0.logs)
        self.logs.list = lambda **query: plain(auth0.logs.list(include_totals=True, **query).response)
        self.logs.after = None
        self.log_streams = Resource5(auth0.log_streams)
        self.log_streams.list = lambda: plain(auth0.log_streams.list())
        self.log_streams.create = lambda **body: plain(auth0.log_streams.create(request=body))
        self.password_ticket = lambda **body: plain(auth0.tickets.change_password(**body))
        self.email_ticket = lambda **body: plain(auth0.tickets.verify_email(**body))

    @staticmethod
    def refusal(error):
        """Name of the exception's class, status, message and code."""
        body = plain(error.body)
        return type(error).__name__, error.status_code, body["message"], body.get("errorCode")

    @staticmethod
    def name_of_refusal(status):
        return {
            400: "BadRequestError",
            401: "UnauthorizedError",
            403: "ForbiddenError",
            404: "NotFoundError",
            409: "ConflictError",
            413: "ContentTooLargeError",
            429: "TooManyRequestsError",
        }[status]


# From 5 on the SDK tries again by itself on 408, 409, 429 and 5xx.
ONCE = {"max_retries": 0}


class Resource5:
    def __init__(self, resource):
        self.list = lambda **query: plain(resource.list(**query).response)
        self.create = lambda **body: plain(resource.create(**body, request_options=ONCE))
        self.get = lambda id: plain(resource.get(id))
        self.update = lambda id, **body: plain(resource.update(id, **body))
        self.delete = lambda id: resource.delete(id)


def job_errors(auth0, id):
    try:
        return plain(auth0.jobs.errors.get(id))
    except Exception as error:
        if MAJOR == 5 and getattr(error, "status_code", None) == 204:
            return None
        raise


def plain(answer):
    """Typed answers as the dictionaries they were made from."""
    if isinstance(answer, list):
        return [plain(one) for one in answer]
    if hasattr(answer, "model_dump"):
        return answer.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return answer
