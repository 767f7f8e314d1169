// `--listen unix:PATH`: whose the socket is, what may lie in its place, and how clients come to it.
import { Buffer } from "node:buffer";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  watch,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { runCli } from "../harness/cli.ts";
import { codeOf } from "../harness/code_of.ts";
import { askRaw, UPGRADE } from "../harness/raw_http.ts";
import { runServer, startServer, type TestServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

const serveAt = (path: string, args: string[] = []): Promise<TestServer> =>
  startServer({ args: ["--listen", `unix:${path}`, ...args] });

async function echoes(url: string): Promise<void> {
  const { code, stdout, stderr } = await runCli(["run", "--url-file", urlFile(url), "--", "echo", "there"]);
  assert.equal([code, stdout], [0, "there\n"], stderr);
}

test("the executable and the library reach it by the line it prints; it is gone at the end", async () => {
  for (const name of ["s", "a b:c%20.sock"]) {
    const path = join(tempDir(), name);
    const server = await serveAt(path);
    try {
      assert.is(server.url.replace(/\?token=[\w-]+$/, ""), `unix:${path}`);
      await echoes(server.url);
      await using there = await Environment.connect(server.url);
      assert.ok(there.sessionId);
      const token = server.url.slice(server.url.indexOf("?"));
      await using byUrl = await Environment.connect(new URL(`unix:${pathToFileURL(path).pathname}${token}`));
      assert.ok(byUrl.sessionId);
      assert.equal(await server.stop(), { code: 0, signal: null });
      assert.not.ok(existsSync(path));
    } finally {
      await server.stop();
    }
  }
});

test("a relative path counts from the working directory, at both ends", async () => {
  const folder = tempDir();
  const server = await startServer({ args: ["--listen", "unix:s"], cwd: folder });
  try {
    const [address, token = ""] = server.url.split("?token=");
    assert.is(address, `unix:${join(folder, "s")}`);
    const { stdout } = await runCli(["run", "--url", "unix:s", "--", "echo", "there"], {
      cwd: folder,
      env: { EXEC_SERVER_TOKEN: token },
    });
    assert.is(stdout, "there\n");
  } finally {
    await server.stop();
  }
});

test("its mode is 0600 whatever the umask; what it starts keeps the umask", async () => {
  const folder = tempDir();
  const path = join(folder, "s");
  const modes = new Set<number>();
  const look = () => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found) modes.add(found.mode & 0o777);
  };
  const watcher = watch(folder, look);
  const server = await serveAt(path);
  try {
    look();
    assert.equal([...modes], [0o600]);
    assert.equal(readdirSync(folder), ["s"]);
    const { stdout } = await runCli(["run", "--url-file", urlFile(server.url), "--", "sh", "-c", "umask"]);
    const own = await runCli(["run", "--", "sh", "-c", "umask"]);
    assert.is(stdout, own.stdout);
  } finally {
    watcher.close();
    await server.stop();
  }
});

test("what a killed server has left is replaced", async () => {
  const path = join(tempDir(), "s");
  const killed = await serveAt(path);
  await killed.stop("SIGKILL");
  assert.ok(lstatSync(path).isSocket());
  const server = await serveAt(path);
  try {
    await echoes(server.url);
  } finally {
    await server.stop();
  }
});

test("at its end a server removes its own socket, and nothing that has come in its place", async () => {
  const path = join(tempDir(), "s");
  const first = await serveAt(path);
  rmSync(path);
  const second = await serveAt(path);
  try {
    assert.equal(await first.stop(), { code: 0, signal: null });
    await echoes(second.url);
    renameSync(path, `${path}.old`);
    writeFileSync(path, "mine");
    await second.stop();
    assert.is(readFileSync(path, "utf8"), "mine");
  } finally {
    await Promise.all([first.stop(), second.stop()]);
  }
});

test("a server that answers keeps its socket", async () => {
  const path = join(tempDir(), "s");
  const server = await serveAt(path);
  try {
    const { code, stdout, stderr } = await runServer({ args: ["--listen", `unix:${path}`] });
    assert.equal([code, stdout], [1, ""]);
    assert.is(stderr, `Error: cannot listen on unix:${path}: a program listens there already\n`);
    await echoes(server.url);
  } finally {
    await server.stop();
  }
});

test("anything but a socket is left alone", async () => {
  const folder = tempDir();
  const file = join(folder, "file"), link = join(folder, "link"), inside = join(folder, "folder");
  writeFileSync(file, "mine");
  mkdirSync(inside);
  const killed = await serveAt(join(folder, "target"));
  await killed.stop("SIGKILL");
  symlinkSync(join(folder, "target"), link);
  for (const path of [file, link, inside]) {
    const { code, stderr } = await runServer({ args: ["--listen", `unix:${path}`] });
    assert.is(code, 1, path);
    assert.match(
      stderr,
      /something else than a socket, and it is left alone; remove it or choose another path/,
    );
  }
  assert.is(readFileSync(file, "utf8"), "mine");
  assert.ok(lstatSync(link).isSymbolicLink());
});

test("a path that is too long is refused at both ends, one that just fits is not", async () => {
  const folder = tempDir();
  const name = (bytes: number) =>
    join(folder, "é".repeat(2) + "x".repeat(bytes - Buffer.byteLength(folder) - 5));
  const long = name(108);
  assert.is(Buffer.byteLength(long), 108);
  const { code, stderr } = await runServer({ args: ["--listen", `unix:${long}`] });
  assert.is(code, 1);
  assert.match(stderr, /has 107 bytes at most, and `.*` has 108: choose a shorter one/);
  assert.is(await codeOf(Environment.connect(`unix:${long}`)), "INVALID_REQUEST");
  assert.is(await codeOf(Environment.connect("unix:")), "INVALID_REQUEST");
  const server = await serveAt(name(107));
  try {
    assert.ok(existsSync(name(107)));
    await echoes(server.url);
  } finally {
    await server.stop();
  }
});

test("a folder that is not there is an error", async () => {
  const folder = join(tempDir(), "none");
  const { code, stderr } = await runServer({ args: ["--listen", `unix:${join(folder, "s")}`] });
  assert.is(code, 1);
  assert.is(
    stderr,
    `Error: cannot listen on unix:${folder}/s: there is no folder ${folder}; make it first\n`,
  );
});

test("Host says nothing here, Origin does", async () => {
  const server = await serveAt(join(tempDir(), "s"), ["--allow-origin", "https://ide.example"]);
  const ask = (...headers: string[]) => askRaw(server.url, ["GET / HTTP/1.1", ...headers, ...UPGRADE]);
  try {
    assert.is((await ask("Host: anything.example")).status, 101);
    assert.is((await ask()).status, 101);
    assert.equal(await ask("Host: localhost", "Origin: https://evil.example"), { status: 403, body: "" });
    assert.is((await ask("Host: localhost", "Origin: https://ide.example")).status, 101);
  } finally {
    await server.stop();
  }
});

test.run();
