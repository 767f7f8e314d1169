// `run` and `shell` with --sandbox, on this machine and through a server.
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runCli } from "../harness/cli.ts";
import { openTerminal } from "../harness/own_terminal.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

let server: TestServer;

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

/** A folder with a repository in it. */
function workspace(): string {
  const folder = tempDir();
  mkdirSync(join(folder, ".git"));
  return folder;
}

for (const where of ["local", "remote"] as const) {
  const url = () => where === "local" ? [] : ["--url", server.url];
  const it = (title: string, check: () => Promise<void>) => test(`${where}: ${title}`, check);
  const run = (script: string, flags: string[]) =>
    runCli(["run", ...url(), ...flags, "--", "/bin/sh", "-c", script]);

  it("read-only: nothing is written", async () => {
    const cwd = workspace();
    for (const more of [[], ["-t"]]) {
      const flags = ["--sandbox", "read-only", "--cwd", cwd, ...more];
      const { code, stdout, stderr } = await run("ls -A; echo x >made", flags);
      assert.is(code, 2, stderr);
      assert.match(stdout, /^\.git\r?\n/);
      assert.match(stdout + stderr, "Read-only file system");
    }
    assert.equal(readdirSync(cwd), [".git"]);
  });

  it("workspace-write: the directory to run in, without its .git; or the roots that are named", async () => {
    const cwd = workspace();
    const flags = ["--sandbox", "workspace-write", "--cwd", cwd];
    assert.is((await run("echo x >made && ! echo x >.git/made", flags)).code, 0);
    assert.equal([readdirSync(cwd), readdirSync(join(cwd, ".git"))], [[".git", "made"], []]);

    const root = workspace();
    const end = await run(`echo x >${root}/made && ! echo x >other`, [...flags, "--sandbox-root", root]);
    assert.is(end.code, 0, end.stderr);
    assert.equal([readdirSync(root), readdirSync(cwd)], [[".git", "made"], [".git", "made"]]);
  });

  it("a root that is relative counts from the environment's own directory", async () => {
    const { code, stderr } = await run("true", [
      ...["--sandbox", "workspace-write"],
      ...["--sandbox-root", "no/such/root"],
    ]);
    assert.is(code, 125);
    assert.match(stderr, `\`${process.cwd()}/no/such/root\` does not exist and cannot be made writable`);
  });

  it("the network is off unless --sandbox-network lets it through", async () => {
    const interfaces = "tail -n +3 /proc/net/dev | wc -l; echo $CODEX_SANDBOX_NETWORK_DISABLED";
    const off = await run(interfaces, ["--sandbox", "read-only"]);
    assert.is(off.stdout, "1\n1\n");
    const on = await run(interfaces, ["--sandbox", "read-only", "--sandbox-network"]);
    assert.match(on.stdout, /^\d+\n\n$/);
    assert.is((await run(interfaces, [])).stdout, on.stdout);
    assert.is((await run(interfaces, ["--sandbox", "none"])).stdout, on.stdout);
  });

  it("a shell is held to it", async () => {
    const cwd = workspace();
    const flags = ["--sandbox", "read-only", "--cwd", cwd];
    const script = "echo x >made || exit 7";
    const terminal = await openTerminal(["shell", ...url(), ...flags, "--", "/bin/sh", "-c", script]);
    try {
      await terminal.shows("Read-only file system");
      assert.is((await terminal.ended).code, 7);
    } finally {
      await terminal.close();
    }
    assert.equal(readdirSync(cwd), [".git"]);
  });
}

test("options that do not fit together are refused", async () => {
  const cases: [flags: string[], text: RegExp][] = [
    [["--sandbox", "danger"], /--sandbox takes one of: none, read-only, workspace-write/],
    [["--sandbox", "read-only", "--sandbox-root", "/tmp"], /--sandbox-root needs --sandbox workspace-write/],
    [["--sandbox-root", "/tmp"], /--sandbox-root needs --sandbox workspace-write/],
    [["--sandbox-network"], /--sandbox-network needs --sandbox/],
  ];
  for (const [flags, text] of cases) {
    const { code, stderr } = await runCli(["run", ...flags, "--", "true"]);
    assert.is(code, 2);
    assert.match(stderr, text);
  }
});

test("where everything would be the workspace the roots have to be named", async () => {
  const { code, stderr } = await runCli(["run", "--sandbox", "workspace-write", "--cwd", "/", "--", "true"]);
  assert.is(code, 125);
  assert.match(stderr, "the sandbox needs roots");
});

test.run();
