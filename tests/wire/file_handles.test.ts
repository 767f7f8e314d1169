// Open files on the wire: their ids and order, and that none stays open. What the original answers is also replayed
// from records in transcripts.test.ts.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connected } from "../harness/connected.ts";
import { until } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { type JsonObject, refusal, type WireClient } from "../harness/wire_client.ts";

const PROMPT_MS = 5_000;
let client: WireClient;
let server: TestServer;
let root: string;

connected((c, s) => {
  client = c;
  server = s;
});
test.before.each(() => {
  root = tempDir();
  fs.writeFileSync(join(root, "a"), "0123456789");
});

const uri = (name: string) => pathToFileURL(join(root, name)).href;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const open = (handleId: string, name: string, mode = "read", by = client) =>
  by.call("fs/open", { handleId, path: uri(name), mode });

/** What the server has open in our folder. */
function descriptors(): string[] {
  return fs.readdirSync(`/proc/${server.pid}/fd`).flatMap((fd) => {
    try {
      const target = fs.readlinkSync(`/proc/${server.pid}/fd/${fd}`);
      return target.startsWith(root) ? [target.slice(root.length)] : [];
    } catch {
      return []; // closed while we looked
    }
  });
}

const NOTHING_LEFT = "nothing is open, and no file is left but the first";
const isAllGone = () => descriptors().length === 0 && fs.readdirSync(root).length === 1;
const refused = (method: string, params: JsonObject) =>
  refusal(client.call(method, params, { timeoutMs: PROMPT_MS }));

test("requests that follow each other without waiting are done in their order", async () => {
  const chunk = Buffer.alloc(300_000, "x").toString("base64");
  const writes = Array.from({ length: 200 }, (_, i) => i * 300_000);
  const sent = [
    open("w", "new", "replace"),
    ...writes.map((offset) => client.call("fs/writeBlock", { handleId: "w", offset, chunk })),
    client.call("fs/close", { handleId: "w" }),
    open("w", "new"), // the id is free again
    client.call("fs/readBlock", { handleId: "w", offset: 200 * 300_000 - 1, len: 9 }),
  ];
  assert.equal((await Promise.all(sent)).at(-1), { chunk: base64("x"), eof: true });
  assert.equal(descriptors(), ["/new"]);
});

test("a request behind a failed open, or behind the close, finds no handle", async () => {
  const [failed, read] = await Promise.allSettled([
    open("h", "missing"),
    client.call("fs/readBlock", { handleId: "h", offset: 0, len: 1 }),
  ]);
  assert.match(String(failed.status === "rejected" && failed.reason), "No such file or directory");
  assert.match(String(read.status === "rejected" && read.reason), "unknown file handle `h`");
  await open("h", "a");
  await client.call("fs/close", { handleId: "h" });
  assert.equal(await refused("fs/readBlock", { handleId: "h", offset: 0, len: 1 }), [
    -32004,
    "unknown file handle `h`",
  ]);
  assert.equal(await client.call("fs/close", { handleId: "h" }), {});
});

test("ids have a length in bytes, modes have names", async () => {
  assert.equal(await refused("fs/open", { handleId: "é".repeat(16) + "x", path: uri("a") }), [
    -32600,
    "file handle ID must not exceed 32 bytes",
  ]);
  await open("é".repeat(16), "a");
  assert.equal(await refused("fs/open", { handleId: "h", path: uri("a"), mode: null }), [
    -32602,
    "invalid type: null, expected string or map",
  ]);
  const [code, message] = await refused("fs/open", { handleId: "h", path: uri("a"), mode: "append" });
  assert.is(code, -32602);
  assert.match(message, "unknown variant `append`, expected one of `read`, `replace`");
});

