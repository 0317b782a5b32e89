// A published auth0 from npm drives a server: node scenario.mjs <name in package.json>, with the line that
// `intake serve --ephemeral --tls` prints on standard input.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { load } from "./majors.mjs";
import { Report } from "./report.mjs";

const name = process.argv[2];
const server = JSON.parse(readFileSync(0));
const sdk = await load(name);
const report = new Report(`auth0 ${sdk.version}`);
const call = (title, work) => report.call(title, work);

const { domain, connection_id, connection } = server;
const credentials = { domain, clientId: server.client_id, clientSecret: server.client_secret };
const api = sdk.management(credentials);
const authentication = sdk.authentication(credentials);
const audience = `https://${domain}/api/v2/`;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function ended({ id }) {
  for (let tries = 0; tries < 600; tries += 1) {
    const job = await api.jobs.get(id);
    if (job.status !== "pending") return job;
    await pause(100);
  }
  assert.fail(`job ${id} does not end`);
}

const upload = (users, options) =>
  api.jobs.import({ users: typeof users === "string" ? users : JSON.stringify(users), connection_id, ...options });

/// The call is refused, and the SDK says so in its own words.
async function refused(work, statusCode, expected) {
  const error = await work().then(
    (answer) => assert.fail(`not refused: ${JSON.stringify(answer)}`),
    (error) => error,
  );
  const { name, message, ...refusal } = sdk.refusal(error);
  assert.equal(refusal.statusCode, statusCode, error.message);
  assert.equal(name, sdk.nameOfRefusal(statusCode));
  assert.match(message, expected.message);
  assert.equal(refusal.errorCode, expected.errorCode);
}

// -- Tokens ---------------------------------------------------------------------------------------------

await call("oauth.clientCredentialsGrant", async () => {
  const { data } = await authentication.oauth.clientCredentialsGrant({ audience });
  assert.equal(data.token_type, "Bearer");
  assert.equal(typeof data.expires_in, "number");
});

// -- Connections ----------------------------------------------------------------------------------------

const made = [];
for (const which of ["one", "two", "three"]) {
  await call(`connections.create ${which}`, async () => {
    made.push(await api.connections.create({ name: which, strategy: "auth0", options: { passwordPolicy: "low" } }));
    assert.match(made.at(-1).id, /^con_\w{16}$/);
  });
}
for (const [query, shape] of sdk.listsOfConnections) {
  await call(`connections.list ${JSON.stringify(query)}`, async () => {
    const list = await api.connections.list(query);
    assert.equal(Array.isArray(list), shape === "array");
    const connections = Array.isArray(list) ? list : list.connections;
    assert.equal(connections.length, query.take ?? query.per_page ?? 4);
    assert.equal(list.total, shape === "totals" ? 4 : undefined);
    assert.equal(typeof list.next, query.take ? "string" : "undefined");
  });
}
await call("connections.list by name", async () => {
  const list = await api.connections.list({ name: "two", strategy: ["auth0"] });
  assert.deepEqual((list.connections ?? list).map(({ name }) => name), ["two"]);
});
await call("connections.list page by page", async () => {
  const names = (await api.connections.everything(2)).map(({ name }) => name);
  assert.deepEqual(names, [connection, "one", "two", "three"]);
});
await call("connections.get", async () => {
  const { name, strategy, options } = await api.connections.get(made[0].id);
  assert.deepEqual([name, strategy, options.passwordPolicy], ["one", "auth0", "low"]);
});
await call("connections.update", async () => {
  const { options } = await api.connections.update(made[0].id, { options: { passwordPolicy: "fair" } });
  assert.equal(options.passwordPolicy, "fair");
});
await call("connections.delete", () => api.connections.delete(made[2].id));
await call("connections.clients.update", () =>
  api.connections.changeClients(made[1].id, [{ client_id: server.client_id, status: true }]),
);
await call("connections.clients.get", async () => {
  const { clients } = await api.connections.clients(made[1].id);
  assert.deepEqual(clients, [{ client_id: server.client_id }]);
});

