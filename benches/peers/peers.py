#!/usr/bin/env python3
"""What users would pick instead of intake, timed with the same rows.

    benches/peers/peers.py install          Debian's postgresql, sqlite3; duckdb into target/peers (as root)
    benches/peers/peers.py measure FILE     then a peer's name per line on stdin, its time per line on stdout

`cargo bench --bench end_to_end -- --only peers` is who calls the second, in turns with intake.

Each peer gets an empty table with a primary key on the id and unique keys on the address and the user name
(DuckDB: a primary key on the address alone), and keeps the metadata as text, which costs it least. All commit
durably: Postgres with its defaults (fsync, synchronous_commit), SQLite with synchronous=FULL. Tables are made,
and Postgres's checkpoint is done, before the clock starts. The scripts run in this process: a start of Python
is not counted.

Postgres is this script's own, in a temporary directory, on a Unix socket; it is stopped when stdin ends. As root
it runs as the user postgres.
"""

import csv
import glob
import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = os.path.join(ROOT, "target", "peers", "bin", "python3")
HOW = {
    "postgres": "apt-get install postgresql (or benches/peers/peers.py install)",
    "duckdb": "python3 -m venv target/peers && target/peers/bin/pip install duckdb "
    "(or benches/peers/peers.py install)",
}
TABLE = """CREATE TABLE users (
    id text PRIMARY KEY, email text NOT NULL UNIQUE, email_verified boolean NOT NULL, username text UNIQUE,
    app_metadata text, user_metadata text)"""


def postgres_programs():
    """The directory of the newest Postgres."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    found = found[-1] if found else shutil.which("initdb")
    return os.path.dirname(os.path.realpath(found)) if found else None


def duckdb_module():
    try:
        import duckdb
    except ImportError:
        return None
    return duckdb


def install():
    subprocess.run(["apt-get", "install", "-y", "postgresql", "sqlite3", "python3-venv"], check=True)
    subprocess.run([sys.executable, "-m", "venv", os.path.join(ROOT, "target", "peers")], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "duckdb"], check=True)


def records(file):
    """Rows of the file as tuples in the order of the columns; the script's part of the work."""
    with open(file) as text:
        rows = json.load(text)
    dump = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    for row in rows:
        yield (
            uuid.uuid4().hex, row["email"], row["email_verified"], row.get("username"),
            dump(row["app_metadata"]), dump(row["user_metadata"]),
        )


class Postgres:
    """A server of its own."""

    def __init__(self, programs, directory, file):
        self.programs, self.directory, self.file = programs, directory, file
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres")
        self.data = os.path.join(directory, "data")
        self.ready = os.path.join(directory, "ready.csv")
        self.run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "-D", self.data)
        options = f"-c listen_addresses='' -c unix_socket_directories='{directory}'"
        log = os.path.join(directory, "log")
        self.run("pg_ctl", "start", "--wait", "-D", self.data, "-l", log, "-o", options)
        with open(self.ready, "w", newline="") as to:
            csv.writer(to).writerows(records(file))

    def run(self, program, *arguments):
        command = [os.path.join(self.programs, program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", self.user, "--", *command]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{program}: {done.stdout}{done.stderr}")

    def psql(self, *commands):
        """A psql at work on these commands."""
        asked = [part for command in commands for part in ("-c", command)]
        command = ["psql", "-h", self.directory, "-U", self.user, "-d", "postgres", "-X", "-q", "-A", "-t"]
        command += ["-v", "ON_ERROR_STOP=1", *asked]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *commands):
        answer, _ = self.psql(*commands).communicate()
        return answer.strip()

    def fresh(self):
        self.ask("SET client_min_messages = warning", "DROP TABLE IF EXISTS users", TABLE, "CHECKPOINT")

    def count(self):
        return int(self.ask("SELECT count(*) FROM users"))

    def copy(self):
        self.ask(f"COPY users FROM '{self.ready}' (FORMAT csv)")

    def script(self):
        loader = self.psql("COPY users FROM STDIN (FORMAT csv)")
        csv.writer(loader.stdin).writerows(records(self.file))
        loader.stdin.close()
        if loader.wait() != 0:
            raise SystemExit("psql failed")

    def stop(self):
        self.run("pg_ctl", "stop", "--mode=fast", "-D", self.data)


