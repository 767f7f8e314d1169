// What a client sees of its open files when the connection breaks, and of servers that cannot open files.
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openLink } from "../../src/client/link.ts";
import { Environment } from "../../src/environment.ts";
import type { AbleCaller } from "../../src/files/remote_open.ts";
import { remoteFiles } from "../../src/files/remote.ts";
import { ExecServerError } from "../../src/protocol/error.ts";
import { MAX_READ_FILE_BYTES } from "../../src/protocol/limits.ts";
import { startProxy } from "../faults/proxy.ts";
import { codeOf } from "../harness/code_of.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

let server: TestServer;
test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

const bytes = (text: string) => new TextEncoder().encode(text);

test("after a reconnect an open file is gone, whatever the next one is called", async () => {
  const root = tempDir();
  for (const name of ["a", "b"]) fs.writeFileSync(join(root, name), name.repeat(2_000_000));
  const proxy = await startProxy(server.url);
  try {
    let back = () => {};
    await using there = await Environment.connect(proxy.url, {
      onConnectionChange: (state) => state === "connected" && back(),
    });
    const returned = new Promise<void>((resolve) => back = resolve);
    const reading = await there.files.open(join(root, "a"));
    const writing = await there.files.open(join(root, "a"), { mode: "replaceOnCommit" });
    await writing.write(0, bytes("new"));
    const reader = there.files.readStream(join(root, "a")).getReader();
    await reader.read();
    proxy.cut();
    await returned;
    const other = await there.files.open(join(root, "b"));
    assert.is(await codeOf(reading.read(0, 1)), "HANDLE_LOST");
    assert.is(await codeOf(writing.write(3, bytes("er"))), "HANDLE_LOST");
    assert.is(await codeOf(writing.commit()), "HANDLE_LOST");
    const rest = async () => {
      for (let end = false; !end;) end = (await reader.read()).done;
    };
    assert.is(await codeOf(rest()), "HANDLE_LOST");
    assert.is(new TextDecoder().decode(await other.read(0, 3)), "bbb");
    await reading.close();
    await other.close();
    assert.ok(fs.readFileSync(join(root, "a"), "utf8").startsWith("aaa"));
    assert.equal(fs.readdirSync(root).sort(), ["a", "b"]);
  } finally {
    await proxy.stop();
  }
});

test("blocks that are on their way when the connection breaks fail, and nothing half remains", async () => {
  const root = tempDir();
  const path = join(root, "a");
  fs.writeFileSync(path, "old");
  const proxy = await startProxy(server.url);
  try {
    await using there = await Environment.connect(proxy.url);
    const cut = proxy.cutAfter(3_000_000, "up");
    const writer = there.files.writeStream(path).getWriter();
    writer.closed.catch(() => {});
    const write = async () => {
      for (let i = 0; i < 100; i++) await writer.write(randomBytes(512 * 1024));
      await writer.close();
    };
    assert.is(await codeOf(write()), "HANDLE_LOST");
    await cut;
    assert.is((await there.files.stat(path)).size, 3); // it is connected again
    assert.equal(fs.readdirSync(root), ["a"]);
  } finally {
    await proxy.stop();
  }
});

for (
  const [what, knows, can] of [
    ["no open files", false, false],
    ["open files that are only read", true, false],
  ] as const
) {
  test(`a server with ${what} gets whole files`, async () => {
    const root = tempDir();
    const path = join(root, "a");
    const link = await openLink(server.url, {}, {
      notification() {},
      frame() {},
      cursors: () => ({}),
      readMissed: () => Promise.resolve(),
      ended() {},
    });
    const asked: string[] = [];
    const old: AbleCaller = {
      can: () => can,
      call(method, params, how) {
        asked.push(method.name);
        if (!knows && /open|Block|close/.test(method.name)) {
          return Promise.reject(new ExecServerError("METHOD_NOT_FOUND", "no such method"));
        }
        return link.call(method, params, how);
      },
    };
    const files = remoteFiles(old);
    const content = randomBytes(2_000_000);
    const writer = files.writeStream(path).getWriter();
    await writer.write(content);
    await writer.close();
    assert.ok(fs.readFileSync(path).equals(content));
    const read = new Uint8Array(await new Response(files.readStream(path)).arrayBuffer());
    assert.ok(content.equals(read));
    await using file = await files.open(path, { mode: "replace" });
    await file.write(5, bytes("world"));
    await file.write(0, bytes("hello"));
    assert.is(await codeOf(file.write(MAX_READ_FILE_BYTES, bytes("x"))), "INVALID_REQUEST");
    await file.close();
    assert.is(fs.readFileSync(path, "utf8"), "helloworld");
    await (await files.open(path, { mode: "replaceOnCommit" })).close();
    assert.is(fs.readFileSync(path, "utf8"), "helloworld");
    assert.is(asked.includes("fs/writeBlock"), false);
    assert.is(asked.filter((name) => name === "fs/open").length, 1);
    await link.close();
  });
}

test.run();
