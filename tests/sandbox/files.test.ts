// Sandboxed file requests, over the wire, by the compiled executable in both roles. The race tests run for a second
// or two each: what they look for must not happen once.
import * as fs from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ExecServerError } from "../../src/protocol/error.ts";
import { FsReadFile, FsWriteFile } from "../../src/protocol/files.ts";
import { createSandboxedFiles, MAX_HELPERS_PER_CONNECTION } from "../../src/files/sandboxed.ts";
import { createEnforcement } from "../../src/sandbox/enforcement.ts";
import { enforcedSandbox } from "../../src/protocol/sandbox.ts";
import * as v from "valibot";
import { cannotEnforce } from "../../src/sandbox/unavailable.ts";
import { connected } from "../harness/connected.ts";
import { until } from "../harness/proc.ts";
import { programUnderTest } from "../harness/program.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { type JsonObject, outcome, type WireClient } from "../harness/wire_client.ts";
import { fileHelpersOf } from "./file_helpers.ts";
import { at, glob, managed, skip, special } from "./policies.ts";

const EROFS = [-32603, "Read-only file system (os error 30)"];
const EACCES = [-32600, "Permission denied (os error 13)"];
const ENOENT = [-32004, "No such file or directory (os error 2)"];
const RACE_MS = 1_500;
const SECRET = "the secret";

let server: TestServer;
/** How long what ends with a connection may take. */
const SOON_MS = 5_000;
let client: WireClient;
let root: string;

connected((c, s) => {
  client = c;
  server = s;
});
test.before.each(() => {
  root = fs.realpathSync(tempDir());
  for (const folder of ["ws/.git", "ws/dir", "ws/denied", "outside"]) {
    fs.mkdirSync(join(root, folder), { recursive: true });
  }
  for (const name of ["ws/a", "ws/.git/config", "ws/dir/b", "outside/o"]) {
    fs.writeFileSync(join(root, name), name);
  }
  for (const name of ["ws/denied/s", "ws/.env"]) fs.writeFileSync(join(root, name), SECRET);
});
test.after.each(async () => {
  await until("its helpers end with a connection", () => helpers().length === 0, SOON_MS);
});

const uri = (path: string) => pathToFileURL(path).href;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const inRoot = (path: string) => join(root, path);

/** Workspace-write as Codex sends it, with what a test adds. */
const workspace = (...more: unknown[]) =>
  managed([
    special("root", "read"),
    at(inRoot("ws"), "write"),
    at(inRoot("ws/.git"), "read", skip),
    at(inRoot("ws/denied"), "deny"),
    ...more,
  ]);
const withGlob = () => workspace(glob(`${inRoot("ws")}/**/.env*`));

const ask = (method: string, params: JsonObject, by = client) => outcome(by.call(`fs/${method}`, params));
const read = async (path: string, sandbox: JsonObject, by = client) => {
  const answer = await ask("readFile", { path: uri(inRoot(path)), sandbox }, by);
  return Array.isArray(answer) ? answer : Buffer.from(String(answer["dataBase64"]), "base64").toString();
};
const write = (path: string, sandbox: JsonObject, text = "new", by = client) =>
  ask("writeFile", { path: uri(inRoot(path)), dataBase64: base64(text), sandbox }, by);
const on = (path: string, sandbox: JsonObject, more: JsonObject = {}) => ({
  path: uri(inRoot(path)),
  sandbox,
  ...more,
});

/** Processes of this server that are file helpers, inside their sandboxes. */
function helpers(): number[] {
  return fileHelpersOf(server.pid, process.pid);
}

