// fs/* as it looks on the wire: codes and texts, bad input, files that would hang or lose data. What the original
// server does is also replayed from records in transcripts.test.ts; here is what is better on purpose.
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connected } from "../harness/connected.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir, tempDirIn } from "../harness/temp.ts";
import { type JsonObject, refusal, type WireClient } from "../harness/wire_client.ts";

const PROMPT_MS = 3_000;
const MAX_READ_FILE_BYTES = 45 * 1024 * 1024;
const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;
const DENIED = [-32600, "Permission denied (os error 13)"];

let client: WireClient;

connected((c) => {
  client = c;
});

const uri = (path: string) => pathToFileURL(path).href;
const base64 = (text: string) => Buffer.from(text).toString("base64");

/** Starts the server by another program, which gets the server's command line as its last arguments. */
async function startUnder(wrapper: string[]): Promise<TestServer> {
  const set = process.env["EXEC_SERVER_BIN"];
  const bin = set ?? fileURLToPath(new URL("../../dist/exec-server", import.meta.url));
  process.env["EXEC_SERVER_BIN"] = [...wrapper, bin].join(" ");
  try {
    return await startServer({ env: { TMPDIR: undefined } }); // the private one is root's alone
  } finally {
    if (set === undefined) delete process.env["EXEC_SERVER_BIN"];
    else process.env["EXEC_SERVER_BIN"] = set;
  }
}

/** Code and text of the error that a request is answered with. */
const refused = (method: string, params: JsonObject, by = client) =>
  refusal(by.call(method, params, { timeoutMs: PROMPT_MS }));

function folder(): string {
  const root = tempDir();
  fs.writeFileSync(join(root, "file"), "content");
  fs.mkdirSync(join(root, "dir"));
  fs.writeFileSync(join(root, "dir/inner"), "inner");
  execFileSync("mkfifo", [join(root, "fifo")]);
  return root;
}

const walkOptions = {
  maxDepth: 64,
  maxDirectories: 10_000,
  maxEntries: 50_000,
  followDirectorySymlinks: false,
};

/** Every method, aimed at one path. */
function everyMethod(path: string): [string, JsonObject][] {
  return [
    ["fs/readFile", { path }],
    ["fs/writeFile", { path, dataBase64: "" }],
    ["fs/createDirectory", { path }],
    ["fs/getMetadata", { path }],
    ["fs/canonicalize", { path }],
    ["fs/readDirectory", { path }],
    ["fs/walk", { path, options: walkOptions }],
    ["fs/remove", { path, recursive: false }],
    ["fs/copy", { sourcePath: path, destinationPath: path, recursive: false }],
  ];
}

test("a directory where a file is meant, and the reverse", async () => {
  const root = folder();
  const dir = uri(join(root, "dir"));
  const file = uri(join(root, "file"));
  const notADirectory = [-32603, "Not a directory (os error 20)"];
  assert.equal(await refused("fs/readFile", { path: dir }), [
    -32600,
    `path \`${join(root, "dir")}\` is not a file`,
  ]);
  assert.equal(await refused("fs/writeFile", { path: dir, dataBase64: "" }), [
    -32603,
    "Is a directory (os error 21)",
  ]);
  assert.equal(await refused("fs/readDirectory", { path: file }), notADirectory);
  assert.equal(await refused("fs/readFile", { path: `${file}/x` }), notADirectory);
  assert.equal(await refused("fs/writeFile", { path: `${file}/x`, dataBase64: "" }), notADirectory);
  assert.equal(await refused("fs/createDirectory", { path: file }), [-32603, "File exists (os error 17)"]);
  assert.equal(await refused("fs/createDirectory", { path: `${file}/x` }), notADirectory);
  assert.equal(await client.call("fs/walk", { path: file, options: walkOptions }), {
    entries: [],
    errors: [],
    truncated: false,
  });
});

