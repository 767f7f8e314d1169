// The contract of sandboxes: what a caller may say, that it holds, and what is refused where it cannot be had. From
// source (this machine directly, and servers under Node and Deno) there are processes on pipes only.
import * as fs from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { basename, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { WebSocketServer } from "ws";
import { Environment, ExecServerError, type Sandbox, type StartOptions } from "../../mod.ts";
import { HINTS } from "../../src/sandbox/unavailable.ts";
import { codeOf } from "../harness/code_of.ts";
import { environments } from "../harness/environments.ts";
import { readText } from "../harness/read_process.ts";
import { until } from "../harness/proc.ts";
import { tempDir } from "../harness/temp.ts";

const compiled = fileURLToPath(new URL("../../dist/exec-server", import.meta.url));
const isCompiled = (process.env["EXEC_SERVER_FORM"] ?? "compiled") === "compiled";
const READ_ONLY: Sandbox = { mode: "read-only" };
const bytes = (text: string) => new TextEncoder().encode(text);
const sh = (script: string) => ["/bin/sh", "-c", script];

/** What can be had of sandboxes. */
interface Abilities {
  readonly terminals: boolean;
  readonly files: boolean;
}

/** A folder to work in, with what is denied in it. */
function workspace(): { root: string; sandbox: Sandbox } {
  const root = tempDir();
  for (const folder of [".git", "denied"]) fs.mkdirSync(join(root, folder));
  for (const name of ["file", ".git/config", "denied/file", ".env"]) fs.writeFileSync(join(root, name), name);
  const sandbox: Sandbox = {
    mode: "workspace-write",
    roots: [pathToFileURL(root)],
    denied: [join(root, "denied"), join(root, "missing")],
    deniedPatterns: [`${root}/**/*.env`],
  };
  return { root, sandbox };
}

/** The failure of a promise. */
async function failureOf(promise: Promise<unknown>): Promise<ExecServerError> {
  const failure = await promise.then(() => "it resolved", (error: unknown) => error);
  if (failure instanceof ExecServerError) return failure;
  throw new Error(`no failure of ours: ${String(failure)}`);
}

function sandboxContract(name: string, open: () => Promise<Environment>, can: Abilities): void {
  let environment: Environment;
  const it = (title: string, check: () => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      await using opened = await open();
      environment = opened;
      await check();
    });
  const run = async (script: string, options: Partial<StartOptions>) => {
    const started = await environment.processes.start({ argv: sh(script), ...options });
    const [out, errors, end] = await Promise.all([
      readText(started.stdout),
      readText(started.stderr),
      started.wait(),
    ]);
    return { out, errors, ...end };
  };

  it("reads all, writes nothing, and tells what was denied", async () => {
    const { root } = workspace();
    const options = { cwd: root, sandbox: READ_ONLY };
    const wrote = await run("cat file; echo x >made", options);
    assert.is(wrote.out, "file");
    assert.match(wrote.errors, "Read-only file system");
    assert.is(wrote.sandboxDenied, true);
    const own = await run("echo x >/tmp/made && ls /tmp && echo $CODEX_SANDBOX_NETWORK_DISABLED", options);
    assert.match(own.out, /made\n1\n$/);
    assert.not(fs.existsSync("/tmp/made"));
    assert.not(fs.existsSync(join(root, "made")));
  });

  it("writes to the roots but for what is protected and denied, and leaves nothing", async () => {
    const { root, sandbox } = workspace();
    const outside = tempDir();
    const script = `cd ${root}; echo x >made; echo x >.git/config; echo x >${outside}/made
cat denied/file .env; mkdir missing; echo x >missing/made; exit 4`;
    const { out, exitCode } = await run(script, { sandbox });
    assert.equal([out, exitCode], ["", 4]);
    assert.equal(fs.readdirSync(root), [".env", ".git", "denied", "file", "made"]);
    assert.is(fs.readFileSync(join(root, ".git/config"), "utf8"), ".git/config");
    assert.equal(fs.readdirSync(outside), []);
  });

  it("a workspace is the folder to start in when none is named", async () => {
    const { root } = workspace();
    const sandbox: Sandbox = { mode: "workspace-write" };
    const { exitCode } = await run("echo x >made && ! echo x >.git/config", { cwd: root, sandbox });
    assert.is(exitCode, 0);
    assert.ok(fs.existsSync(join(root, "made")));
    assert.is(await codeOf(run("true", { cwd: "/", sandbox })), "INVALID_PARAMS");
    assert.is(await codeOf(environment.files.stat(root, { sandbox })), "INVALID_PARAMS");
  });

  it("the network is off unless it is wanted", async () => {
    const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("a TCP server has an address");
    const argv = ["/bin/bash", "-c", `cat </dev/tcp/127.0.0.1/${address.port}`];
    assert.is((await run("", { argv, sandbox: READ_ONLY })).out, "");
    assert.is((await run("", { argv, sandbox: { ...READ_ONLY, network: true } })).out, "hello");
    server.close();
  });

  it("what makes no sense is refused, and nothing is started or written", async () => {
    const { root } = workspace();
    const gone = join(root, "gone");
    const wrong: [sandbox: Sandbox, text: RegExp][] = [
      [{ mode: "read-only", roots: [root] }, /roots needs the mode `workspace-write`/],
      [
        { mode: "workspace-write", roots: [gone] },
        /does not exist and cannot be made writable: make it first/,
      ],
      [{ mode: "read-only", deniedPatterns: ["/**/["] }, /glob pattern .* is malformed/],
      [{ mode: "read-only", deniedPatterns: ["*.env"] }, /a relative glob pattern takes `cwd`/],
      [JSON.parse('{"mode":"anything"}'), /sandbox.mode must be/],
    ];
    for (const [sandbox, text] of wrong) {
      const failure = await failureOf(environment.files.write(join(root, "made"), bytes(""), { sandbox }));
      assert.equal([failure.code, text.test(failure.message)], ["INVALID_PARAMS", true], failure.message);
      if (sandbox.deniedPatterns?.[0] === "*.env") continue; // where a process starts is such a folder
      const started = await failureOf(run(`echo x >${root}/made`, { sandbox, cwd: root }));
      assert.equal([started.code, text.test(started.message)], ["INVALID_PARAMS", true], started.message);
    }
    const relative = { mode: "read-only", denied: ["relative"] } as const;
    assert.is(await codeOf(run(`echo x >${root}/made`, { sandbox: relative })), "INVALID_REQUEST");
    assert.is((await environment.processes.list()).length, 0);
    assert.not(fs.existsSync(join(root, "made")));
  });

  it(can.terminals ? "a terminal is held to it" : "a terminal is refused from source", async () => {
    const { root } = workspace();
    const script = "stty size; echo x >made; exit 5";
    const start = () =>
      environment.processes.start({ argv: sh(script), cwd: root, tty: true, sandbox: READ_ONLY });
    if (can.terminals) {
      const started = await start();
      let text = "";
      for await (const event of started.events()) {
        if (event.type === "output") text += new TextDecoder().decode(event.bytes);
      }
      assert.match(text, /24 80\r\n.*Read-only file system/);
      assert.is((await started.wait()).exitCode, 5);
    } else {
      const failure = await failureOf(start());
      assert.is(failure.code, "SANDBOX_UNAVAILABLE");
      assert.match(
        failure.message,
        /: needs-executable \(a terminal in a sandbox\); hint: run the compiled executable/,
      );
    }
    assert.not(fs.existsSync(join(root, "made")));
  });

  it(can.files ? "files are held to it" : "file operations are refused from source", async () => {
    const { root, sandbox } = workspace();
    const { files } = environment;
    const at = (path: string) => join(root, path);
    const every: [what: string, ask: (path: string) => Promise<unknown>][] = [
      ["read", (path) => files.read(path, { sandbox })],
      ["write", (path) => files.write(path, bytes("new"), { sandbox })],
      ["stat", (path) => files.stat(path, { sandbox })],
      ["mkdir", (path) => files.mkdir(path, { sandbox })],
      ["canonicalize", (path) => files.canonicalize(path, { sandbox })],
      ["list", (path) => files.list(path, { sandbox })],
      ["walk", (path) => files.walk(path, { sandbox })],
      ["remove", (path) => files.remove(path, { sandbox })],
      ["copy", (path) => files.copy(path, at("copy"), { sandbox })],
    ];
    if (!can.files) {
      for (const [what, ask] of every) {
        const failure = await failureOf(ask(at("file")));
        assert.is(failure.code, "SANDBOX_UNAVAILABLE", what);
        assert.ok(failure.message.endsWith(HINTS["needs-executable"]), failure.message);
      }
      assert.equal(fs.readdirSync(root), [".env", ".git", "denied", "file"]);
      return;
    }
    assert.equal(await files.read(at("file"), { sandbox }), bytes("file"));
    assert.is((await files.stat(at("file"), { sandbox })).size, 4);
    await files.mkdir(at("made/below"), { sandbox });
    await files.write(at("made/file"), bytes("new"), { sandbox });
    await files.copy(at("made"), at("copy"), { sandbox, recursive: true });
    assert.equal((await files.list(at("copy"), { sandbox })).map((one) => one.name), ["below", "file"]);
    const walked = (await files.walk(root, { sandbox })).entries.map((one) => basename(one.path.pathname));
    assert.ok(walked.includes("made") && !walked.includes(".env"), walked.join(" "));
    await files.remove(at("copy"), { sandbox, recursive: true });
    assert.is((await files.canonicalize(at("file"), { sandbox })).pathname, at("file"));
    assert.equal(fs.readdirSync(at("made")), ["below", "file"]);

    assert.is(await codeOf(files.write(at(".git/config"), bytes("x"), { sandbox })), "EROFS");
    assert.is(await codeOf(files.write(join(tempDir(), "made"), bytes("x"), { sandbox })), "EROFS");
    for (const denied of ["denied/file", ".env"]) {
      assert.is(await codeOf(files.read(at(denied), { sandbox })), "EACCES", denied);
      assert.is(await codeOf(files.write(at(denied), bytes("x"), { sandbox })), "EACCES", denied);
      assert.is(fs.readFileSync(at(denied), "utf8"), denied);
    }
    assert.is(await codeOf(files.mkdir(at("missing/x"), { sandbox })), "EACCES");
    for (const [what, ask] of every.slice(1, 2)) {
      assert.is(await codeOf(ask(at("denied/new"))), "EACCES", what);
    }
    const abort = AbortSignal.abort(new Error("enough"));
    assert.is(
      String(await files.read(at("file"), { sandbox, signal: abort }).catch(String)),
      "Error: enough",
    );
    assert.equal(await files.read(at("file")), bytes("file"), "without one as ever");
    const unfinished = await files.open(at("file"), { mode: "replaceOnCommit", sandbox });
    await unfinished.write(0, bytes("never"));
    const isUnfinished = (name: string) => name.endsWith(".tmp");
    assert.ok(fs.readdirSync(root).some(isUnfinished));
    await environment.close();
    await until("what was not finished is gone", () => !fs.readdirSync(root).some(isUnfinished));
    await until("the stand-in is gone", () => !fs.existsSync(at("missing")));
  });
}

