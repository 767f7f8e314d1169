// What the server does to the machine: descriptors, zombies, memory, signals, and files that must not matter.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../src/environment.ts";
import { exited } from "../harness/exits.ts";
import { childrenOf, groupMembers, memoryOf, openFiles, until } from "../harness/proc.ts";
import { lineReader, readText } from "../harness/read_process.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

const GIB = 1024 ** 3;
const MAX_MIB = 150;
const isCompiled = (process.env["EXEC_SERVER_FORM"] ?? "compiled") === "compiled";
const compiledTest = isCompiled ? test : test.skip;

/** Runs a check with a server of its own. */
async function withServer(
  check: (server: TestServer, environment: Environment) => Promise<void>,
  options: Parameters<typeof startServer>[0] = {},
): Promise<void> {
  const server = await startServer(options);
  try {
    await using environment = await Environment.connect(server.url);
    await check(server, environment);
  } finally {
    await server.stop();
  }
}

test("leaves no descriptor and no zombie behind", () =>
  withServer(async (server, { processes }) => {
    const runOnce = async (count: number) => {
      const exits = Array.from({ length: count }, async () => {
        const started = await processes.start({ argv: ["/bin/true"], pipeStdin: true });
        return (await started.wait()).exitCode;
      });
      assert.ok((await Promise.all(exits)).every((code) => code === 0));
      const killed = Array.from({ length: count / 6 }, async () => {
        const started = await processes.start({ argv: ["sleep", "1000"], pipeStdin: true });
        await started.terminate();
        return (await started.wait()).exitCode;
      });
      assert.ok((await Promise.all(killed)).every((code) => code === 137));
      await processes.start({ argv: ["/missing"] }).catch(() => {});
    };
    await runOnce(12); // what is opened once and kept
    const files = openFiles(server.pid);
    const children = childrenOf(server.pid);
    await runOnce(300);
    await until("no child is left", () => childrenOf(server.pid).every((pid) => children.includes(pid)));
    await until(`at most ${files} files are open`, () => openFiles(server.pid) <= files);
  }));

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  test(`${signal} ends it with 0 and without any child`, () =>
    withServer(async (server, { processes }) => {
      const groups: number[] = [];
      for (const script of ["trap '' TERM; sleep 1000 & echo $$; sleep 1000", "sleep 1000 & echo $$"]) {
        const started = await processes.start({ argv: ["/bin/sh", "-c", script] });
        groups.push(Number(await lineReader(started.stdout)()));
      }
      assert.equal(await server.stop(signal), { code: 0, signal: null });
      await until("nothing of the groups runs", () =>
        groups.every((group) => groupMembers(group).length === 0));
      assert.is(server.stderr(), "");
      assert.is(server.stdout(), `${server.url}\n`);
    }));
}

compiledTest(
  "1 GiB of output does not need 150 MiB of memory",
  () =>
    withServer(async (server, { processes }) => {
      const started = await processes.start({ argv: ["head", "-c", String(GIB), "/dev/zero"] });
      let size = 0;
      for await (const bytes of started.stdout) size += bytes.length;
      assert.is(size, GIB);
      assert.equal(await started.wait(), exited(0));
      const peak = memoryOf(server.pid, "VmHWM");
      assert.ok(peak < MAX_MIB, `${Math.round(peak)} MiB`);
    }),
);

compiledTest("files in the working directory cannot change the program", () => {
  const cwd = tempDir();
  const evil = `require("node:fs").writeFileSync(${JSON.stringify(join(cwd, "pwned"))}, "x");`;
  mkdirSync(join(cwd, "node_modules/ws"), { recursive: true });
  for (const name of ["evil.js", "node_modules/ws/index.js", "cli.ts", "index.ts"]) {
    writeFileSync(join(cwd, name), evil);
  }
  writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.js"]\n[run]\npreload = ["./evil.js"]\n');
  const variables =
    "EVIL=1\nX_PLAIN=changed\nNODE_OPTIONS=--require ./evil.js\nBUN_OPTIONS=--preload ./evil.js\n";
  for (const name of [".env", ".env.local", ".env.production", ".env.development"]) {
    writeFileSync(join(cwd, name), variables);
  }
  writeFileSync(join(cwd, "package.json"), '{"name":"evil","main":"evil.js","type":"commonjs"}');
  writeFileSync(join(cwd, "tsconfig.json"), '{"compilerOptions":{"paths":{"*":["./evil.js"]}}}');
  const env = { X_PLAIN: "plain", NODE_OPTIONS: undefined, BUN_OPTIONS: undefined };
  return withServer(async (server, { processes }) => {
    const started = await processes.start({ argv: ["/usr/bin/env"] });
    const printed = (await readText(started.stdout)).split("\n");
    assert.ok(printed.includes("X_PLAIN=plain"));
    assert.not(printed.some((line) => /^(EVIL|NODE_OPTIONS|BUN_OPTIONS)=/.test(line)));
    assert.not(existsSync(join(cwd, "pwned")));
    assert.is(server.stderr(), "");
  }, { cwd, env });
});

test.run();