test("a FIFO is refused at once, and delays neither other requests nor the end", async () => {
  const own = await startServer();
  try {
    const peer = await own.connect();
    const root = folder();
    const path = uri(join(root, "fifo"));
    const notAFile = [-32600, `path \`${join(root, "fifo")}\` is not a file`];
    assert.equal(await refused("fs/readFile", { path }, peer), notAFile);
    assert.equal(await refused("fs/writeFile", { path, dataBase64: base64("x") }, peer), notAFile);
    const without = { path, followSymlinks: false };
    assert.equal(await refused("fs/readFile", without, peer), [-32600, "path is not a regular file"]);
    assert.equal(await refused("fs/writeFile", { ...without, dataBase64: "" }, peer), [
      -32600,
      "path is not a regular file",
    ]);
    assert.equal(
      (await refused(
        "fs/copy",
        { sourcePath: path, destinationPath: uri(join(root, "c")), recursive: false },
        peer,
      ))[0],
      -32600,
    );
    assert.equal(
      await refused("fs/copy", {
        sourcePath: uri(join(root, "file")),
        destinationPath: path,
        recursive: false,
      }, peer),
      notAFile,
    );
    assert.equal(
      await peer.call("fs/getMetadata", { path }, { timeoutMs: PROMPT_MS }).then((m) => m["isFile"]),
      false,
    );
    const begun = Date.now();
    await own.stop("SIGTERM");
    assert.ok(Date.now() - begun < PROMPT_MS, "the end had to be forced");
  } finally {
    await own.stop();
  }
});

test("devices are refused", async () => {
  assert.equal(await refused("fs/readFile", { path: "file:///dev/zero" }), [
    -32600,
    "path `/dev/zero` is not a file",
  ]);
  const write = { path: "file:///dev/null", dataBase64: "" };
  assert.equal(await refused("fs/writeFile", write), [-32600, "path `/dev/null` is not a file"]);
});

test("a path that is no file: URI, in every method", async () => {
  const bad: [unknown, number, string][] = [
    ["/etc/passwd", -32602, "invalid URI: relative URL without a base"],
    ["", -32602, "invalid URI: relative URL without a base"],
    ["http://example.com/x", -32602, "unsupported path URI scheme `http`"],
    ["file:///a?b", -32602, "query parameters are not allowed in path URIs"],
    ["file:///a#b", -32602, "fragments are not allowed in path URIs"],
    ["file:///a%00b", -32602, `'file:///a%00b' is invalid on '${process.platform}'`],
    ["file:///C:/x", -32600, `'file:///C:/x' is invalid on '${process.platform}'`],
    ["file://host/x", -32600, `'file://host/x' is invalid on '${process.platform}'`],
    [5, -32602, "invalid type: number, expected a string"],
    [null, -32602, "invalid type: null, expected a string"],
  ];
  for (const [path, code, message] of bad) {
    for (const [method, params] of everyMethod("")) {
      const wrong = Object.fromEntries(
        Object.entries(params).map(([key, value]) => [key, /path/i.test(key) ? path : value]),
      );
      assert.equal(await refused(method, wrong), [code, message], `${method} ${String(path)}`);
    }
  }
});

test("bad base64 leaves the file alone", async () => {
  const path = join(folder(), "file");
  for (
    const [dataBase64, problem] of [["!", "Invalid symbol 33, offset 0."], ["eA", "Invalid padding"], [
      "eA==\n",
      "Invalid symbol 61, offset 2.",
    ]]
  ) {
    const [code, message] = await refused("fs/writeFile", { path: uri(path), dataBase64 });
    assert.is(code, -32600);
    if (dataBase64 !== "eA==\n") {
      assert.is(message, `fs/writeFile requires valid base64 dataBase64: ${problem}`);
    }
  }
  assert.is(fs.readFileSync(path, "utf8"), "content");
});

test("in a sandbox that shows nothing, or that cannot be had, every method fails and nothing happens", async () => {
  const root = folder();
  const permissions = {
    type: "managed",
    network: "restricted",
    file_system: { type: "restricted", entries: [] },
  };
  for (const [method, params] of everyMethod(uri(join(root, "dir/inner")))) {
    const sandbox = { permissions, windowsSandboxLevel: "disabled" };
    const [code] = await refused(method, { ...params, sandbox });
    assert.ok([-32600, -32603, -32004].includes(code), `${method}: ${code}`);
    await client.call(method, { ...params, sandbox: null }).catch(() => {});
    fs.writeFileSync(join(root, "dir/inner"), "inner");
  }
  assert.is(fs.readFileSync(join(root, "dir/inner"), "utf8"), "inner");
});

test("removing is recursive and forced unless told otherwise, making directories is recursive", async () => {
  const root = folder();
  const path = uri(join(root, "p/q/r"));
  assert.equal(await client.call("fs/createDirectory", { path }), {});
  assert.equal(await client.call("fs/createDirectory", { path, recursive: null }), {});
  assert.is((await refused("fs/createDirectory", { path, recursive: false }))[0], -32603);
  const p = uri(join(root, "p"));
  assert.equal(await refused("fs/remove", { path: p, recursive: false }), [
    -32603,
    "Directory not empty (os error 39)",
  ]);
  assert.equal(await client.call("fs/remove", { path: p, recursive: null, force: null }), {});
  assert.equal(await client.call("fs/remove", { path: p }), {});
  assert.equal(await refused("fs/remove", { path: p, force: false }), [
    -32004,
    "No such file or directory (os error 2)",
  ]);
  assert.equal(fs.readdirSync(root).sort(), ["dir", "fifo", "file"]);
});

