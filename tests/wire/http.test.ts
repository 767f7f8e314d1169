// The HTTP side of the server, and the frames that it sends.
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type HttpAnswer, httpRequest, UPGRADE_HEADERS } from "../harness/http_request.ts";
import { Opcode, openRaw, type RawSocket } from "../harness/raw_socket.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { isObject, type JsonObject } from "../harness/wire_client.ts";

const MIB = 1024 * 1024;

let server: TestServer;

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

/** A request with the token, unless `headers` say otherwise. */
function ask(method: string, path: string, headers: Record<string, string> = {}): Promise<HttpAnswer> {
  const authorization = `Bearer ${new URL(server.url).searchParams.get("token")}`;
  return httpRequest(server.url, { method, path, headers: { authorization, ...headers } });
}

test("any Origin is refused, on every route", async () => {
  for (const origin of ["http://localhost", "null", "", new URL(server.url).host]) {
    for (
      const [method, path] of [["GET", "/"], ["GET", "/readyz"], ["POST", "/readyz"], [
        "GET",
        "/foo",
      ]] as const
    ) {
      const { status, body } = await ask(method, path, { origin });
      assert.equal([status, body], [403, ""], `${method} ${path} from ${origin}`);
    }
    assert.is((await ask("GET", "/", { ...UPGRADE_HEADERS, origin })).status, 403, `upgrade from ${origin}`);
  }
});

test("/readyz tells that the server answers", async () => {
  for (const path of ["/readyz", "/readyz?x=1"]) {
    for (const method of ["GET", "HEAD"]) {
      const { status, headers, body } = await ask(method, path);
      assert.equal([status, body, headers["content-length"]], [200, "", "0"], `${method} ${path}`);
    }
  }
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const { status, headers, body } = await ask(method, "/readyz");
    assert.equal([status, body, headers.allow], [405, "", "GET,HEAD"], method);
  }
});

test("there are no other routes", async () => {
  for (const path of ["/healthz", "/livez", "/metrics", "/foo", "/readyz/", "//", "/%00"]) {
    for (const headers of [{}, UPGRADE_HEADERS]) {
      const { status, body } = await ask("GET", path, headers);
      assert.equal([status, body], [404, ""], path);
    }
  }
  const { status, body } = await ask("POST", "/");
  assert.equal([status, body], [405, "Request method must be `GET`"]);
});

test("an upgrade has to be a complete one", async () => {
  const without = (name: keyof typeof UPGRADE_HEADERS) =>
    Object.fromEntries(Object.entries(UPGRADE_HEADERS).filter(([key]) => key !== name));
  const bad: [Record<string, string>, string][] = [
    [{}, "Connection header did not include 'upgrade'"],
    [{ ...UPGRADE_HEADERS, connection: "keep-alive" }, "Connection header did not include 'upgrade'"],
    [{ ...UPGRADE_HEADERS, upgrade: "h2c" }, "`Upgrade` header did not include 'websocket'"],
    [
      { ...UPGRADE_HEADERS, "sec-websocket-version": "8" },
      "`Sec-WebSocket-Version` header did not include '13'",
    ],
    [without("sec-websocket-version"), "`Sec-WebSocket-Version` header did not include '13'"],
    [without("sec-websocket-key"), "`Sec-WebSocket-Key` header missing"],
  ];
  for (const [headers, text] of bad) {
    const { status, headers: answered, body } = await ask("GET", "/", headers);
    assert.equal([status, body], [400, text]);
    assert.is(answered["content-type"], "text/plain; charset=utf-8");
  }
  const good = await ask("GET", "/?any=thing", {
    ...UPGRADE_HEADERS,
    upgrade: "WebSocket",
    connection: "keep-alive, Upgrade",
  });
  assert.is(good.status, 101);
  assert.is(good.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // RFC 6455, section 1.3
  const extended = await ask("GET", "/", {
    ...UPGRADE_HEADERS,
    "sec-websocket-extensions": "permessage-deflate",
  });
  assert.equal([extended.status, extended.headers["sec-websocket-extensions"]], [101, undefined]);
});

test("a large answer comes in several frames, a small one in one", async () => {
  const path = join(tempDir(), "large");
  const content = randomBytes(20_000_000);
  writeFileSync(path, content);
  const raw = await openRaw(server.url);
  try {
    const initialized = await call(raw, { id: 1, method: "initialize", params: { clientName: "raw" } });
    assert.is(initialized.sizes.length, 1);
    send(raw, { method: "initialized" });
    const { message, sizes } = await call(raw, {
      id: 2,
      method: "fs/readFile",
      params: { path: pathToFileURL(path).href },
    });
    const data = isObject(message["result"]) ? message["result"]["dataBase64"] : undefined;
    assert.ok(typeof data === "string" && Buffer.from(data, "base64").equals(content), "the bytes differ");
    assert.equal(sizes.slice(0, -1), [8 * MIB, 8 * MIB, 8 * MIB]);
    assert.ok((sizes.at(-1) ?? 0) < 8 * MIB);
  } finally {
    raw.destroy();
  }
});

function send(raw: RawSocket, message: JsonObject): void {
  raw.sendFrame({ opcode: Opcode.text, payload: Buffer.from(JSON.stringify(message)) });
}

/** Sends a request; the next message and the sizes of its frames. */
async function call(raw: RawSocket, request: JsonObject): Promise<{ message: JsonObject; sizes: number[] }> {
  send(raw, request);
  const payloads: Buffer[] = [];
  for (let frame = await raw.nextFrame(); frame; frame = await raw.nextFrame()) {
    if (frame.opcode === Opcode.ping) continue;
    assert.is(frame.opcode, payloads.length === 0 ? Opcode.text : Opcode.continuation);
    payloads.push(frame.payload);
    if (!frame.fin) continue;
    const message: unknown = JSON.parse(Buffer.concat(payloads).toString());
    if (!isObject(message)) throw new Error("no object");
    return { message, sizes: payloads.map((payload) => payload.length) };
  }
  throw new Error("the connection ended");
}

test.run();