test("inside the policy every method works", async () => {
  const sandbox = workspace();
  assert.is(await read("ws/a", sandbox), "ws/a");
  assert.is(await read("outside/o", sandbox), "outside/o");
  assert.equal(await write("ws/new", sandbox), {});
  assert.is(fs.readFileSync(inRoot("ws/new"), "utf8"), "new");
  assert.equal(await ask("createDirectory", on("ws/x/y", sandbox)), {});
  assert.equal(await ask("createDirectory", on("ws/x/y", sandbox)), {});
  const stat = await ask("getMetadata", on("ws/a", sandbox));
  assert.is("size" in stat && stat.size, 4);
  assert.equal(await ask("canonicalize", on("ws/a", sandbox)), { path: uri(inRoot("ws/a")) });
  const copy = {
    sourcePath: uri(inRoot("ws/dir")),
    destinationPath: uri(inRoot("ws/copy")),
    recursive: true,
    sandbox,
  };
  assert.equal(await ask("copy", copy), {});
  assert.is(fs.readFileSync(inRoot("ws/copy/b"), "utf8"), "ws/dir/b");
  assert.equal(await ask("readDirectory", on("ws/copy", sandbox)), {
    entries: [{ fileName: "b", isDirectory: false, isFile: true }],
  });
  const options = { maxDepth: 9, maxDirectories: 99, maxEntries: 99, followDirectorySymlinks: false };
  assert.equal(await ask("walk", on("ws/copy", sandbox, { options })), {
    entries: [{ path: uri(inRoot("ws/copy/b")), kind: "file" }],
    errors: [],
    truncated: false,
  });
  assert.equal(await ask("remove", on("ws/copy", sandbox)), {});
  assert.not(fs.existsSync(inRoot("ws/copy")));
  assert.is(helpers().length, 1);
});

test("outside the policy nothing happens, and errors are the usual ones", async () => {
  const sandbox = workspace();
  assert.equal(await write("outside/o", sandbox), EROFS);
  assert.equal(await write("outside/new", sandbox), EROFS);
  assert.equal(await write("ws/.git/config", sandbox), EROFS);
  assert.equal(await ask("createDirectory", on("outside/x", sandbox)), EROFS);
  assert.equal(await ask("remove", on("outside/o", sandbox)), EROFS);
  assert.equal(await read("ws/denied/s", sandbox), EACCES);
  assert.equal(await ask("readDirectory", on("ws/denied", sandbox)), EACCES);
  assert.equal(await write("ws/denied/new", sandbox), EACCES);
  assert.equal(await read("ws/missing", sandbox), ENOENT);
  assert.equal(await ask("remove", on("ws/missing", sandbox)), {});
  const copy = (from: string, to: string) =>
    ask("copy", {
      sourcePath: uri(inRoot(from)),
      destinationPath: uri(inRoot(to)),
      recursive: true,
      sandbox,
    });
  assert.equal(await copy("ws/a", "outside/a"), EROFS);
  assert.equal(await copy("ws/denied/s", "ws/s"), EACCES);
  assert.ok(Array.isArray(await ask("remove", on("ws/.git", sandbox))));
  assert.equal(fs.readdirSync(inRoot("outside")), ["o"]);
  assert.is(fs.readFileSync(inRoot("ws/.git/config"), "utf8"), "ws/.git/config");
  assert.is(fs.readFileSync(inRoot("ws/denied/s"), "utf8"), SECRET);
});

test("where nothing of the system is granted the helper runs, and shows no more", async () => {
  const sandbox = managed([at(inRoot("ws"), "write")]);
  assert.is(await read("ws/a", sandbox), "ws/a");
  assert.equal(await write("ws/new", sandbox), {});
  const library = await ask("readFile", { path: "file:///lib64/ld-linux-x86-64.so.2", sandbox });
  assert.equal(library, EACCES);
  assert.equal(await ask("readFile", { path: "file:///etc/hostname", sandbox }), ENOENT);
  assert.equal((await read("outside/o", sandbox))[0], -32004);
});

