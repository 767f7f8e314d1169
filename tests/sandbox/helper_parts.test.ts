// What makes sandboxed file requests fast, piece by piece: what is left out must not be left out of the checks.
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ExecServerError } from "../../src/protocol/error.ts";
import { FsReadFile } from "../../src/protocol/files.ts";
import { readAnswer, readRequest } from "../../src/files/helper_messages.ts";
import { policedFiles } from "../../src/files/helper_policy.ts";
import { readSmallFile } from "../../src/files/helper_read.ts";
import { discardTemporaries } from "../../src/files/helper_temporary.ts";
import { createLeftovers } from "../../src/files/leftovers.ts";
import { localFiles } from "../../src/files/local.ts";
import { createSandboxMemory } from "../../src/files/sandbox_memory.ts";
import { temporaryName } from "../../src/files/temporary_file.ts";
import { lazyTimer } from "../../src/runtime/lazy_timer.ts";
import { codeOf } from "../harness/code_of.ts";
import { tempDir } from "../harness/temp.ts";
import { at, managed, special } from "./policies.ts";

const uri = (path: string) => pathToFileURL(path).href;

test("a small file is read in one go, if the policy lets it be read and nothing is special about it", () => {
  const root = realpathSync(tempDir());
  const inRoot = (name: string) => join(root, name);
  for (const folder of ["denied", "open"]) mkdirSync(inRoot(folder));
  for (const name of ["a", "denied/s", "open/.env", "open/caf\u00e9", "open/b (deleted)"]) {
    writeFileSync(inRoot(name), name);
  }
  writeFileSync(inRoot("empty"), "");
  writeFileSync(inRoot("large"), Buffer.alloc(64 * 1024 + 1));
  symlinkSync("a", inRoot("link"));
  symlinkSync("denied/s", inRoot("to-denied"));
  symlinkSync("open/.env", inRoot("to-pattern"));
  execFileSync("mkfifo", [inRoot("fifo")]);
  const policy = {
    base: "read" as const,
    rules: [{ path: inRoot("denied"), access: "deny" as const, kind: "directory" as const }],
    globs: [{ base: root, rest: "**/.env*", depth: undefined }],
  };
  const read = (name: string, more = {}) =>
    readSmallFile(policy, { path: uri(inRoot(name)), ...more })?.toString();
  for (const name of ["a", "open/caf\u00e9"]) assert.is(read(name), name);
  assert.is(read("link"), "a");
  assert.is(read("a", { followSymlinks: true }), "a");
  // Everything else takes the long way, which says why.
  const others = [
    "denied/s",
    "to-denied",
    "open/.env",
    "to-pattern",
    "empty",
    "large",
    "fifo",
    "open",
    "none",
  ];
  for (const name of [...others, "open/b (deleted)"]) assert.is(read(name), undefined, name);
  assert.is(read("link", { followSymlinks: false }), undefined);
  for (const params of [undefined, null, [], {}, { path: 1 }, { path: "a" }, { path: "http://a/b" }]) {
    assert.is(readSmallFile(policy, params), undefined);
  }
});

