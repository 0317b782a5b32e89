// What differs between the majors of npm's auth0, and nothing else: the same calls by the same names, each
// giving what the server answered.

import { createReadStream, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/// The SDK installed under this name, as `{ version, token…, management(options) }`.
export async function load(name) {
  const { version } = JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url)));
  const sdk = await import(name);
  // From 7 on the clients for signing in are in the old entry point only.
  const { AuthenticationClient } = sdk.AuthenticationClient ? sdk : await import(`${name}/legacy`);
  const shared = { version, authentication: (options) => new AuthenticationClient(options) };
  return { ...shared, ...(version.startsWith("4.") ? major4(sdk) : fromMajor5(sdk)) };
}

const answer = async (call) => (await call).data;
const response = async (call) => (await call).response;

const major4 = (sdk) => ({
  management(options) {
    const client = new sdk.ManagementClient({ retry: { enabled: false }, ...options });
    const { connections, clients, clientGrants, jobs, users, logs, logStreams, tickets } = client;
    const crud = (resource, one) => ({
      list: (query) => answer(resource.getAll(query)),
      create: (body) => answer(resource.create(body)),
      get: (id) => answer(resource.get({ [one]: id })),
      update: (id, body) => answer(resource.update({ [one]: id }, body)),
      delete: (id) => answer(resource.delete({ [one]: id })),
    });
    return {
      connections: {
        ...crud(connections, "id"),
        async everything(take) {
          const all = [];
          for (let from = undefined, first = true; first || from; first = false) {
            const page = await answer(connections.getAll({ take, ...(from && { from }) }));
            all.push(...page.connections);
            from = page.next;
          }
          return all;
        },
        clients: (id) => answer(connections.getEnabledClients({ id })),
        changeClients: (id, changes) => answer(connections.updateEnabledClients({ id }, changes)),
        deleteUser: (id, email) => answer(connections.deleteUserByEmail({ id, email })),
      },
      clients: {
        ...crud(clients, "client_id"),
        rotateSecret: (client_id) => answer(clients.rotateClientSecret({ client_id })),
      },
      clientGrants: { ...crud(clientGrants, "id"), get: null },
      jobs: {
        import: ({ users, ...rest }) => answer(jobs.importUsers({ users: new Blob([users]), ...rest })),
        get: (id) => answer(jobs.get({ id })),
        errors: (id) => answer(jobs.getErrors({ id })),
        export: (body) => answer(jobs.exportUsers(body)),
        verifyEmail: (body) => answer(jobs.verifyEmail(body)),
      },
      users: {
        ...crud(users, "id"),
        byEmail: (email) => answer(client.usersByEmail.getByEmail({ email })),
        logs: (id, query) => answer(users.getLogs({ id, ...query })),
      },
      logs: { ...crud(logs, "id"), after: (from, take) => answer(logs.getAll({ from, take })) },
      logStreams: { ...crud(logStreams, "id"), list: () => answer(logStreams.getAll()) },
      tickets: {
        changePassword: (body) => answer(tickets.changePassword(body)),
        verifyEmail: (body) => answer(tickets.verifyEmail(body)),
      },
    };
  },
  // Every way this major asks for connections: the query, and what the answer looks like.
  listsOfConnections: [
    [{}, "array"],
    [{ page: 0, per_page: 2 }, "array"],
    [{ page: 0, per_page: 2, include_totals: true }, "totals"],
    [{ take: 2 }, "checkpoint"],
  ],
  refusal({ name, statusCode, error, msg, errorCode }) {
    return { name, statusCode, error, message: msg, errorCode };
  },
  // One class for all; the arguments' own mistakes have others.
  nameOfRefusal: () => "ManagementApiError",
});

const fromMajor5 = (sdk) => ({
  management(options) {
    const client = new sdk.ManagementClient({ maxRetries: 0, ...options });
    const { connections, clients, clientGrants, jobs, users, logs, logStreams, tickets } = client;
    const crud = (resource) => ({
      list: (query) => response(resource.list(query)),
      create: (body) => resource.create(body),
      get: (id) => resource.get(id),
      update: (id, body) => resource.update(id, body),
      delete: (id) => resource.delete(id),
    });
    return {
      connections: {
        ...crud(connections),
        async everything(take) {
          const all = [];
          for await (const connection of await connections.list({ take })) all.push(connection);
          return all;
        },
        clients: (id) => response(connections.clients.get(id)),
        changeClients: (id, changes) => connections.clients.update(id, changes),
        deleteUser: (id, email) => connections.users.deleteByEmail(id, { email }),
      },
      clients: { ...crud(clients), rotateSecret: (id) => clients.rotateSecret(id) },
      clientGrants: crud(clientGrants),
      jobs: {
        import: ({ users, ...rest }) => jobs.usersImports.create({ users: createReadStream(file(users)), ...rest }),
        get: (id) => jobs.get(id),
        errors: (id) => jobs.errors.get(id),
        export: (body) => jobs.usersExports.create(body),
        verifyEmail: (body) => jobs.verificationEmail.create(body),
      },
      users: {
        ...crud(users),
        byEmail: (email) => users.listUsersByEmail({ email }),
        logs: (id, query) => response(users.logs.list(id, query)),
      },
      logs: { ...crud(logs), after: null },
      logStreams: { ...crud(logStreams), list: () => logStreams.list() },
      tickets: {
        changePassword: (body) => tickets.changePassword(body),
        verifyEmail: (body) => tickets.verifyEmail(body),
      },
    };
  },
  listsOfConnections: [
    [{}, "checkpoint"],
    [{ take: 2 }, "checkpoint"],
  ],
  refusal({ constructor, statusCode, body }) {
    return { name: constructor.name, statusCode, ...body };
  },
  nameOfRefusal: (status) =>
    ({
      400: "BadRequestError",
      401: "UnauthorizedError",
      403: "ForbiddenError",
      404: "NotFoundError",
      409: "ConflictError",
      413: "ContentTooLargeError",
      429: "TooManyRequestsError",
    })[status],
});

function file(text) {
  const path = join(mkdtempSync(join(tmpdir(), "intake-sdk-")), "users.json");
  writeFileSync(path, text);
  return path;
}