// -- Clients and their grants ---------------------------------------------------------------------------

const client = await call("clients.create", () => api.clients.create({ name: "From the SDK", app_type: "non_interactive" }));
await call("clients.get", async () => assert.equal((await api.clients.get(client.client_id)).name, "From the SDK"));
await call("clients.list", async () => {
  const list = await api.clients.list({ page: 0, per_page: 50, include_totals: true });
  assert.deepEqual([list.start, list.limit, list.total, list.clients.length], [0, 50, 2, 2]);
});
await call("clients.update", async () => {
  const { description } = await api.clients.update(client.client_id, { description: "changed" });
  assert.equal(description, "changed");
});
const rotated = await call("clients.rotateSecret", async () => {
  const { client_secret } = await api.clients.rotateSecret(client.client_id);
  assert.notEqual(client_secret, client.client_secret);
  return client_secret;
});
const grant = await call("clientGrants.create", async () => {
  const grant = await api.clientGrants.create({ client_id: client.client_id, audience, scope: ["read:users"] });
  assert.match(grant.id, /^cgr_/);
  return grant;
});
await call("clientGrants.list", async () => {
  const list = await api.clientGrants.list({ client_id: client.client_id });
  assert.deepEqual((list.client_grants ?? list).map(({ id }) => id), [grant.id]);
});
if (api.clientGrants.get) {
  await call("clientGrants.get", async () => assert.deepEqual((await api.clientGrants.get(grant.id)).scope, ["read:users"]));
} else report.absent("clientGrants.get");
await call("clientGrants.update", async () => {
  const { scope } = await api.clientGrants.update(grant.id, { scope: ["read:users", "update:users"] });
  assert.deepEqual(scope, ["read:users", "update:users"]);
});

// -- Imports --------------------------------------------------------------------------------------------

const ann = { email: "ann@example.test", email_verified: true, user_metadata: { plan: "free", team: "\u{1f98a}" } };
const bob = { email: "bob@example.test", email_verified: false, app_metadata: { roles: ["admin"] } };

const job = await call("jobs.usersImports.create", async () => {
  const job = await upload([ann, bob, { email: "no address" }], { external_id: "batch-17", send_completion_email: false });
  const { type, status, external_id } = job;
  assert.deepEqual([type, status, external_id], ["users_import", "pending", "batch-17"]);
  return job;
});
await call("jobs.get until it has ended", async () => {
  const { status, summary } = await ended(job);
  assert.deepEqual([status, summary], ["completed", { failed: 1, updated: 0, inserted: 2, total: 3 }]);
});
await call("jobs.errors.get: an array of rows", async () => {
  const [row, ...more] = await api.jobs.errors(job.id);
  assert.equal(more.length, 0);
  assert.equal(row.user.email, "no address");
  assert.match(row.errors[0].code, /FORMAT/);
});
await call("jobs.usersImports.create with upsert", async () => {
  const { summary } = await ended(await upload([{ ...ann, user_metadata: { plan: "paid" } }], { upsert: true }));
  assert.deepEqual(summary, { failed: 0, updated: 1, inserted: 0, total: 1 });
});
await call("jobs.errors.get: nothing (204)", async () => {
  const job = await ended(await upload([bob], { upsert: true }));
  const errors = await api.jobs.errors(job.id);
  assert.ok(errors === undefined || errors === null || errors === "" || errors.length === 0, JSON.stringify(errors));
});
await call("jobs.errors.get: the job of a broken file", async () => {
  const job = await ended(await upload("[{]"));
  assert.equal(job.status, "failed");
  const { id, status, status_details } = await api.jobs.errors(job.id);
  assert.deepEqual([id, status], [job.id, "failed"]);
  assert.ok(status_details);
});

// -- Users ----------------------------------------------------------------------------------------------