test("a pattern denies what was there, and what is made while the helper runs", async () => {
  const sandbox = withGlob();
  assert.is(await read("ws/a", sandbox), "ws/a");
  assert.equal(await read("ws/.env", sandbox), EACCES);
  fs.writeFileSync(inRoot("ws/dir/.env.local"), SECRET);
  assert.equal(await read("ws/dir/.env.local", sandbox), EACCES);
  assert.equal(await write("ws/dir/.env.new", sandbox), EACCES);
  fs.symlinkSync(".env.local", inRoot("ws/dir/link"));
  assert.equal(await read("ws/dir/link", sandbox), EACCES);
  const copy = {
    sourcePath: uri(inRoot("ws/dir")),
    destinationPath: uri(inRoot("ws/c")),
    recursive: true,
    sandbox,
  };
  assert.equal(await ask("copy", copy), EACCES);
  assert.equal(await ask("remove", on("ws/dir", sandbox)), EACCES);
  const options = { maxDepth: 9, maxDirectories: 99, maxEntries: 99, followDirectorySymlinks: false };
  const walked = JSON.stringify(await ask("walk", on("ws/dir", sandbox, { options })));
  assert.match(walked, "dir/b");
  assert.not.match(walked, ".env.local");
  assert.match(String(await ask("readFile", on("ws/dir", sandbox))), "is not a file");
});

test("links, hard links and renames do not lead out", async () => {
  const sandbox = workspace();
  fs.symlinkSync(inRoot("ws/denied/s"), inRoot("ws/link"));
  fs.symlinkSync(inRoot("outside"), inRoot("ws/away"));
  assert.equal(await read("ws/link", sandbox), EACCES);
  assert.equal(await write("ws/away/o", sandbox), EROFS);
  assert.equal(await write("ws/away/new", sandbox), EROFS);
  assert.equal(await ask("remove", on("ws/away/o", sandbox)), EROFS);
  // The link itself is in the workspace.
  assert.equal(await ask("remove", on("ws/away", sandbox)), {});
  assert.equal(fs.readdirSync(inRoot("outside")), ["o"]);
  // What the host moves away takes its mask along; the name is denied again before the next request.
  fs.renameSync(inRoot("ws/denied"), inRoot("ws/moved"));
  fs.mkdirSync(inRoot("ws/denied"));
  fs.writeFileSync(inRoot("ws/denied/s"), SECRET);
  assert.equal(await read("ws/denied/s", sandbox), EACCES);
  // A second name cannot be had from inside: there is no request for one, and a copy is a read.
  const copy = {
    sourcePath: uri(inRoot("ws/link")),
    destinationPath: uri(inRoot("ws/link2")),
    recursive: false,
  };
  assert.equal(await ask("copy", { ...copy, sandbox }), {});
  assert.equal(await read("ws/link2", sandbox), EACCES);
});

test("what is replaced on the host while the helper runs is protected again", async () => {
  const sandbox = workspace(at(inRoot("ws/.env"), "deny"));
  assert.equal(await read("ws/.env", sandbox), EACCES);
  const [before] = helpers();
  for (let count = 0; count < 3; count++) {
    fs.writeFileSync(inRoot("ws/.env.tmp"), SECRET);
    fs.renameSync(inRoot("ws/.env.tmp"), inRoot("ws/.env"));
    assert.equal(await read("ws/.env", sandbox), EACCES);
    fs.renameSync(inRoot("ws/.git"), inRoot(`ws/git${count}`));
    fs.mkdirSync(inRoot("ws/.git"));
    assert.equal(await write("ws/.git/config", sandbox), EROFS);
  }
  assert.is(helpers().length, 1);
  assert.is.not(helpers()[0], before);
});

test("a protected name that does not exist cannot be made, and leaves nothing", async () => {
  fs.rmSync(inRoot("ws/.git"), { recursive: true });
  const sandbox = managed([
    special("root", "read"),
    at(inRoot("ws"), "write"),
    at(inRoot("ws/.git"), "read"),
  ]);
  assert.equal(await write("ws/a", sandbox), {});
  assert.ok(Array.isArray(await write("ws/.git/config", sandbox)));
  assert.ok(Array.isArray(await ask("createDirectory", on("ws/.git/hooks", sandbox))));
  await client.terminate();
  await until("the stand-in is gone", () => !fs.existsSync(inRoot("ws/.git")), SOON_MS);
});