test("a tree is copied past no link that was in the way: what a pattern denies stays as it is", async () => {
  const root = realpathSync(tempDir());
  for (const folder of ["src/sub", "dst", "private", "ok"]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  for (const name of ["src/x", "src/sub/y", "src/z", "b.env", "private/y", "ok/z"]) {
    writeFileSync(join(root, name), name);
  }
  const base = { base: root, depth: undefined };
  const policy = {
    base: "write" as const,
    rules: [],
    globs: [{ ...base, rest: "**/*.env" }, { ...base, rest: "private/**" }],
  };
  const files = policedFiles(localFiles(), policy);
  const copy = () => codeOf(files.copy(join(root, "src"), join(root, "dst"), { recursive: true }));
  for (const [link, target] of [["x", "../b.env"], ["x", "../new.env"], ["sub", "../private"]] as const) {
    rmSync(join(root, "dst"), { recursive: true });
    mkdirSync(join(root, "dst"));
    symlinkSync(target, join(root, "dst", link));
    assert.is(await copy(), "EACCES", target);
  }
  assert.is(readFileSync(join(root, "b.env"), "utf8"), "b.env");
  assert.is(readFileSync(join(root, "private/y"), "utf8"), "private/y");
  assert.not.ok(existsSync(join(root, "new.env")));
  // A link to what may be written is followed, as without patterns.
  rmSync(join(root, "dst"), { recursive: true });
  mkdirSync(join(root, "dst"));
  symlinkSync("../ok/z", join(root, "dst/z"), "file");
  assert.is(await copy(), "it resolved");
  assert.is(readFileSync(join(root, "ok/z"), "utf8"), "src/z");
  assert.is(readFileSync(join(root, "dst/sub/y"), "utf8"), "src/sub/y");
});

test("a sandbox is decoded once for the same text, and anew for another", () => {
  const memory = createSandboxMemory();
  const params = (access: string) => ({
    path: "file:///a",
    sandbox: managed([special("root", "read"), at("/var", access)]),
  });
  const first = memory.decode(FsReadFile, params("write"));
  assert.is(first.params.path.href, "file:///a");
  const again = memory.decode(FsReadFile, { ...params("write"), path: "file:///b" });
  assert.is(again.sandbox, first.sandbox);
  assert.is(again.params.path.href, "file:///b");
  const other = memory.decode(FsReadFile, params("deny"));
  assert.is.not(other.sandbox, first.sandbox);
  assert.match(JSON.stringify(other.sandbox), '"deny"');
  assert.is(memory.decode(FsReadFile, { path: "file:///a" }).sandbox, undefined);
  assert.is(memory.decode(FsReadFile, { path: "file:///a", sandbox: null }).sandbox, null);
  // What is wrong is found out each time, also beside a sandbox that is known.
  for (
    const wrong of [params("perhaps"), { ...params("write"), path: 1 }, { path: "file:///a", sandbox: 1 }]
  ) {
    for (let count = 0; count < 2; count++) {
      assert.throws(
        () => memory.decode(FsReadFile, wrong),
        (error: unknown) => error instanceof ExecServerError && error.code === "INVALID_PARAMS",
      );
    }
  }
  // By position, as the reference takes them.
  const listed = memory.decode(FsReadFile, ["file:///a", null, params("write").sandbox]);
  assert.equal(listed.sandbox, first.sandbox);
});

test("what a helper says is read strictly", () => {
  assert.equal(readRequest('{"id":1,"method":"m","params":{}}'), { id: 1, method: "m", params: {} });
  assert.equal(readAnswer('{"id":1,"result":{"a":1}}'), { id: 1, result: { a: 1 } });
  const error = { code: -1, message: "no" };
  assert.equal(readAnswer(JSON.stringify({ id: 1, error })), { id: 1, error });
  assert.equal(readAnswer('{"temporary":"file:///a"}'), { temporary: "file:///a" });
  for (
    const line of ["", "1", "null", "{}", '{"id":"1","result":1}', '{"id":1}', '{"id":1,"error":{"code":1}}']
  ) {
    assert.throws(() => readAnswer(line), (thrown: unknown) => thrown instanceof ExecServerError, line);
    assert.throws(() => readRequest(line), (thrown: unknown) => thrown instanceof ExecServerError, line);
  }
});

test("only temporary files are discarded, and those that could not be are kept in mind", async () => {
  const root = tempDir();
  const temporary = join(root, temporaryName());
  const precious = join(root, ".exec-server-precious.tmp");
  for (const path of [temporary, precious]) writeFileSync(path, "");
  discardTemporaries([uri(temporary), uri(precious), uri(join(root, temporaryName())), "no URI"]);
  assert.equal(execFileSync("ls", ["-A", root], { encoding: "utf8" }), ".exec-server-precious.tmp\n");

  const leftovers = createLeftovers();
  leftovers.add("a", ["file:///1", "file:///2"]);
  leftovers.add("b", ["file:///3"]);
  const told: (readonly string[])[] = [];
  await leftovers.discard("a", () => Promise.reject(new Error("that one ended too")));
  for (const policy of ["a", "a", "b"]) {
    await leftovers.discard(policy, (uris) => Promise.resolve(told.push(uris)));
  }
  assert.equal(told, [["file:///1", "file:///2"], ["file:///3"]]);
});

test("a deadline that is put off comes once, and not before its time", async () => {
  const keep = setInterval(() => {}, 1_000); // the timer itself keeps no process alive
  try {
    let calls = 0;
    const from = performance.now();
    await new Promise<void>((resolve) => {
      const timer = lazyTimer(() => {
        calls++;
        resolve();
      });
      timer.set(from + 10);
      timer.set(from + 60);
    });
    assert.ok(performance.now() - from >= 60);
    const never = lazyTimer(() => calls++);
    never.set(performance.now() + 5);
    never.clear();
    await new Promise<void>((resolve) => {
      const sooner = lazyTimer(resolve);
      sooner.set(performance.now() + 60_000);
      sooner.set(performance.now() + 20);
    });
    assert.is(calls, 1);
  } finally {
    clearInterval(keep);
  }
});

test.run();