for (const [name, open] of environments) {
  const whole = name === "remote" && isCompiled;
  sandboxContract(name, open, { terminals: whole, files: whole });
}
const withHelper = () => Promise.resolve(Environment.local({ executable: compiled }));
sandboxContract("local with the executable", withHelper, { terminals: false, files: true });

test("local: an executable that is not there is an error", () => {
  assert.throws(() => Environment.local({ executable: "/no/such" }), /No such file or directory/);
});

test("remote: a server that starts it without a sandbox is not believed", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const asked: string[] = [];
  server.on("connection", (socket) => {
    socket.on("message", (data: Buffer) => {
      const { id, method, params } = JSON.parse(data.toString());
      if (id === undefined) return;
      asked.push(method);
      const results: Record<string, unknown> = {
        initialize: { sessionId: "s" },
        "environment/info": { shell: { name: "sh", path: "/bin/sh" }, cwd: "file:///tmp" },
        "process/start": { processId: params?.processId, sandboxType: "none" },
        "process/terminate": { running: true },
      };
      socket.send(JSON.stringify({ id, result: results[method] ?? {} }));
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has an address");
  const there = await Environment.connect(`ws://127.0.0.1:${address.port}`);
  try {
    const failure = await failureOf(there.processes.start({ argv: ["true"], sandbox: READ_ONLY }));
    assert.is(failure.code, "SANDBOX_UNAVAILABLE");
    assert.match(failure.message, "started it without one");
    await until("it is ended", () => asked.at(-1) === "process/terminate");
  } finally {
    await there.close();
    await new Promise((resolve) => server.close(resolve));
  }
});

test.run();