test("a race with a link that changes its target wins nothing", async () => {
  const sandbox = withGlob();
  fs.writeFileSync(inRoot("outside/o"), "outside");
  const swap = (name: string, target: string) => {
    fs.symlinkSync(target, inRoot(`ws/${name}.tmp`));
    fs.renameSync(inRoot(`ws/${name}.tmp`), inRoot(`ws/${name}`));
  };
  swap("race", "a");
  assert.is(await read("ws/race", sandbox), "ws/a");
  const until = Date.now() + RACE_MS;
  let stop = false;
  const turning = (async () => {
    for (let turn = 0; !stop; turn++) {
      // The newest file that the pattern is about is known to the helper only.
      if (turn % 16 === 0) fs.writeFileSync(inRoot(`ws/dir/.env${turn % 64}`), SECRET);
      swap("race", turn % 2 === 0 ? `dir/.env${Math.floor(turn / 16) * 16 % 64}` : "a");
      swap("out", turn % 2 === 0 ? "../outside/o" : "a");
      if (turn % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  let good = 0;
  const looking = async () => {
    while (Date.now() < until) {
      const got = await read("ws/race", sandbox);
      assert.is.not(got, SECRET);
      if (typeof got === "string") good++;
      await write("ws/out", sandbox, "written");
      assert.is(fs.readFileSync(inRoot("outside/o"), "utf8"), "outside");
    }
  };
  try {
    await Promise.all([looking(), looking()]);
  } finally {
    stop = true;
    await turning;
  }
  assert.ok(good > 0, "the allowed file was never read: the race was not a race");
  assert.is(fs.readFileSync(inRoot("outside/o"), "utf8"), "outside");
});

test("a race with a folder that is exchanged for a link wins nothing", async () => {
  const sandbox = workspace();
  fs.mkdirSync(inRoot("ws/real"));
  let stop = false;
  const turning = (async () => {
    while (!stop) {
      fs.renameSync(inRoot("ws/real"), inRoot("ws/other"));
      fs.symlinkSync(inRoot("outside"), inRoot("ws/real"));
      await new Promise((resolve) => setImmediate(resolve));
      fs.unlinkSync(inRoot("ws/real"));
      fs.renameSync(inRoot("ws/other"), inRoot("ws/real"));
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const until = Date.now() + RACE_MS;
  let written = 0;
  while (Date.now() < until) {
    const [wrote] = await Promise.all([
      write("ws/real/f", sandbox),
      ask("remove", on("ws/real/o", sandbox)),
      ask("createDirectory", on("ws/real/d", sandbox, { recursive: false })),
    ]);
    if (!Array.isArray(wrote)) written++;
  }
  stop = true;
  await turning;
  assert.ok(written > 0);
  assert.equal(fs.readdirSync(inRoot("outside")), ["o"]);
});

test("a helper that is killed fails its request only; the next one has another", async () => {
  const sandbox = workspace();
  assert.is(await read("ws/a", sandbox), "ws/a");
  const [pid = 0] = helpers();
  process.kill(pid, "SIGSTOP");
  const pending = read("ws/a", sandbox);
  await new Promise((resolve) => setTimeout(resolve, 100));
  process.kill(pid, "SIGKILL");
  const failed = await pending;
  assert.is(failed[0], -32603);
  assert.match(String(failed[1]), "file helper");
  assert.is(await read("ws/a", sandbox), "ws/a");
  assert.is.not(helpers()[0], pid);
});

test("a helper that hangs is ended when the time is over", async () => {
  const [executable = ""] = programUnderTest();
  const enforcement = createEnforcement({ stateFolder: tempDir() });
  const files = createSandboxedFiles(enforcement, {
    executable: fs.realpathSync(executable),
    requestLimitMs: 400,
  });
  const asked = v.parse(enforcedSandbox(), workspace());
  const gone = new AbortController();
  const readOne = () => files.call(asked, FsReadFile, { path: uri(inRoot("ws/a")) }, gone.signal);
  assert.equal(await readOne(), { result: { dataBase64: base64("ws/a") } });
  const [pid = 0] = helpers();
  process.kill(pid, "SIGSTOP");
  const error = await readOne().catch((failure: unknown) => failure);
  assert.instance(error, ExecServerError);
  assert.match(String(error), "did not answer in 0.4 s");
  assert.equal(await readOne(), { result: { dataBase64: base64("ws/a") } });
  gone.abort();
  await until("its helper ends with the connection", () => helpers().length === 0, SOON_MS);
});

test("a helper that nobody uses ends", async () => {
  const [executable = ""] = programUnderTest();
  const enforcement = createEnforcement({ stateFolder: tempDir() });
  const files = createSandboxedFiles(enforcement, { executable: fs.realpathSync(executable), idleMs: 200 });
  const asked = v.parse(enforcedSandbox(), workspace());
  const { signal } = new AbortController();
  const readOne = () => files.call(asked, FsReadFile, { path: uri(inRoot("ws/a")) }, signal);
  for (let count = 0; count < 2; count++) {
    assert.equal(await readOne(), { result: { dataBase64: base64("ws/a") } });
    assert.is(helpers().length, 1);
    await until("an idle helper ends", () => helpers().length === 0, SOON_MS);
  }
});

test("from source nothing is carried out without a helper", async () => {
  const files = createSandboxedFiles(createEnforcement({ stateFolder: tempDir() }));
  const asked = v.parse(enforcedSandbox(), workspace());
  const { signal } = new AbortController();
  const error = await files.call(asked, FsReadFile, { path: uri(inRoot("ws/a")) }, signal).catch(String);
  assert.match(String(error), "cannot be enforced on this executor: needs-executable");
  assert.is(await files.call(null, FsReadFile, {}, signal), undefined);
});

test("where no sandbox can be made nothing is carried out", async () => {
  const [executable = ""] = programUnderTest();
  const enforcement = {
    ...createEnforcement({ stateFolder: tempDir() }),
    plan: () => Promise.reject(cannotEnforce("bwrap-missing")),
  };
  const files = createSandboxedFiles(enforcement, { executable });
  const asked = v.parse(enforcedSandbox(), workspace());
  const params = { path: uri(inRoot("ws/a")), dataBase64: "" };
  const error = await files.call(asked, FsWriteFile, params, new AbortController().signal).catch(String);
  assert.match(String(error), "cannot be enforced on this executor: bwrap-missing");
  assert.is(fs.readFileSync(inRoot("ws/a"), "utf8"), "ws/a");
  assert.equal(helpers(), []);
});

test("a helper that cannot be started says so, and that nothing was carried out", async () => {
  const [executable = ""] = programUnderTest();
  const bwrap = inRoot("bwrap");
  fs.writeFileSync(bwrap, "#!/bin/sh\necho no namespaces left >&2\nexit 1\n", { mode: 0o755 });
  const enforcement = {
    ...createEnforcement({ stateFolder: tempDir() }),
    available: () => Promise.resolve({ bwrap }),
  };
  const files = createSandboxedFiles(enforcement, { executable: fs.realpathSync(executable) });
  const asked = v.parse(enforcedSandbox(), workspace());
  const params = { path: uri(inRoot("ws/a")), dataBase64: "" };
  const error = await files.call(asked, FsWriteFile, params, new AbortController().signal).catch(String);
  const text = "the file helper could not be started, and nothing was carried out: no namespaces left";
  assert.match(String(error), text);
  await files.close();
});

test("the operator's floor holds for those who ask for nothing", async () => {
  const floored = await startServer({ args: ["--sandbox-floor", "read-only"] });
  try {
    const user = await floored.connect();
    const none = { permissions: { type: "disabled" }, windowsSandboxLevel: "disabled" };
    for (const sandbox of [none, workspace()]) {
      assert.is(await read("ws/a", sandbox, user), "ws/a");
      assert.equal(await write("ws/a", sandbox, "new", user), EROFS);
    }
    const params = { path: uri(inRoot("ws/a")), dataBase64: "" };
    assert.equal(await ask("writeFile", params, user), EROFS);
    await user.close();
  } finally {
    await floored.stop();
  }
});

test("a malformed policy, and one that names what is not there, are refused", async () => {
  for (
    const sandbox of [
      { permissions: { type: "managed" } },
      { permissions: { type: "elsewhere" }, windowsSandboxLevel: "disabled" },
      managed([at("/nowhere/at/all", "write")]),
      managed([at(inRoot("ws"), "perhaps")]),
      managed([glob("/**/[", "deny")]),
      workspace(special("unheard_of", "deny")),
    ]
  ) {
    const answer = await write("ws/a", sandbox);
    assert.is(Array.isArray(answer) && answer[0], -32602, JSON.stringify(answer));
  }
  assert.is(fs.readFileSync(inRoot("ws/a"), "utf8"), "ws/a");
  assert.equal(helpers(), []);
});

test("what is not asked for as a sandbox is carried out by the server", async () => {
  for (const type of ["disabled", "external"]) {
    const permissions = type === "external" ? { type, network: "restricted" } : { type };
    assert.is(await read("ws/a", { permissions, windowsSandboxLevel: "disabled" }), "ws/a");
  }
  assert.equal(helpers(), []);
});

test("many policies share a few places", async () => {
  const count = MAX_HELPERS_PER_CONNECTION * 3;
  const sandboxes = Array.from({ length: count }, (_, index) => {
    fs.mkdirSync(inRoot(`ws/p${index}`));
    return workspace(at(inRoot(`ws/p${index}`), "read"));
  });
  const answers = await Promise.all(sandboxes.map((sandbox) => read("ws/a", sandbox)));
  assert.equal(answers, sandboxes.map(() => "ws/a"));
  await until(
    "no more helpers than there may be",
    () => helpers().length <= MAX_HELPERS_PER_CONNECTION,
    SOON_MS,
  );
  assert.is(await read("ws/a", sandboxes[0] ?? {}), "ws/a");
});

test("the largest file passes, both ways", async () => {
  const sandbox = workspace();
  const bytes = Buffer.alloc(45 * 1024 * 1024, "0123456789abcde\n");
  fs.writeFileSync(inRoot("ws/large"), bytes);
  const got = await client.call("fs/readFile", on("ws/large", sandbox), { timeoutMs: 60_000 });
  assert.ok(Buffer.from(String(got["dataBase64"]), "base64").equals(bytes));
  const dataBase64 = bytes.toString("base64");
  await client.call("fs/writeFile", on("ws/copy", sandbox, { dataBase64 }), { timeoutMs: 60_000 });
  assert.ok(fs.readFileSync(inRoot("ws/copy")).equals(bytes));
  fs.appendFileSync(inRoot("ws/large"), "x");
  assert.match(String((await read("ws/large", sandbox))[1]), "too large to read");
});

test("the helper says one line for one request", () => {
  const [program = ""] = programUnderTest();
  const policy = {
    base: "read",
    rules: [{ path: inRoot("ws"), access: "deny", kind: "directory" }],
    globs: [],
  };
  const once = (path: string) => {
    const input = JSON.stringify({ policy, method: "fs/readFile", params: { path: uri(inRoot(path)) } });
    const { stdout, status } = spawnSync(program, ["fs-helper", "--once"], { input, encoding: "utf8" });
    assert.is(status, 0);
    assert.is(stdout.indexOf("\n"), stdout.length - 1);
    return JSON.parse(stdout);
  };
  assert.equal(once("outside/o"), { result: { dataBase64: base64("outside/o") } });
  assert.equal(once("ws/a"), { error: { code: EACCES[0], message: EACCES[1] } });
});

test("nothing of a connection outlives it, nor of the server", async () => {
  const other = await server.connect();
  assert.is(await read("ws/a", workspace(), other), "ws/a");
  assert.is(helpers().length, 1);
  await other.close();
  await until("its helper ends with the connection", () => helpers().length === 0, SOON_MS);

  const second = await startServer();
  const user = await second.connect();
  assert.is(await read("ws/a", workspace(), user), "ws/a");
  await second.stop("SIGKILL");
  await user.closed;
});

test.run();
