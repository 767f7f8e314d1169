// Open files in a sandbox: the helper has them, for the policy under which they were opened.
import * as fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MAX_HELPERS_PER_CONNECTION } from "../../src/files/sandboxed.ts";
import { connected } from "../harness/connected.ts";
import { until } from "../harness/proc.ts";
import { startServer, type TestServer, withServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { type JsonObject, outcome, type WireClient } from "../harness/wire_client.ts";
import { at, glob, managed, special } from "./policies.ts";

const EACCES = [-32600, "Permission denied (os error 13)"];
const EROFS = [-32603, "Read-only file system (os error 30)"];
/** How long what ends with a connection may take. */
const SOON_MS = 5_000;
let client: WireClient;
let server: TestServer;
let root: string;

connected((c, s) => {
  client = c;
  server = s;
});
test.before.each(() => {
  root = fs.realpathSync(tempDir());
  for (const folder of ["ws", "denied"]) fs.mkdirSync(join(root, folder));
  for (const name of ["ws/a", "outside", "denied/s", "ws/.env"]) fs.writeFileSync(join(root, name), name);
});
test.after.each(async () => {
  await until("its helpers end with a connection", () => helpers().length === 0, SOON_MS);
});

const uri = (name: string) => pathToFileURL(join(root, name)).href;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const policy = (...more: unknown[]) =>
  managed([
    special("root", "read"),
    at(join(root, "ws"), "write"),
    at(join(root, "denied"), "deny"),
    ...more,
  ]);

const ask = (method: string, params: JsonObject) => outcome(client.call(`fs/${method}`, params));
const open = (handleId: string, name: string, mode: string, sandbox = policy()) =>
  ask("open", { handleId, path: uri(name), mode, sandbox });
const read = (handleId: string) => ask("readBlock", { handleId, offset: 0, len: 100 });
const write = (handleId: string, text: string) =>
  ask("writeBlock", { handleId, offset: 0, chunk: base64(text) });

/** The first processes of the helpers of our server. */
function helpers(): number[] {
  const children = (pid: number): number[] => {
    try {
      const own = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(
        Boolean,
      );
      return own.flatMap((child) => [Number(child), ...children(Number(child))]);
    } catch {
      return [];
    }
  };
  return children(server.pid).filter((pid) => {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[1] === "fs-helper";
    } catch {
      return false;
    }
  });
}

for (const withPatterns of [false, true]) {
  test(`files are opened as the policy allows${withPatterns ? ", with patterns" : ""}`, async () => {
    const patterns = withPatterns ? [glob(`${join(root, "ws")}/**/.env*`)] : [];
    const sandbox = policy(...patterns);
    assert.equal(await open("r", "outside", "read", sandbox), { handleId: "r" });
    assert.equal(await read("r"), { chunk: base64("outside"), eof: true });
    fs.symlinkSync("../denied/s", join(root, "ws/link"));
    for (const path of ["denied/s", "ws/link", ...(withPatterns ? ["ws/.env"] : [])]) {
      assert.equal(await open("d", path, "read", sandbox), EACCES, path);
    }
    for (const mode of ["replace", "replaceOnCommit"]) {
      assert.equal(await open("o", "outside", mode, sandbox), EROFS);
      assert.equal(await open("n", "new", mode, sandbox), EROFS);
      assert.equal(await open("d", "denied/s", mode, sandbox), EACCES);
      assert.equal(await open(mode, "ws/a", mode, sandbox), { handleId: mode });
      assert.equal(await write(mode, mode), {});
      assert.equal(await ask("close", { handleId: mode, commit: true }), {});
      assert.is(fs.readFileSync(join(root, "ws/a"), "utf8"), mode);
    }
    assert.equal(await open("w", "ws/a", "replaceOnCommit", sandbox), { handleId: "w" });
    assert.equal(await write("w", "never"), {});
    assert.equal(await ask("close", { handleId: "w" }), {});
    assert.is(fs.readFileSync(join(root, "ws/a"), "utf8"), "replaceOnCommit");
    assert.equal(fs.readdirSync(join(root, "ws")).sort(), [".env", "a", "link"]);
    assert.is(helpers().length, 1);
    for (const fd of fs.readdirSync(`/proc/${server.pid}/fd`)) {
      const target = fs.existsSync(`/proc/${server.pid}/fd/${fd}`)
        ? fs.readlinkSync(`/proc/${server.pid}/fd/${fd}`)
        : "";
      assert.not(target.startsWith(root), "the server itself has opened a file");
    }
  });
}