const found = await call("users.listUsersByEmail", async () => {
  const [user] = await api.users.byEmail(ann.email);
  assert.deepEqual([user.email_verified, user.user_metadata], [true, { plan: "paid" }]);
  return user;
});
await call("users.get", async () => assert.equal((await api.users.get(found.user_id)).email, ann.email));
const carl = await call("users.create", async () => {
  const user = await api.users.create({ connection, email: "carl@example.test", password: "Tr0ub4dor&3", name: "Carl" });
  assert.match(user.user_id, /^auth0\|/);
  assert.equal(user.identities[0].connection, connection);
  return user;
});
await call("users.update", async () => {
  await api.users.update(carl.user_id, { user_metadata: { a: 1, b: 2 } });
  const user = await api.users.update(carl.user_id, { user_metadata: { b: null, c: 3 }, name: "Carla" });
  assert.deepEqual([user.name, user.user_metadata], ["Carla", { a: 1, c: 3 }]);
});
await call("users.list", async () => {
  const page = await api.users.list({ page: 0, per_page: 2, include_totals: true, sort: "email:1" });
  assert.deepEqual([page.start, page.limit, page.length, page.total], [0, 2, 2, 3]);
  assert.deepEqual(page.users.map(({ email }) => email), [ann.email, bob.email]);
});
await call("users.list with q", async () => {
  const q = 'email:"bob@example.test" AND app_metadata.roles:"admin"';
  const page = await api.users.list({ q, search_engine: "v3", include_totals: true });
  assert.deepEqual(page.users.map(({ email }) => email), [bob.email]);
});
await call("oauth.passwordGrant", async () => {
  const user = { username: "carl@example.test", password: "Tr0ub4dor&3", realm: connection };
  const { data } = await authentication.oauth.passwordGrant({ ...user, scope: "openid" });
  assert.ok(data.access_token && data.id_token);
});
await call("database.changePassword", async () => {
  const { data } = await authentication.database.changePassword({ email: ann.email, connection });
  assert.match(data, /sent you an email/);
});
await call("users.logs.list", async () => {
  const list = await api.users.logs(carl.user_id, { page: 0, per_page: 10 });
  assert.ok((list.logs ?? list).length > 0);
});

// -- Tickets, verification, exports ---------------------------------------------------------------------

await call("tickets.changePassword", async () => {
  const { ticket } = await api.tickets.changePassword({ user_id: found.user_id, ttl_sec: 60 });
  assert.ok(ticket.startsWith(`https://${domain}/u/reset-password?ticket=`), ticket);
});
await call("tickets.verifyEmail", async () => {
  const { ticket } = await api.tickets.verifyEmail({ user_id: carl.user_id, ttl_sec: 60 });
  assert.ok(ticket.startsWith(`https://${domain}/u/email-verification?ticket=`), ticket);
});
await call("jobs.verificationEmail.create", async () => {
  const job = await api.jobs.verifyEmail({ user_id: carl.user_id });
  assert.equal(job.type, "verification_email");
  assert.equal((await ended(job)).status, "completed");
});
for (const [format, sees] of [
  ["json", (text) => assert.equal(JSON.parse(text.trim().split("\n")[0]).email, ann.email)],
  ["csv", (text) => assert.match(text, /ann@example\.test/)],
]) {
  await call(`jobs.usersExports.create ${format}, and the file`, async () => {
    const fields = [{ name: "email" }, { name: "user_metadata.plan", export_as: "plan" }];
    const job = await api.jobs.export({ connection_id, format, limit: 10, ...(format === "csv" && { fields }) });
    assert.equal(job.type, "users_export");
    const { status, location } = await ended(job);
    assert.equal(status, "completed");
    const file = await fetch(location);
    assert.equal(file.status, 200);
    sees(gunzipSync(Buffer.from(await file.arrayBuffer())).toString());
  });
}

// -- Logs and log streams -------------------------------------------------------------------------------