test("a file of 45 MiB is read in one answer, a larger one names the calls for blocks", async () => {
  const path = join(tempDir(), "big");
  fs.writeFileSync(path, "");
  fs.truncateSync(path, MAX_READ_FILE_BYTES);
  const { dataBase64 } = await client.call("fs/readFile", { path: uri(path) });
  assert.is(String(dataBase64).length, MAX_READ_FILE_BYTES / 3 * 4);
  fs.truncateSync(path, MAX_READ_FILE_BYTES + 1);
  const [code, message] = await refused("fs/readFile", { path: uri(path) });
  assert.is(code, -32600);
  assert.match(message, "file is too large to read");
  assert.match(message, /fs\/open.*fs\/readBlock/);
});

test("copying a file onto itself is refused and loses nothing", async () => {
  const root = folder();
  const source = join(root, "file");
  fs.linkSync(source, join(root, "hard"));
  fs.symlinkSync("file", join(root, "link"));
  for (const to of ["file", "hard", "link"]) {
    const params = { sourcePath: uri(source), destinationPath: uri(join(root, to)), recursive: false };
    assert.is((await refused("fs/copy", params))[0], -32600, to);
    assert.is(fs.readFileSync(source, "utf8"), "content");
  }
});

test("the time of creation is the real one", async () => {
  const path = join(folder(), "file");
  const { createdAtMs, modifiedAtMs } = await client.call("fs/getMetadata", { path: uri(path) });
  const real = fs.statSync(path);
  assert.equal([createdAtMs, modifiedAtMs], [Math.floor(real.birthtimeMs), Math.floor(real.mtimeMs)]);
});

test("a name that is not UTF-8 can be addressed by what a walk tells", async () => {
  const root = tempDir();
  execFileSync("sh", ["-c", `printf raw > "$(printf 'b\\377')"`], { cwd: root });
  if (JSON.stringify(client.initializeResult).includes('"nonUtf8Paths":false')) {
    // Deno's file functions would touch another file, so it is refused there.
    assert.is(process.env["EXEC_SERVER_FORM"], "deno");
    assert.is((await refused("fs/readFile", { path: `${uri(root)}/b%FF` }))[0], -32600);
    return;
  }
  const { entries } = await client.call("fs/walk", { path: uri(root), options: walkOptions });
  assert.equal(entries, [{ path: `${uri(root)}/b%FF`, kind: "file" }]);
  assert.equal(await client.call("fs/readFile", { path: `${uri(root)}/b%FF` }), {
    dataBase64: base64("raw"),
  });
  const listed = await client.call("fs/readDirectory", { path: uri(root) });
  assert.equal(listed["entries"], [{ fileName: "b\ufffd", isDirectory: false, isFile: true }]);
});

