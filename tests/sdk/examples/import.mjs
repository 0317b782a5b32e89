// Two users into a throwaway server, with the newest auth0 from npm:  node import.mjs
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, readFileSync } from "node:fs";
import https from "node:https";
import { createInterface } from "node:readline";
import { ManagementClient } from "auth0";

if (process.env.SERVER) await test(JSON.parse(process.env.SERVER));
else {
  const start = performance.now();
  const intake = spawn("intake", ["serve", "--ephemeral", "--tls"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface(intake.stdout), "line");
  const { url, ca_file } = JSON.parse(line);
  await once(https.get(`${url}/.well-known/jwks.json`, { ca: readFileSync(ca_file), agent: false }), "response");
  console.log(`first answer ${Math.round(performance.now() - start)} ms after the start of intake`);
  // Node reads NODE_EXTRA_CA_CERTS when it starts: the test is a process of its own, as with most runners.
  const env = { ...process.env, SERVER: line, NODE_EXTRA_CA_CERTS: ca_file };
  [process.exitCode] = await once(spawn(process.execPath, process.argv.slice(1), { env, stdio: "inherit" }), "exit");
  intake.kill();
}

async function test({ domain, client_id: clientId, client_secret: clientSecret, connection_id }) {
  const auth0 = new ManagementClient({ domain, clientId, clientSecret });
  const users = createReadStream(new URL("users.json", import.meta.url));
  let job = await auth0.jobs.usersImports.create({ users, connection_id });
  while (job.status === "pending") job = await auth0.jobs.get(job.id);
  assert.deepEqual(job.summary, { failed: 0, updated: 0, inserted: 2, total: 2 });
}
