// `exec-server info`, and what the program says about itself.
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runCli } from "../harness/cli.ts";
import { startServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { isObject } from "../harness/wire_client.ts";

const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const version = isObject(manifest) ? String(manifest["version"]) : "";

test("info shows where commands would run", async () => {
  const cwd = tempDir();
  const { code, stdout, stderr } = await runCli(["info"], { cwd });
  assert.equal([code, stderr], [0, ""]);
  assert.match(stdout, new RegExp(`^version +${version.replaceAll(".", "\\.")}$`, "m"));
  assert.match(stdout, new RegExp(`^directory +${cwd}$`, "m"));
  const server = await startServer({ cwd });
  try {
    assert.is((await runCli(["info", "--url-file", urlFile(server.url)])).stdout, stdout);
    assert.is((await runCli(["info"], { env: { EXEC_SERVER_URL: server.url } })).stdout, stdout);
    const there = await runCli(["info", "--json", "--url-file", urlFile(server.url)]);
    assert.is((await runCli(["info", "--json"], { cwd })).stdout, there.stdout);
    const facts: unknown = JSON.parse(there.stdout);
    assert.ok(isObject(facts) && facts["cwd"] === cwd && facts["version"] === version, there.stdout);
  } finally {
    await server.stop();
  }
});

test("the shell is the account's, whatever SHELL says", async () => {
  for (const SHELL of [undefined, "/bin/false"]) {
    const { stdout } = await runCli(["info", "--json"], { env: { SHELL } });
    const facts: unknown = JSON.parse(stdout);
    const shell = isObject(facts) ? facts["shell"] : undefined;
    assert.equal(shell, isObject(shell) && { name: shell["name"], path: userInfo().shell }, `SHELL=${SHELL}`);
  }
});

test("info exits with 1 without a server", async () => {
  const { code, stdout, stderr } = await runCli(["info", "--url", "ws://127.0.0.1:1"]);
  assert.equal([code, stdout], [1, ""]);
  assert.match(stderr, /Is the server running\?/);
});

test("--version", async () => {
  for (const flag of ["--version", "-v"]) {
    const { code, stdout, stderr } = await runCli([flag]);
    assert.equal([code, stderr], [0, ""]);
    assert.ok(stdout.startsWith(`exec-server/${version}`), stdout);
  }
});

test("--help of every command has examples", async () => {
  const { code, stdout } = await runCli(["--help"]);
  assert.is(code, 0);
  for (const command of ["serve", "run", "info", "fs"]) {
    assert.match(stdout, new RegExp(`^  ${command}\\b`, "m"));
    for (const flag of ["--help", "-h"]) {
      const help = await runCli([command, flag]);
      assert.equal([help.code, help.stderr], [0, ""], command);
      assert.match(help.stdout, new RegExp(`Examples?:\\n+.*exec-server ${command}`), command);
    }
  }
});

test("a wrong command line exits with 2 and says so", async () => {
  const nothing = await runCli([]);
  assert.is(nothing.code, 2);
  assert.match(nothing.stdout + nothing.stderr, /Usage/);
  const { code, stdout, stderr } = await runCli(["frobnicate"]);
  assert.equal([code, stdout, stderr], [
    2,
    "",
    "error: unknown command 'frobnicate'; see `exec-server --help`\n",
  ]);
  assert.is((await runCli(["info", "surplus"])).code, 2);
  assert.is((await runCli(["info", "--bogus"])).code, 2);
  assert.is((await runCli(["toString"])).code, 2);
});

test.run();
