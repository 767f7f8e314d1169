// How commands find a server without being told its token, and that the token stays where it belongs.
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { inspect } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment, ExecServerError } from "../../mod.ts";
import { type CliOptions, runCli, runInShell, startCli } from "../harness/cli.ts";
import { until } from "../harness/proc.ts";
import { startServer, type TestServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { isObject } from "../harness/wire_client.ts";

/** Servers of one user, with a runtime directory of their own. */
async function withServers(
  args: string[][],
  check: (
    servers: TestServer[],
    runtime: string,
    cli: (args: string[], more?: CliOptions) => ReturnType<typeof runCli>,
  ) => Promise<void>,
): Promise<void> {
  const runtime = tempDir();
  const servers: TestServer[] = [];
  try {
    for (const each of args) {
      servers.push(await startServer({ args: each, env: { XDG_RUNTIME_DIR: runtime } }));
    }
    await check(
      servers,
      runtime,
      (command, { env, ...more } = {}) =>
        runCli(command, { ...more, env: { XDG_RUNTIME_DIR: runtime, EXEC_SERVER_URL: undefined, ...env } }),
    );
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

const filesIn = (runtime: string) => readdirSync(join(runtime, "exec-server"));
const tokenOf = (server: TestServer) => new URL(server.url).searchParams.get("token") ?? "";

test("a command finds the only server of its user, by a file that only the user can read", () =>
  withServers([[]], async ([server], runtime, cli) => {
    assert.ok(server);
    const [name = ""] = filesIn(runtime);
    const path = join(runtime, "exec-server", name);
    assert.equal([filesIn(runtime).length, statSync(path).mode & 0o777], [1, 0o600]);
    assert.is(statSync(join(runtime, "exec-server")).mode & 0o777, 0o700);
    const content: unknown = JSON.parse(readFileSync(path, "utf8"));
    assert.ok(isObject(content));
    assert.equal([content["pid"], content["token"]], [server.pid, tokenOf(server)]);
    assert.not.match(String(content["url"]), /token/);

    const parent = ["run", "--", "/bin/sh", "-c", "echo $PPID"];
    assert.is((await cli(parent)).stdout, `${server.pid}\n`);
    assert.is.not(
      (await cli([...parent.slice(0, 1), "--url", "local", ...parent.slice(1)])).stdout,
      `${server.pid}\n`,
    );
    assert.is.not((await cli(parent, { env: { EXEC_SERVER_URL: "local" } })).stdout, `${server.pid}\n`);
    const [session = "", id = ""] = (await cli(["run", "--detach", "--", "sleep", "1000"])).stdout.split(
      /\s/,
    );
    const listed = await cli(["ps", "--session", session]);
    assert.equal([listed.code, listed.stderr], [0, ""]);
    assert.match(listed.stdout, /sleep 1000/);
    assert.is((await cli(["kill", "--session", session, "--process", id])).code, 0);
    await server.stop();
    assert.equal(filesIn(runtime), []);
    assert.match((await cli(["ps", "--session", session])).stderr, /pass --url, or start one/);
  }));

test("what a killed server left is no server", () =>
  withServers([[], []], async ([killed, other], runtime, cli) => {
    assert.ok(killed && other);
    await killed.stop("SIGKILL");
    assert.is(filesIn(runtime).length, 2);
    assert.is((await cli(["run", "--", "/bin/sh", "-c", "echo $PPID"])).stdout, `${other.pid}\n`);
    assert.equal(filesIn(runtime), [`${other.pid}.json`]);
    // A pid is used again: the same number with another start is somebody else.
    const path = join(runtime, "exec-server", `${other.pid}.json`);
    const content = readFileSync(path, "utf8").replace(/"startTime":\d+/, '"startTime":1');
    writeFileSync(join(runtime, "exec-server", "1.json"), content);
    assert.is((await cli(["info"])).code, 0);
    assert.equal(filesIn(runtime), [`${other.pid}.json`]);
    // Another machine's, by a shared home folder: not ours to use, and not ours to remove.
    writeFileSync(
      join(runtime, "exec-server", "2.json"),
      content.replace(/"host":"[^"]*"/, '"host":"elsewhere"'),
    );
    assert.is((await cli(["info"])).code, 0);
    assert.equal(filesIn(runtime).sort(), ["2.json", `${other.pid}.json`].sort());
  }));

test("of several servers one has to be named", () =>
  withServers([[], ["--connection-file", "none"], []], async ([one, hidden, two], runtime, cli) => {
    assert.ok(one && hidden && two);
    assert.is(filesIn(runtime).length, 2);
    const { code, stdout, stderr } = await cli(["info"]);
    assert.equal([code, stdout], [2, ""]);
    assert.match(stderr, /^error: 2 servers of yours run on this machine/);
    for (const server of [one, two]) {
      const path = join(runtime, "exec-server", `${server.pid}.json`);
      assert.ok(stderr.includes(`--url-file ${path}`), stderr);
      assert.not.ok(stderr.includes(tokenOf(server)));
      const parent = await cli(["run", "--url-file", path, "--", "/bin/sh", "-c", "echo $PPID"]);
      assert.is(parent.stdout, `${server.pid}\n`);
    }
    assert.is((await cli(["info", "--url", "local"])).code, 0);
    assert.is((await cli(["info", "--url-file", urlFile(hidden.url)])).code, 0);
  }));

test("--connection-file names the file; where it cannot be written the server does not start", async () => {
  const folder = tempDir();
  const path = join(folder, "here.json");
  await withServers([["--connection-file", path]], async ([server], _runtime, cli) => {
    assert.ok(server);
    assert.is(statSync(path).mode & 0o777, 0o600);
    assert.is((await cli(["info", "--url-file", path])).code, 0);
    await server.stop();
    assert.not.ok(existsSync(path));
  });
  const { code, stdout, stderr } = await runCli(["serve", "--connection-file", join(folder, "none", "x")]);
  assert.equal([code, stdout], [1, ""]);
  assert.match(stderr, /^Error: ENOENT/);
});

test("without a runtime directory the file is in the state folder", async () => {
  const state = tempDir();
  const env = { XDG_RUNTIME_DIR: undefined, XDG_STATE_HOME: state };
  const server = await startServer({ env });
  try {
    const usual = join("/run/user", String(process.getuid?.()), "exec-server");
    const folder = existsSync(usual) ? usual : join(state, "exec-server", "run");
    assert.is(statSync(join(folder, `${server.pid}.json`)).mode & 0o777, 0o600);
    assert.is((await runCli(["info"], { env: { ...env, EXEC_SERVER_URL: undefined } })).code, 0);
  } finally {
    await server.stop();
  }
});

test("a token can come from a file or the environment; in --url it works and warns", () =>
  withServers([["--connection-file", "none"]], async ([server], _runtime, cli) => {
    assert.ok(server);
    const token = tokenOf(server);
    const url = `ws://${new URL(server.url).host}`;
    const file = join(tempDir(), "token");
    writeFileSync(file, `${token}\n`);
    assert.equal((await cli(["info", "--url", url, "--token-file", file])).stderr, "");
    assert.is((await cli(["info", "--url", url], { env: { EXEC_SERVER_TOKEN: token } })).code, 0);
    const given = await cli(["info", "--url", server.url]);
    assert.is(given.code, 0);
    assert.match(given.stderr, /^exec-server: warning: the token in --url can be seen/);
    assert.not.ok(given.stderr.includes(token));
    const without = await cli(["info", "--url", url]);
    assert.equal([without.code, without.stdout], [1, ""]);
    assert.match(without.stderr, /401 missing websocket bearer token\n.*--token-file/);
    const wrong = await cli(["info", "--url", url], { env: { EXEC_SERVER_TOKEN: `${token}x` } });
    assert.equal([wrong.code, wrong.stdout], [1, ""]);
    assert.not.ok(wrong.stderr.includes(token), wrong.stderr);
    const bad: [string[], RegExp][] = [
      [["info", "--url", url, "--url-file", file], /not both/],
      [["info", "--url-file", file], /must begin with ws/],
      [["info", "--url-file", join(file, "none")], /--url-file/],
      [["info", "--url", url, "--token-file", "/dev/null"], /is empty/],
      [["info", "--url", ""], /ws:\/\//],
    ];
    for (const [args, text] of bad) {
      const { code, stderr } = await cli(args);
      assert.is(code, 2, args.join(" "));
      assert.match(stderr, text, args.join(" "));
      assert.not.ok(stderr.includes(token), stderr);
    }
  }));

test("neither the token nor a password of a URL is in an error text", async () => {
  const host = "127.0.0.1";
  const secret = "hidden-from-errors";
  const urls = [
    `ws://${host}:99999/?token=${secret}`,
    `ws://[zz]/?token=${secret}`,
    `ws://user:${secret}@[zz]`,
    `ws://user:${secret}@${host}:1/?token=${secret}`,
    `wss://user:${secret}@${host}:1`,
    `ws://user:a/${secret}@${host}:1/`,
    `ws://a b/?token=${secret}`,
    `ws://${host}:1/#token=${secret}`,
    `unix:${tempDir()}/none?token=${secret}`,
  ];
  for (const url of urls) {
    const byVariable = await runCli(["run", "--", "true"], { env: { EXEC_SERVER_URL: url } });
    assert.match(byVariable.stderr, /^exec-server: /, url);
    const byOption = await runCli(["ps", "--url", url, "--session", "x"]);
    const thrown: unknown = await Environment.connect(url).catch((error: unknown) => error);
    assert.instance(thrown, ExecServerError, url);
    for (const text of [byVariable.stderr, byOption.stderr, inspect(thrown, { depth: null })]) {
      assert.not.ok(text.includes(secret), text);
    }
  }
  const nobody = await runCli(["info"], { env: { EXEC_SERVER_URL: `ws://user:${secret}@${host}:1` } });
  assert.match(nobody.stderr, /cannot connect to ws:\/\/127\.0\.0\.1:1: /);
});

test("--url-file is read once: a pipe will do; what is wrong with --token-file is said of that", () =>
  withServers([[]], async ([server], runtime, cli) => {
    assert.ok(server);
    const file = join(runtime, "exec-server", `${server.pid}.json`);
    const piped = await runInShell(`cat ${file} | "$@" run --detach --url-file /dev/stdin -- true`);
    assert.equal([piped.code, piped.stderr], [0, ""]);
    const wrong = await cli(["info", "--url-file", file, "--token-file", "/dev/null"]);
    assert.equal([wrong.code, wrong.stderr], [2, "error: --token-file /dev/null is empty\n"]);
  }));

test("a folder or a file that others could have written is not believed", () =>
  withServers([[]], async ([server], runtime, cli) => {
    assert.ok(server);
    const folder = join(runtime, "exec-server");
    const file = join(folder, `${server.pid}.json`);
    const parent = async () => (await cli(["run", "--", "/bin/sh", "-c", "echo $PPID"])).stdout.trim();
    const isFound = async (what: string, expected: boolean) =>
      assert.is(await parent() === String(server.pid), expected, what);
    await isFound("as it was made", true);
    for (const [path, usual] of [[folder, 0o700], [file, 0o600]] as const) {
      for (const mode of [0o020, 0o002]) {
        chmodSync(path, usual | mode);
        await isFound(`${path} ${mode.toString(8)}`, false);
      }
      chmodSync(path, usual);
      if (process.getuid?.() !== 0) continue;
      chownSync(path, 65534, 65534);
      await isFound(`${path} of another user`, false);
      chownSync(path, 0, 0);
    }
    renameSync(folder, `${folder}.real`);
    symlinkSync(`${folder}.real`, folder);
    await isFound("a link to the folder", false);
    rmSync(folder);
    renameSync(`${folder}.real`, folder);
    await isFound("as it was made", true);
  }));

if (process.getuid?.() === 0) {
  test("another user of this machine cannot connect without the token", () =>
    withServers([[]], async ([server], runtime) => {
      assert.ok(server);
      const asNobody = (command: string, env: Record<string, string> = {}) =>
        runInShell(`exec setpriv --reuid 65534 --regid 65534 --clear-groups ${command}`, {
          cwd: "/",
          env: { XDG_RUNTIME_DIR: runtime, EXEC_SERVER_URL: undefined, HOME: "/nonexistent", ...env },
        });
      const url = `ws://${new URL(server.url).host}`;
      const local = await asNobody(`"$@" run -- echo here`);
      assert.equal([local.code, local.stdout], [0, "here\n"], local.stderr);
      const refused = await asNobody('"$@" info', { EXEC_SERVER_URL: url });
      assert.is(refused.code, 1);
      assert.match(refused.stderr, /401 missing websocket bearer token/);
      const file = join(runtime, "exec-server", `${server.pid}.json`);
      const unreadable = await asNobody(`"$@" info --url-file ${file}`);
      assert.is(unreadable.code, 2);
      assert.match(unreadable.stderr, /EACCES|permission denied/i);
      assert.is(
        (await asNobody('"$@" info', { EXEC_SERVER_URL: server.url })).code,
        0,
        "with the token they can",
      );
    }));
}

const auditLog = join(tempDir(), "audit");
test("the token is in no log, no argument and no environment of anyone", () =>
  withServers([
    ["--log-level", "debug", "--audit-log", auditLog, "--audit-argv"],
  ], async ([server], runtime) => {
    assert.ok(server);
    const token = tokenOf(server);
    const env = { XDG_RUNTIME_DIR: runtime, EXEC_SERVER_URL: undefined };
    const run = startCli(["run", "--inherit-env", "all", "--", "/bin/sh", "-c", "env; echo on; sleep 1000"], {
      env,
    });
    await until("it runs", () => run.output().includes("\non\n"));
    const seen: string[] = [];
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      for (const file of ["cmdline", "environ"]) {
        const text = readOr(`/proc/${pid}/${file}`);
        if (text.includes(token)) seen.push(`/proc/${pid}/${file}`);
      }
    }
    assert.equal(seen, []);
    run.signal("SIGTERM");
    const { stdout, stderr } = await run.ended;
    await runCli(["run", "--", "echo", token, `--url=${server.url}`], { env });
    const wrong = await runCli(["info"], { env: { ...env, EXEC_SERVER_URL: `${server.url}x` } });
    assert.is(wrong.code, 1);
    await server.stop();
    for (const text of [stdout, stderr, wrong.stdout, wrong.stderr, server.stderr()]) {
      assert.not.ok(text.includes(token), text);
    }
    const audited = readFileSync(auditLog, "utf8");
    assert.match(audited, /"event":"process.start".*"echo"/);
    assert.not.ok(audited.includes(token), audited);
    assert.match(server.stderr(), /connection refused/);
    assert.is(server.stdout(), `${server.url}\n`);
  }));

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it has ended
  }
}

test.run();
