// The contract of open files and of the streams over them. The environment works on this machine, as in files.test.ts.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Environment } from "../../src/environment.ts";
import type { Files, OpenFile } from "../../src/files/trait.ts";
import { MAX_BLOCK_BYTES } from "../../src/protocol/limits.ts";
import { codeOf } from "../harness/code_of.ts";
import { environments } from "../harness/environments.ts";
import { until } from "../harness/proc.ts";
import { tempDir } from "../harness/temp.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
/** Several blocks of a stream, and a bit. */
const LARGE_BYTES = 5 * 2 ** 20 + 12_345;
/** How long what is closed behind our back may take. */
const SOON_MS = 5_000;

/** A folder with the file `a`, and that file. */
function folder(): [root: string, a: string] {
  const root = tempDir();
  fs.writeFileSync(join(root, "a"), "0123456789");
  return [root, join(root, "a")];
}

async function all(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** What is closed behind our back. */
async function untilOnly(root: string, ...names: string[]): Promise<void> {
  await until("nothing unfinished is left", () => fs.readdirSync(root).length <= names.length, SOON_MS);
  assert.equal(fs.readdirSync(root), names);
}

for (const [name, open] of environments) {
  let files: Files;
  const it = (title: string, check: (environment: Environment) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      await using environment = await open();
      files = environment.files;
      await check(environment);
    });
  const opened = async (
    path: string,
    mode: "read" | "replace" | "replaceOnCommit",
    use: (file: OpenFile) => Promise<void>,
  ) => {
    await using file = await files.open(path, { mode });
    await use(file);
  };

  it("blocks are read in any order, several at a time; only the end is short", async () => {
    const path = join(tempDir(), "a");
    const content = randomBytes(3 * MAX_BLOCK_BYTES + 7);
    fs.writeFileSync(path, content);
    await using file = await files.open(path);
    const offsets = [3, 1, 2, 0, 4].map((n) => n * MAX_BLOCK_BYTES);
    const blocks = await Promise.all(offsets.map((offset) => file.read(offset, MAX_BLOCK_BYTES)));
    for (const [i, offset = 0] of offsets.entries()) {
      assert.ok(
        content.subarray(offset, offset + MAX_BLOCK_BYTES).equals(blocks[i] ?? bytes("none")),
        `${offset}`,
      );
    }
    assert.is(Object.getPrototypeOf(blocks[0]), Uint8Array.prototype);
    assert.is((await file.read(2 ** 53, 5)).length, 0);
  });

  it("only regular files are opened, and a FIFO holds nothing up", async () => {
    const [root, a] = folder();
    execFileSync("mkfifo", [join(root, "fifo")]);
    fs.symlinkSync("loop", join(root, "loop"));
    for (const path of [root, join(root, "fifo"), "/dev/null"]) {
      assert.is(await codeOf(files.open(path)), "INVALID_REQUEST", path);
    }
    for (const mode of ["replace", "replaceOnCommit"] as const) {
      assert.is(await codeOf(files.open(root, { mode })), "EISDIR");
      assert.is(await codeOf(files.open(join(root, "fifo"), { mode })), "INVALID_REQUEST");
      assert.is(await codeOf(files.open("/dev/null", { mode })), "INVALID_REQUEST");
      assert.is(await codeOf(files.open(join(root, "no/x"), { mode })), "ENOENT");
      assert.is(await codeOf(files.open(join(a, "x"), { mode })), "ENOTDIR");
      assert.is(await codeOf(files.open(join(root, "loop"), { mode })), "ELOOP");
    }
    assert.is(await codeOf(files.open(join(root, "no"))), "ENOENT");
    assert.equal(fs.readdirSync(root).sort(), ["a", "fifo", "loop"]);
  });

  it("an open file stays what it was when its path is replaced", async () => {
    const [root, a] = folder();
    await opened(a, "read", async (file) => {
      fs.writeFileSync(join(root, "b"), "another");
      fs.renameSync(join(root, "b"), a);
      assert.is(text(await file.read(0, 20)), "0123456789");
    });
  });

  it("replace empties at once; blocks are written anywhere, gaps are zeros", async () => {
    const [root, a] = folder();
    fs.symlinkSync("a", join(root, "link"));
    await opened(join(root, "link"), "replace", async (file) => {
      assert.is(fs.statSync(a).size, 0);
      await Promise.all([file.write(5, bytes("world")), file.write(0, bytes("hello"))]);
      await file.write(12, bytes("!"));
      assert.is(fs.readFileSync(a, "utf8"), "helloworld\0\0!");
      await file.commit();
    });
    assert.ok(fs.lstatSync(join(root, "link")).isSymbolicLink());
    await opened(join(root, "new"), "replace", (file) => file.write(0, bytes("x")));
    assert.is(fs.readFileSync(join(root, "new"), "utf8"), "x");
  });

  it("replaceOnCommit shows nothing before the commit, and changes nothing without it", async () => {
    const [root, a] = folder();
    fs.chmodSync(a, 0o640);
    fs.symlinkSync("a", join(root, "link"));
    await opened(join(root, "link"), "replaceOnCommit", (file) => file.write(0, bytes("never")));
    assert.is(fs.readFileSync(a, "utf8"), "0123456789");
    await opened(join(root, "new"), "replaceOnCommit", (file) => file.write(0, bytes("never")));
    assert.equal(fs.readdirSync(root).sort(), ["a", "link"]);
    const before = fs.statSync(a).ino;
    await opened(join(root, "link"), "replaceOnCommit", async (file) => {
      await Promise.all([file.write(3, bytes("def")), file.write(0, bytes("abc"))]);
      assert.is(fs.readFileSync(a, "utf8"), "0123456789");
      await file.commit();
    });
    assert.is(fs.readFileSync(a, "utf8"), "abcdef");
    assert.is(fs.statSync(a).mode & 0o7777, 0o640);
    assert.is.not(fs.statSync(a).ino, before);
    assert.ok(fs.lstatSync(join(root, "link")).isSymbolicLink());
    await opened(join(root, "new"), "replaceOnCommit", (file) => file.commit());
    assert.equal(fs.readdirSync(root).sort(), ["a", "link", "new"]);
    assert.is(fs.statSync(join(root, "new")).mode & 0o7777, 0o666 & ~process.umask());
  });

  it("replaceOnCommit writes in place what has another hard link", async () => {
    const [root, a] = folder();
    fs.linkSync(a, join(root, "hard"));
    await opened(a, "replaceOnCommit", async (file) => {
      await file.write(0, bytes("new"));
      await file.commit();
    });
    assert.is(fs.readFileSync(join(root, "hard"), "utf8"), "new");
    assert.equal(fs.readdirSync(root).sort(), ["a", "hard"]);
  });

  it("blocks have bounds, and each mode its direction", async () => {
    const [, a] = folder();
    const large = new Uint8Array(MAX_BLOCK_BYTES + 1);
    await opened(a, "replace", async (file) => {
      assert.is(await codeOf(file.write(0, new Uint8Array())), "INVALID_REQUEST");
      assert.is(await codeOf(file.write(0, large)), "INVALID_REQUEST");
      assert.is(await codeOf(file.write(2 ** 63, bytes("x"))), "INVALID_REQUEST");
      assert.is(await codeOf(file.write(2 ** 53, bytes("x"))), "EFBIG");
      assert.is(await codeOf(file.write(-1, bytes("x"))), "INVALID_PARAMS");
      await file.write(0, bytes("kept"));
      assert.is(await codeOf(file.read(0, 1)), "EBADF");
    });
    await opened(a, "read", async (file) => {
      for (const length of [0, MAX_BLOCK_BYTES + 1, 1.5]) {
        assert.is(await codeOf(file.read(0, length)), "INVALID_REQUEST", `${length}`);
      }
      assert.is(await codeOf(file.read(0.5, 1)), "INVALID_PARAMS");
      assert.is(await codeOf(file.write(0, bytes("x"))), "EBADF");
      assert.is(text(await file.read(0, 9)), "kept");
    });
    await opened(a, "read", async (file) => assert.is(await codeOf(file.read(2 ** 63, 1)), "EINVAL"));
  });

  it("closing waits for what is being written, and ends the use", async () => {
    const path = join(tempDir(), "a");
    const file = await files.open(path, { mode: "replace" });
    const block = randomBytes(MAX_BLOCK_BYTES);
    const writes = Promise.all([0, 1, 2, 3].map((n) => file.write(n * block.length, block)));
    await file.close();
    assert.is(fs.statSync(path).size, 4 * block.length);
    await writes;
    await file.close();
    assert.is(await codeOf(file.write(0, bytes("x"))), "EBADF");
  });

  it("an aborted open leaves nothing open and nothing behind", async () => {
    const [root, a] = folder();
    for (let i = 0; i < 5; i++) {
      const late = new AbortController();
      const opening = files.open(a, { mode: "replaceOnCommit", signal: late.signal });
      late.abort(new Error("given up"));
      await opening.then(() => assert.unreachable(), (error: Error) => assert.is(error.message, "given up"));
    }
    await untilOnly(root, "a");
  });

  it("streams carry files of any size, byte by byte the same", async () => {
    const root = tempDir();
    for (const size of [0, 1, 512 * 1024, 512 * 1024 + 1, LARGE_BYTES]) {
      const content = randomBytes(size);
      const path = join(root, `${size}`);
      const writer = files.writeStream(path).getWriter();
      for (let at = 0; at < size; at += 77_777) await writer.write(content.subarray(at, at + 77_777));
      await writer.close();
      assert.ok(fs.readFileSync(path).equals(content), `written: ${size}`);
      assert.ok(content.equals(await all(files.readStream(path))), `read: ${size}`);
    }
    assert.is(fs.readdirSync(root).length, 5);
    const copied = join(root, "copied");
    await files.readStream(join(root, `${LARGE_BYTES}`)).pipeTo(files.writeStream(copied));
    assert.ok(fs.readFileSync(copied).equals(fs.readFileSync(join(root, `${LARGE_BYTES}`))));
    assert.match(text(await all(files.readStream("/proc/self/status"))), /^Name:/);
  });

  it("a stream that is aborted leaves the old file; one that fails says why", async () => {
    const [root, a] = folder();
    const block = new Uint8Array(LARGE_BYTES);
    const writer = files.writeStream(a).getWriter();
    await writer.write(block);
    await writer.abort(new Error("no more"));
    const control = new AbortController();
    const signalled = files.writeStream(a, { signal: control.signal }).getWriter();
    signalled.closed.catch(() => {});
    await signalled.write(block);
    control.abort(new Error("given up"));
    await signalled.close().then(
      () => assert.unreachable(),
      (error: Error) => assert.is(error.message, "given up"),
    );
    assert.is(fs.readFileSync(a, "utf8"), "0123456789");
    await untilOnly(root, "a");
    for (const size of [1, LARGE_BYTES]) {
      const lost = files.writeStream(join(root, "no/x")).getWriter();
      lost.closed.catch(() => {});
      const write = async () => {
        await lost.write(new Uint8Array(size));
        await lost.close();
      };
      assert.is(await codeOf(write()), "ENOENT");
    }
    assert.is(await codeOf(all(files.readStream(join(root, "no")))), "ENOENT");
    assert.is(await codeOf(all(files.readStream(root))), "INVALID_REQUEST");
  });

  it("files are closed with the environment, and nothing unfinished is left", async (environment) => {
    const [root, a] = folder();
    const file = await files.open(a, { mode: "replaceOnCommit" });
    await file.write(0, bytes("never"));
    const writer = files.writeStream(join(root, "b")).getWriter();
    writer.closed.catch(() => {});
    await writer.write(new Uint8Array(LARGE_BYTES));
    assert.is(fs.readdirSync(root).length, 3);
    await environment.close();
    await untilOnly(root, "a");
    assert.is(fs.readFileSync(a, "utf8"), "0123456789");
  });

  it("files are closed with their streams, also with those that are left early", async () => {
    const path = join(tempDir(), "a");
    fs.writeFileSync(path, new Uint8Array(LARGE_BYTES));
    // More often than a connection may have files open.
    for (let i = 0; i < 150; i++) {
      const reader = files.readStream(path).getReader();
      await reader.read();
      await reader.cancel();
    }
    await files.open(path).then((file) => file.close());
  });
}

test.run();