const event = await call("logs.list", async () => {
  const page = await api.logs.list({ page: 0, per_page: 5, include_totals: true, sort: "date:-1" });
  assert.deepEqual([page.start, page.limit, page.length, page.logs.length], [0, 5, 5, 5]);
  assert.ok(page.total > 5);
  return page.logs[4];
});
await call("logs.get", async () => assert.equal((await api.logs.get(event.log_id)).type, event.type));
if (api.logs.after) {
  await call("logs.list from a checkpoint", async () => {
    const list = await api.logs.after(event.log_id, 2);
    assert.deepEqual([list.length, list[0].log_id > event.log_id], [2, true]);
  });
} else report.absent("logs.list from a checkpoint");
const stream = await call("logStreams.create", () =>
  api.logStreams.create({ name: "ours", type: "http", sink: { httpEndpoint: "https://127.0.0.1:9/events" } }),
);
await call("logStreams.list", async () => assert.equal((await api.logStreams.list())[0].id, stream.id));
await call("logStreams.get", async () => assert.equal((await api.logStreams.get(stream.id)).name, "ours"));
await call("logStreams.update", async () => {
  assert.equal((await api.logStreams.update(stream.id, { status: "paused" })).status, "paused");
});
await call("logStreams.delete", () => api.logStreams.delete(stream.id));

// -- Refusals, as the SDK's own exceptions --------------------------------------------------------------

const narrow = sdk.management({ domain, clientId: client?.client_id, clientSecret: rotated });
const nobody = sdk.management({ domain, token: "no token" });
const absent = "con_0000000000000000";

await call("400", () =>
  refused(() => api.jobs.import({ users: "[]", connection_id: absent }), 400, {
    message: /The connection does not exist\./,
    errorCode: "inexistent_connection",
  }),
);
await call("401", () => refused(() => nobody.connections.get(connection_id), 401, { message: /Invalid token/ }));
await call("403", () =>
  refused(() => narrow.connections.get(connection_id), 403, {
    message: /Insufficient scope, expected any of: read:connections/,
    errorCode: "insufficient_scope",
  }),
);
await call("404", () =>
  refused(() => api.connections.get(absent), 404, {
    message: /The connection does not exist/,
    errorCode: "inexistent_connection",
  }),
);
await call("409 of a connection", () =>
  refused(() => api.connections.create({ name: "one", strategy: "auth0" }), 409, {
    message: /A connection with the same name already exists/,
    errorCode: "conflict",
  }),
);
await call("409 of a user", () =>
  refused(() => api.users.create({ connection, email: ann.email, password: "Tr0ub4dor&3" }), 409, {
    message: /The user already exists\./,
    errorCode: "auth0_idp_error",
  }),
);
await call("413", () =>
  refused(() => upload(JSON.stringify([{ ...ann, name: "a".repeat(600_000) }])), 413, {
    message: /Payload content length greater than maximum allowed: 512000/,
  }),
);
await call("429", async () => {
  const crowd = Array.from({ length: 3000 }, (_, i) => ({ email: `user${i}@crowd.test`, email_verified: false }));
  for (let tries = 0; tries < 20; tries += 1) {
    const uploads = await Promise.allSettled(Array.from({ length: 6 }, () => upload(crowd, { upsert: true })));
    const error = uploads.find(({ status }) => status === "rejected")?.reason;
    for (const { value } of uploads) if (value) await ended(value);
    if (!error) continue;
    return refused(() => Promise.reject(error), 429, {
      message: /There are 2 active import users jobs, please wait until some of them are finished and try again/,
      errorCode: "too_many_requests",
    });
  }
  assert.fail("six uploads at once were taken, twenty times");
});

// -- Taking it all back ---------------------------------------------------------------------------------

await call("users.delete", () => api.users.delete(carl.user_id));
await call("connections.users.deleteByEmail", async () => {
  await api.connections.deleteUser(connection_id, bob.email);
  assert.deepEqual(await api.users.byEmail(bob.email), []);
});
await call("clientGrants.delete", () => api.clientGrants.delete(grant.id));
await call("clients.delete", () => api.clients.delete(client.client_id));

report.end();