test("a helper that dies takes its files with it; the next open has another", async () => {
  await open("r", "ws/a", "read");
  await open("w", "ws/new", "replace");
  const [pid = 0] = helpers();
  process.kill(pid, "SIGKILL");
  const failed = await read("r");
  assert.is(Array.isArray(failed) && failed[0], -32603);
  assert.match(JSON.stringify(failed), "the file helper has ended");
  assert.equal(await read("r"), [-32004, "unknown file handle `r`"]);
  assert.match(JSON.stringify(await write("w", "x")), "-32603");
  assert.equal(await open("r", "ws/a", "read"), { handleId: "r" });
  assert.equal(await read("r"), { chunk: base64("ws/a"), eof: true });
});

test("a file stays open under its policy while its helper is not used for anything new", async () => {
  assert.equal(await open("r", "ws/a", "read"), { handleId: "r" });
  // What the policy is about has become another folder: a request now gets another helper.
  fs.renameSync(join(root, "denied"), join(root, "moved"));
  fs.mkdirSync(join(root, "denied"));
  assert.equal(await open("s", "ws/a", "read"), { handleId: "s" });
  assert.is(helpers().length, 2);
  assert.equal(await read("r"), { chunk: base64("ws/a"), eof: true });
  await ask("close", { handleId: "r" });
  await until("the old helper ends", () => helpers().length === 1, SOON_MS);
});

/** One policy more than a connection has helpers. */
function tooManyPolicies() {
  return Array.from({ length: MAX_HELPERS_PER_CONNECTION + 1 }, (_, i) => {
    fs.mkdirSync(join(root, `p${i}`));
    return policy(at(join(root, `p${i}`), "write"));
  });
}

test("open files keep nobody out: the helper whose use is longest ago makes room", async () => {
  for (const [i, sandbox] of tooManyPolicies().entries()) {
    assert.equal(await open(`h${i}`, "ws/a", "read", sandbox), { handleId: `h${i}` });
  }
  assert.is(helpers().length, MAX_HELPERS_PER_CONNECTION);
  assert.match(JSON.stringify(await read("h0")), "had to make room");
  assert.equal(await read("h1"), { chunk: base64("ws/a"), eof: true });
});

test("nor do files that were only being opened when their helper had to make room", async () => {
  const sandboxes = tooManyPolicies();
  const opens = sandboxes.slice(1).map((sandbox, i) => open(`h${i}`, "ws/a", "read", sandbox));
  const [answer, ...opened] = await Promise.all([
    ask("readFile", { path: uri("outside"), sandbox: sandboxes[0] }),
    ...opens,
  ]);
  assert.equal(answer, { dataBase64: base64("outside") });
  const refused = opened.filter((one) => Array.isArray(one));
  assert.is(refused.length, 1, JSON.stringify(opened));
  assert.match(JSON.stringify(refused), "had to make room");
});

test("a connection that ends leaves no unfinished file", async () => {
  assert.equal(await open("w", "ws/a", "replaceOnCommit"), { handleId: "w" });
  assert.is(fs.readdirSync(join(root, "ws")).length, 3);
  await client.terminate();
  await until("the unfinished file is gone", () => fs.readdirSync(join(root, "ws")).length === 2, SOON_MS);
  assert.is(fs.readFileSync(join(root, "ws/a"), "utf8"), "ws/a");
});

test("a server that ends leaves no unfinished file", async () => {
  const own = await startServer();
  const user = await own.connect();
  const path = uri("ws/a");
  await user.call("fs/open", { handleId: "w", path, mode: "replaceOnCommit", sandbox: policy() });
  assert.is(fs.readdirSync(join(root, "ws")).length, 3);
  await own.stop();
  assert.equal(fs.readdirSync(join(root, "ws")).sort(), [".env", "a"]);
});

test("a sandboxed file handle counts as any other, beyond the default too", () =>
  withServer(["--max-file-handles", "130"], async (server) => {
    const one = await server.connect();
    const sandbox = managed([special("root", "read")]);
    for (let count = 0; count < 130; count++) {
      await one.call("fs/open", { handleId: `${count}`, path: "file:///etc/passwd", sandbox });
    }
    const more = one.call("fs/open", { handleId: "more", path: "file:///etc/passwd", sandbox });
    assert.match(JSON.stringify(await outcome(more)), "at most 130 file handles");
    await one.terminate();
  }));

test.run();
