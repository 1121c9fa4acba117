// An application and a device as the vendor's JavaScript SDKs are on the wire: the libraries they are built on, their
// options, and what they ask for and in which order. The application comes over WebSocket, the device over TCP.
//
// Reads from the environment where to go and as whom; writes one JSON object per step.

import { webcrypto } from "node:crypto";
import dns from "node:dns";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { decode as unpack, encode as pack } from "@msgpack/msgpack";
import * as tcp from "nats";
import { decode as decodeToken } from "nats-jwt";
import * as web from "nats.ws";
import WebSocket from "ws";

const { APP, NATS, NAMED, WEBSOCKET } = process.env;
const MODE = "production";
const TIMEOUT = 20_000;

// What browsers and newer versions of Node.js have.
globalThis.WebSocket ??= WebSocket;
globalThis.crypto ??= webcrypto;

// The name leads here, as it would by the hosts file of a user's machine.
const lookup = dns.lookup;
dns.lookup = (host, ...rest) => lookup(host === NAMED ? "127.0.0.1" : host, ...rest);

const tell = (step, said) => console.log(JSON.stringify({ step, ...said }));

async function connected(library, server, { api_key, secret }) {
  const creds =
    `-----BEGIN NATS USER JWT-----\n${api_key}\n------END NATS USER JWT------\n\n` +
    `-----BEGIN USER NKEY SEED-----\n${secret}\n------END USER NKEY SEED------\n`;
  const client = await library.connect({
    servers: [server],
    noEcho: true,
    reconnect: true,
    reconnectTimeWait: 500,
    maxPingOut: 2,
    pingInterval: 5_000,
    authenticator: library.credsAuthenticator(new TextEncoder().encode(creds)),
    token: api_key,
  });
  const codec = library.JSONCodec();
  const { org_id: org, api_key_id: id } = decodeToken(api_key).nats.org_data; // checks its signature
  const ask = async (subject, body) =>
    (await client.request(subject, codec.encode(body), { timeout: TIMEOUT })).json();
  return { client, org, id, ask, stream: await jetstream(client) };
}

// The next message of a live stream, once `happens` has made one.
async function heard(stream, name, subject, happens) {
  const consumer = await stream.consumers.get(name, {
    name: crypto.randomUUID(),
    filter_subjects: subject,
    replay_policy: "instant",
    opt_start_time: new Date(),
    ack_policy: "explicit",
    delivery_policy: "new",
  });
  let done;
  const coming = new Promise((resolve) => (done = resolve));
  await consumer.consume({
    callback: (message) => {
      message.working();
      message.ack();
      done({ subject: message.subject, data: unpack(message.data) });
    },
  });
  await happens();
  const told = await coming;
  await consumer.delete();
  return told;
}

const app = await connected(web, WEBSOCKET, JSON.parse(APP));
const bucket = await new Kvm(app.stream).open(app.org);
tell("bucket", { name: (await bucket.status()).bucket });

const api = (operation, body) => app.ask(`api.iot.devices.${app.org}.${operation}`, body);
tell("list", await api("list", {}));
const schema = { temperature: { type: "number", unit: "Celsius", unit_symbol: "°C" } };
const created = await api("create", { ident: "js_01", env: MODE, schema, config: { reportInterval: 5000 } });
tell("create", created);
tell("update", await api("update", { id: created.data.id, config: { reportInterval: 10000 } }));
tell("get", await api("get", { ident: "js_01" }));
tell("listed", await api("list", {}));

let device;
const live = `${app.org}_stream`;
tell(
  "presence",
  await heard(app.stream, live, `import.${app.org}.${MODE}.presence.*`, async () => {
    device = await connected(tcp, NATS, created.data.creds);
  }),
);
await jetstreamManager(device.client); // the device SDK gives up if nothing answers this
const own = (operation, body) => device.ask(`api.iot.devices.${app.org}.sdk.${operation}`, { id: device.id, ...body });
tell("schema", await own("schema.get"));
tell("config", await own("config.get"));
tell("configured", await own("config.update", { config: { reportInterval: 1 } }));
tell("replaced", await own("config.get"));

for (const [family, name, content] of [
  ["telemetry", "temperature", { value: 21.5 }],
  ["events", "door", { value: { open: true } }],
  ["logs", "info", { type: "info", data: "started" }],
]) {
  const body = pack({ ...content, timestamp: Date.now() });
  const publish = () => device.stream.publish(`${device.org}.${MODE}.${family}.${device.id}.${name}`, body);
  tell(family, await heard(app.stream, live, `${app.org}.${MODE}.${family}.${device.id}.*`, publish));
}

const rpc = `${app.org}.${MODE}.command.rpc.${device.id}.add`;
device.client.subscribe(rpc, {
  callback: (_, message) => message.respond(JSON.stringify({ status: "ok", data: message.json().a + 1 })),
});
await device.client.flush();
tell("rpc", await app.ask(rpc, { a: 1 }));

const nobody = app.ask(`${app.org}.${MODE}.command.rpc.${device.id}.unheard`, {});
tell("unheard", { code: await nobody.then(() => "answered", (problem) => problem.code) });

const queue = `${app.org}.${MODE}.command.queue.${device.id}.move`;
let sent;
const send = async () => (sent = await app.stream.publish(queue, pack({ value: { to: 3 }, timestamp: Date.now() })));
tell("command", await heard(device.stream, `${device.org}_command_queue`, queue, send));
tell("sent", sent);

const token = await app.ask("accounts.user.get_http_token", { jwt: JSON.parse(APP).api_key, service: "influx" });
tell("token", token);
const span = { start: "2026-01-01T00:00:00Z", end: "2099-01-01T00:00:00Z" };
const question = { device_id: device.id, env: MODE, fields: ["temperature"], last_value: true, limit: 10, offset: 0 };
let history;
do {
  const reply = await fetch(`${token.data.http_url}/iot/db/telemetry/history`, {
    method: "POST",
    headers: { authorization: `Bearer ${token.data.token}`, "content-type": "application/json" },
    body: JSON.stringify({ ...question, ...span }),
  });
  history = await reply.json();
} while (history.status && !history.data.frames.length); // what is live may not be stored yet
tell("history", history);

await device.client.drain();
tell("delete", await api("delete", { ident: "js_01" }));
tell("gone", await api("get", { ident: "js_01" }));
await app.client.close();
process.exit(); // the libraries leave timers behind
