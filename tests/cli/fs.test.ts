// `exec-server fs`: files by the command line, on this machine and through a server.
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type CliOptions, runCli, startCli } from "../harness/cli.ts";
import { startServer, type TestServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

const byName = (a: unknown, b: unknown) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
const MISSING = /^exec-server: \S+missing: No such file or directory \(os error 2\)\n$/;
let server: TestServer;

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

for (const where of ["local", "remote"] as const) {
  const run = (args: string[], options: CliOptions = {}) =>
    runCli(["fs", ...args, ...(where === "remote" ? ["--url-file", urlFile(server.url)] : [])], options);
  const it = (title: string, check: () => Promise<void>) => test(`${where}: ${title}`, check);
  /** Expects success and nothing on stderr. */
  const printed = async (args: string[], options: CliOptions = {}) => {
    const { code, stdout, stderr } = await run(args, options);
    assert.equal([code, stderr], [0, ""], args.join(" "));
    return stdout;
  };

  it("put and cat keep every byte", async () => {
    const path = join(tempDir(), "spa ce ü");
    const content = Buffer.concat([Uint8Array.from({ length: 256 }, (_, i) => i), randomBytes(5_000_000)]);
    assert.is(await printed(["put", path], { stdin: content }), "");
    assert.ok(fs.readFileSync(path).equals(content), "put: the bytes differ");
    assert.ok((await run(["cat", path])).bytes.equals(content), "cat: the bytes differ");
    await printed(["put", path], { stdin: "" });
    assert.is(fs.statSync(path).size, 0);
    await printed(["put", path]); // /dev/null
    assert.is(await printed(["cat", path, path]), "");
  });

  it("put and cat carry more than one message may hold", async () => {
    const path = join(tempDir(), "large");
    const content = Buffer.alloc(70 * 2 ** 20); // a message has 64 MiB
    for (let at = 0; at < content.length; at += 65_536) content.writeUInt32LE(at, at);
    assert.is(await printed(["put", path], { stdin: content }), "");
    assert.ok(fs.readFileSync(path).equals(content), "put: the bytes differ");
    assert.ok((await run(["cat", path])).bytes.equals(content), "cat: the bytes differ");
    assert.match(await printed(["cat", "/proc/self/status"]), /^Name:/);
  });

  it("put that is ended before its input leaves the old file and nothing else", async () => {
    const root = tempDir();
    const path = join(root, "large");
    const pipe = join(tempDir(), "pipe");
    execFileSync("mkfifo", [pipe]);
    const input = fs.openSync(pipe, fs.constants.O_RDWR);
    for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
      fs.writeFileSync(path, "old");
      const args = ["fs", "put", path, ...(where === "remote" ? ["--url-file", urlFile(server.url)] : [])];
      const put = startCli(args, { stdin: input });
      for (let sent = 0; sent < 1_000_000;) sent += fs.writeSync(input, Buffer.alloc(50_000));
      const until = Date.now() + 5_000;
      const looks = () => new Promise((resolve) => setTimeout(resolve, 10));
      while (fs.readdirSync(root).length < 2 && Date.now() < until) await looks();
      assert.is(fs.readdirSync(root).length, 2, "it is being written");
      put.signal(signal);
      assert.is((await put.ended).code, code);
      while (fs.readdirSync(root).length > 1 && Date.now() < until) await looks();
      assert.equal(fs.readdirSync(root), ["large"]);
      assert.is(fs.readFileSync(path, "utf8"), "old");
    }
    fs.closeSync(input);
  });

  it("ls lists names, directories with a slash", async () => {
    const root = tempDir();
    fs.mkdirSync(join(root, "dir"));
    fs.writeFileSync(join(root, "file"), "x");
    assert.equal((await printed(["ls", root])).split("\n").sort(), ["", "dir/", "file"]);
    const entries: unknown = JSON.parse(await printed(["ls", root, "--json"]));
    if (!Array.isArray(entries)) throw new Error("no list");
    assert.equal(entries.toSorted(byName), [
      { name: "dir", isFile: false, isDirectory: true },
      { name: "file", isFile: true, isDirectory: false },
    ]);
  });

  it("mkdir and rm do what their options say", async () => {
    const root = tempDir();
    const deep = join(root, "a/b/c");
    assert.is((await run(["mkdir", deep])).code, 1);
    await printed(["mkdir", "-p", deep]);
    await printed(["mkdir", "--parents", deep]);
    assert.is((await run(["mkdir", deep])).code, 1);
    assert.ok(fs.statSync(deep).isDirectory());
    assert.is((await run(["rm", join(root, "a")])).code, 1);
    await printed(["rm", "-r", join(root, "a")]);
    assert.equal(fs.readdirSync(root), []);
    assert.is((await run(["rm", join(root, "a")])).code, 1);
    await printed(["rm", "-f", join(root, "a")]);
  });

  it("stat describes, --json in full", async () => {
    const root = tempDir();
    const path = join(root, "007");
    fs.writeFileSync(path, "12345");
    fs.symlinkSync("007", join(root, "link"));
    const modified = new Date(Math.floor(fs.statSync(path).mtimeMs)).toISOString();
    assert.is(await printed(["stat", path]), `file\t5\t${modified}\t${path}\n`);
    assert.match(await printed(["stat", root]), /^directory\t/);
    assert.match(await printed(["stat", join(root, "link")]), /^link to file\t5\t/);
    const facts: unknown = JSON.parse(await printed(["stat", path, "--json"]));
    assert.match(JSON.stringify(facts), /"isDirectory":false.*"size":5/);
  });

  it("relative paths count from the environment's directory", async () => {
    const root = tempDir();
    fs.writeFileSync(join(root, "1e3"), "number");
    if (where === "local") assert.is(await printed(["cat", "1e3"], { cwd: root }), "number");
    assert.match(await printed(["stat", "."]), /^directory\t/);
  });

  it("takes arguments for what they are, also numbers after a switch", async () => {
    const root = tempDir();
    for (const name of ["008", "8", "true", "kept"]) fs.writeFileSync(join(root, name), name);
    const options = { cwd: root };
    if (where === "remote") return; // its directory is not ours
    await printed(["rm", "-f", "008"], options);
    assert.equal(fs.readdirSync(root).sort(), ["8", "kept", "true"]);
    await printed(["rm", "-rf", "true"], options);
    assert.equal(fs.readdirSync(root).sort(), ["8", "kept"]);
    assert.match(await printed(["ls", "--json", "--json", "."], options), /^\[/);
  });

  it("goes on after a path that fails, and exits with 1", async () => {
    const root = tempDir();
    fs.writeFileSync(join(root, "file"), "content");
    const { code, stdout, stderr } = await run(["cat", join(root, "missing"), join(root, "file")]);
    assert.equal([code, stdout], [1, "content"]);
    assert.match(stderr, MISSING);
    for (const operation of ["cat", "ls", "rm", "stat"]) {
      const end = await run([operation, join(root, "missing")]);
      assert.equal([end.code, end.stdout], [1, ""], operation);
      assert.match(end.stderr, MISSING);
    }
    assert.match((await run(["cat", root])).stderr, /is not a file/);
    assert.is((await run(["put", join(root, "missing/x")], { stdin: "x" })).code, 1);
  });
}

test("wrong command lines exit with 2, a missing server with 1", async () => {
  const wrong: [string[], RegExp][] = [
    [["frobnicate", "/x"], /unknown operation 'frobnicate': use one of cat, put, ls, rm, mkdir, stat/],
    [["toString", "/x"], /unknown operation/],
    [["cat"], /fs cat needs a path/],
    [["put", "/a", "/b"], /fs put takes one path/],
    [["cat", "/x", "--bogus"], /bogus/],
    [["cat", "/x", "--url", "ftp://x"], /ws:\/\//],
    [[], /operation|args/],
  ];
  for (const [args, text] of wrong) {
    const { code, stdout, stderr } = await runCli(["fs", ...args]);
    assert.equal([code, stdout], [2, ""], args.join(" "));
    assert.match(stderr, text, args.join(" "));
  }
  const { code, stderr } = await runCli(["fs", "cat", "/x", "--url", "ws://127.0.0.1:1"]);
  assert.is(code, 1);
  assert.match(stderr, /Is the server running\?/);
});

test.run();