class Sqlite:
    def __init__(self, directory, file):
        self.path, self.file = os.path.join(directory, "users.sqlite"), file

    def fresh(self):
        remove(self.path, "-journal", "-wal", "-shm")
        self.database = sqlite3.connect(self.path, isolation_level=None)
        self.database.execute("PRAGMA synchronous=FULL")
        self.database.execute(TABLE)

    def script(self):
        self.database.execute("BEGIN")
        self.database.executemany("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?)", records(self.file))
        self.database.execute("COMMIT")

    def count(self):
        count = self.database.execute("SELECT count(*) FROM users").fetchone()[0]
        self.database.close()
        return count


class Duckdb:
    def __init__(self, duckdb, directory, file):
        self.duckdb, self.path, self.file = duckdb, os.path.join(directory, "users.duckdb"), file

    def fresh(self):
        remove(self.path, ".wal")
        self.database = self.duckdb.connect(self.path)
        self.database.execute(
            "CREATE TABLE users (email VARCHAR PRIMARY KEY, email_verified BOOLEAN, username VARCHAR, "
            "app_metadata VARCHAR, user_metadata VARCHAR)"
        )

    def script(self):
        self.database.execute(
            "INSERT INTO users SELECT email, email_verified, username, app_metadata, user_metadata FROM "
            "read_json(?, format='array', columns={email: 'VARCHAR', email_verified: 'BOOLEAN', "
            "username: 'VARCHAR', app_metadata: 'JSON', user_metadata: 'JSON'})",
            [self.file],
        )

    def count(self):
        count = self.database.execute("SELECT count(*) FROM users").fetchone()[0]
        self.database.close()
        return count


def remove(path, *endings):
    for ending in ["", *endings]:
        if os.path.exists(path + ending):
            os.remove(path + ending)


def measure(file):
    there, missing, stop = {}, {}, []
    with tempfile.TemporaryDirectory(prefix="intake-peers-") as directory:
        try:
            sqlite = Sqlite(directory, file)
            there["sqlite-script"] = (sqlite, sqlite.script, f"SQLite {sqlite3.sqlite_version}")
            if module := duckdb_module():
                duckdb = Duckdb(module, directory, file)
                there["duckdb"] = (duckdb, duckdb.script, f"DuckDB {module.__version__}")
            else:
                missing["duckdb"] = HOW["duckdb"]
            if (programs := postgres_programs()) and shutil.which("psql"):
                os.chmod(directory, 0o755)
                home = os.path.join(directory, "postgres")
                os.mkdir(home)
                postgres = Postgres(programs, home, file)
                stop.append(postgres.stop)
                version = f"PostgreSQL {postgres.ask('SHOW server_version')}"
                there["postgres-copy"] = (postgres, postgres.copy, version)
                there["postgres-script"] = (postgres, postgres.script, version)
            else:
                missing["postgres"] = HOW["postgres"]
            versions = {name: version for name, (_, _, version) in there.items()}
            print(json.dumps({"there": versions, "missing": missing}), flush=True)
            for name in sys.stdin:
                peer, work, _ = there[name.strip()]
                peer.fresh()
                os.sync()
                time.sleep(0.1)
                begun = time.perf_counter()
                work()
                seconds = time.perf_counter() - begun
                print(json.dumps({"seconds": seconds, "rows": peer.count()}), flush=True)
        finally:
            for each in stop:
                each()


def main():
    # A wish to stop is an end like any other: what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    match sys.argv[1:]:
        case ["install"]:
            install()
        case ["measure", file] if os.path.exists(PYTHON) and sys.executable != PYTHON:
            os.execv(PYTHON, [PYTHON, __file__, "measure", file])
        case ["measure", file]:
            measure(os.path.abspath(file))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