test("a FIFO is refused at once, with and without somebody at its other end", async () => {
  execFileSync("mkfifo", [join(root, "fifo")]);
  const text = `path \`${join(root, "fifo")}\` is not a file`;
  for (const mode of ["read", "replace", "replaceOnCommit"]) {
    assert.equal(await refused("fs/open", { handleId: "f", path: uri("fifo"), mode }), [-32600, text]);
  }
  const held = fs.openSync(join(root, "fifo"), fs.constants.O_RDWR);
  assert.equal(await refused("fs/open", { handleId: "f", path: uri("fifo"), mode: "replace" }), [
    -32600,
    text,
  ]);
  fs.closeSync(held);
});

test("a failed read closes the file, a failed write does not", async () => {
  await open("r", "a");
  assert.equal(await refused("fs/readBlock", { handleId: "r", offset: 2 ** 63, len: 1 }), [
    -32600,
    "Invalid argument (os error 22)",
  ]);
  await until("the file is closed", () => descriptors().length === 0, PROMPT_MS);
  await open("w", "b", "replace");
  assert.equal(await refused("fs/writeBlock", { handleId: "w", offset: 2 ** 53, chunk: "eA==" }), [
    -32603,
    "File too large (os error 27)",
  ]);
  assert.equal(await client.call("fs/writeBlock", { handleId: "w", offset: 0, chunk: "eA==" }), {});
});

test("what is not committed is gone with the connection, and nothing stays open", async () => {
  for (const end of ["terminate", "close"] as const) {
    const other = await server.connect();
    await open("r", "a", "read", other);
    await open("w", "a", "replaceOnCommit", other);
    await other.call("fs/writeBlock", { handleId: "w", offset: 0, chunk: "eA==" });
    assert.is(fs.readdirSync(root).length, 2);
    await other[end]();
    await until(`${end}: ${NOTHING_LEFT}`, isAllGone, PROMPT_MS);
    assert.is(fs.readFileSync(join(root, "a"), "utf8"), "0123456789");
  }
});

test("a file that is being opened while its connection ends is closed", async () => {
  for (let round = 0; round < 20; round++) {
    const other = await server.connect();
    for (let i = 0; i < 50; i++) {
      const mode = i % 2 ? "replaceOnCommit" : "read";
      other.send({ id: 1000 + i, method: "fs/open", params: { handleId: `h${i}`, path: uri("a"), mode } });
    }
    await other.waitFor((m) => m["id"] === 1000);
    await other.terminate();
  }
  await until(NOTHING_LEFT, isAllGone, PROMPT_MS);
});

test("a session that is taken over loses its handles", async () => {
  const first = await server.connect();
  await open("h", "a", "read", first);
  await open("w", "a", "replaceOnCommit", first);
  const second = await server.connect({ resumeSessionId: first.sessionId });
  await first.closed;
  await until(`taken over: ${NOTHING_LEFT}`, isAllGone, PROMPT_MS);
  await second.call("fs/readBlock", { handleId: "h", offset: 0, len: 1 }).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "unknown file handle `h`"),
  );
  await open("h", "a", "read", second);
  await second.terminate();
});

test("a commit needs a handle; a close does not", async () => {
  assert.equal(await refused("fs/close", { handleId: "none", commit: true }), [
    -32004,
    "unknown file handle `none`",
  ]);
  await open("w", "a", "replaceOnCommit");
  await client.call("fs/close", { handleId: "w" });
  assert.is(fs.readFileSync(join(root, "a"), "utf8"), "0123456789");
  await open("w", "a", "replaceOnCommit");
  await client.call("fs/close", { handleId: "w", commit: true });
  assert.is(fs.readFileSync(join(root, "a"), "utf8"), "");
  assert.equal(fs.readdirSync(root), ["a"]);
});

test("a server that ends leaves no unfinished file", async () => {
  const own = await startServer();
  const user = await own.connect();
  await open("w", "a", "replaceOnCommit", user);
  assert.is(fs.readdirSync(root).length, 2);
  await own.stop();
  assert.equal(fs.readdirSync(root), ["a"]);
});

test.run();