test("what the server's user may not do", async () => {
  const root = tempDir();
  const at = (path: string) => join(root, path);
  fs.writeFileSync(at("secret"), "secret");
  fs.writeFileSync(at("readonly"), "kept");
  fs.mkdirSync(at("closed"));
  fs.writeFileSync(at("closed/writable"), "old content");
  fs.mkdirSync(at("unreadable"));
  fs.chmodSync(at("secret"), 0);
  fs.chmodSync(at("readonly"), 0o444);
  fs.chmodSync(at("closed"), 0o555);
  fs.chmodSync(at("unreadable"), 0o111);
  if (isRoot) {
    fs.writeFileSync(at("foreign"), "of another user");
    fs.chmodSync(at("foreign"), 0o666);
    fs.chownSync(at("foreign"), NOBODY, NOBODY);
  }
  // Root without its capabilities is a user like others; another user may be unable to reach this very source.
  const user = await startUnder(isRoot ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] : []);
  try {
    const peer = await user.connect();
    const dataBase64 = base64("new");
    assert.equal(await refused("fs/readFile", { path: uri(at("secret")) }, peer), DENIED);
    // The directory would allow an exchange; the file's own mode forbids the write.
    assert.equal(await refused("fs/writeFile", { path: uri(at("readonly")), dataBase64 }, peer), DENIED);
    assert.is(fs.readFileSync(at("readonly"), "utf8"), "kept");
    const copy = {
      sourcePath: uri(at("closed/writable")),
      destinationPath: uri(at("readonly")),
      recursive: false,
    };
    assert.equal(await refused("fs/copy", copy, peer), DENIED);
    assert.equal(await refused("fs/writeFile", { path: uri(at("closed/new")), dataBase64 }, peer), DENIED);
    assert.equal(await refused("fs/createDirectory", { path: uri(at("closed/d")) }, peer), DENIED);
    assert.equal(await refused("fs/remove", { path: uri(at("closed/writable")) }, peer), DENIED);
    assert.equal(await refused("fs/readDirectory", { path: uri(at("unreadable")) }, peer), DENIED);

    // No new entry is allowed there, but the file itself is writable.
    assert.equal(await peer.call("fs/writeFile", { path: uri(at("closed/writable")), dataBase64 }), {});
    assert.is(fs.readFileSync(at("closed/writable"), "utf8"), "new");
    if (isRoot) {
      // The right to give an exchanged file to its owner is a capability.
      assert.equal(await peer.call("fs/writeFile", { path: uri(at("foreign")), dataBase64 }), {});
      assert.is(fs.readFileSync(at("foreign"), "utf8"), "new");
      assert.is(fs.statSync(at("foreign")).uid, NOBODY);
    }

    const { entries, errors } = await peer.call("fs/walk", { path: uri(root), options: walkOptions });
    assert.equal(errors, [{ path: uri(at("unreadable")), message: DENIED[1] }]);
    assert.is(Array.isArray(entries) && entries.length, isRoot ? 6 : 5);
    assert.equal(fs.readdirSync(root).filter((name) => name.includes("tmp")), []);
  } finally {
    await user.stop();
    fs.chmodSync(at("closed"), 0o755);
    fs.chmodSync(at("unreadable"), 0o755);
  }
});

/**
 * A server whose files in `root` cannot grow beyond a mebibyte: a small tmpfs in a mount namespace of its own, which
 * ends with the server; where that is forbidden, a limit on the size of every file.
 */
async function startWithSmallDisk(root: string): Promise<[TestServer, full: string]> {
  const script = join(tempDirIn("/var/tmp"), "small_disk.sh");
  const unshare = ["unshare", isRoot ? "-m" : "-rm"];
  const mount = `mount -t tmpfs -o size=1m none '${root}'`;
  const allowed = spawnSync(unshare[0] ?? "", [...unshare.slice(1), "sh", "-c", mount]).status === 0;
  // 2,048 blocks of 512 bytes; an ignored SIGXFSZ turns the signal into an error.
  fs.writeFileSync(script, `${allowed ? mount : `trap "" XFSZ; ulimit -f 2048`}\nexec "$@"\n`);
  const wrapper = [...(allowed ? unshare : []), "sh", script];
  return [
    await startUnder(wrapper),
    allowed ? "No space left on device (os error 28)" : "File too large (os error 27)",
  ];
}

test("a full disk costs neither the old content nor leaves a part of the new", async () => {
  const root = tempDirIn("/var/tmp");
  const [small, full] = await startWithSmallDisk(root);
  try {
    const peer = await small.connect();
    const path = uri(join(root, "file"));
    const old = base64("o".repeat(400_000));
    const big = base64("n".repeat(3_000_000));
    assert.equal(await peer.call("fs/writeFile", { path, dataBase64: old }), {});
    assert.equal(await refused("fs/writeFile", { path, dataBase64: big }, peer), [-32603, full]);
    assert.equal(await refused("fs/writeFile", { path: `${path}2`, dataBase64: big }, peer), [-32603, full]);
    const source = uri(join(tempDir(), "source"));
    fs.writeFileSync(fileURLToPath(source), Buffer.alloc(3_000_000));
    const copy = { sourcePath: source, destinationPath: path, recursive: false };
    assert.equal(await refused("fs/copy", copy, peer), [-32603, full]);
    assert.equal(await peer.call("fs/readFile", { path }), { dataBase64: old });
    const { entries } = await peer.call("fs/readDirectory", { path: uri(root) });
    assert.equal(entries, [{ fileName: "file", isDirectory: false, isFile: true }]);

    // The same for a file that is overwritten in place, because it has a second name.
    await peer.startProcess("ln", ["ln", join(root, "file"), join(root, "same")]);
    await peer.collect("ln");
    assert.equal(await refused("fs/writeFile", { path, dataBase64: big }, peer), [-32603, full]);
    assert.equal(await peer.call("fs/readFile", { path: uri(join(root, "same")) }), { dataBase64: old });
  } finally {
    await small.stop();
  }
});

test.run();
