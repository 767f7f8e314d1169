// The audit log is out of reach of every sandbox: its lines, its name, its folder, and the files that it was rotated to.
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { until } from "../harness/proc.ts";
import { runServer, startServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { type JsonObject, refusal, type WireClient } from "../harness/wire_client.ts";
import { at, managed, special } from "./policies.ts";

const uri = (path: string) => pathToFileURL(path).href;
const read = special("root", "read");

let runs = 0;
async function run(client: WireClient, script: string, sandbox: JsonObject | null) {
  const id = `p${runs++}`;
  await client.startProcess(id, ["/bin/sh", "-c", script], { sandbox, cwd: uri("/") });
  return await client.collect(id);
}

/** A home with a folder for logs in it. */
function place() {
  const home = join(tempDir(), "home");
  mkdirSync(join(home, "logs"), { recursive: true });
  mkdirSync(join(home, "other"));
  return { home, logs: join(home, "logs"), log: join(home, "logs/audit.log") };
}

const linesOf = (log: string) => readFileSync(log, "utf8").trim().split("\n").length;

for (const floor of [false, true]) {
  test(`a sandbox that may write to the folder above cannot change it${floor ? ", under a floor" : ""}`, async () => {
    const { home, logs, log } = place();
    const args = floor ? ["--sandbox-floor", "workspace-write", "--sandbox-root", home] : [];
    const server = await startServer({ args: ["--audit-log", log, ...args] });
    try {
      const client = await server.connect();
      const { ino } = statSync(log);
      const folder = statSync(logs).ino;
      const policies = [
        ...(floor ? [null] : []),
        managed([read, at(home, "write")]),
        managed([special("root", "write")]),
        managed([read, at(home, "write"), at(log, "write")]),
      ];
      for (const [index, sandbox] of policies.entries()) {
        const before = linesOf(log);
        const script =
          `true >${log}; echo forged >>${log}; rm -f ${log}; mv ${log} ${log}.x; touch ${logs}/new; mv ${logs} ${logs}.x; rm -rf ${logs}; ln -s ${home}/other ${logs}; :`;
        await run(client, script, sandbox);
        for (const path of [log, join(logs, "new")].map(uri)) {
          await refusal(client.call("fs/writeFile", { path, dataBase64: "", sandbox }));
          await refusal(client.call("fs/remove", { path, sandbox, force: false }));
        }
        assert.equal(readdirSync(logs), ["audit.log"], `policy ${index}`);
        assert.equal([statSync(log).ino, statSync(logs).ino], [ino, folder]);
        await until("it goes on", () => linesOf(log) > before);
        assert.not.match(readFileSync(log, "utf8"), /^forged/m);
      }
      assert.is(
        (await run(client, `echo x >${home}/other/made && echo made`, managed([read, at(home, "write")])))
          .stdout,
        "made\n",
      );
      assert.equal(readdirSync(join(home, "other")), ["made"]);
    } finally {
      await server.stop();
    }
  });
}

test("a process that runs while the log is rotated gets at neither of the two", async () => {
  const { home, logs, log } = place();
  const server = await startServer({ args: ["--audit-log", log] });
  try {
    const client = await server.connect();
    const script = `echo begun; read line; true >${log}; rm -f ${log} ${log}.1; true >${log}.1; echo end`;
    await client.startProcess("p", ["/bin/sh", "-c", script], {
      sandbox: managed([read, at(home, "write")]),
      pipeStdin: true,
    });
    await client.waitFor(({ method }) => method === "process/output");
    renameSync(log, `${log}.1`);
    await client.call("fs/getMetadata", { path: uri(home) });
    await client.startProcess("q", ["/bin/true"]);
    await until("a new one is there", () => readdirSync(logs).includes("audit.log"));
    await client.call("process/write", { processId: "p", chunk: "Cg==", writeId: "1" });
    assert.match((await client.collect("p")).stdout, /end\n$/);
    assert.equal(readdirSync(logs).sort(), ["audit.log", "audit.log.1"]);
    assert.ok(statSync(log).size > 0 && statSync(`${log}.1`).size > 0);
  } finally {
    await server.stop();
  }
});

test("its folder cannot be a root; what lies below may be, and elsewhere it changes nothing", async () => {
  const { home, logs, log } = place();
  mkdirSync(join(logs, "ws"));
  const server = await startServer({ args: ["--audit-log", log] });
  try {
    const client = await server.connect();
    const [code, message] = await refusal(
      client.startProcess("p", ["/bin/true"], { sandbox: managed([read, at(logs, "write")]) }),
    );
    assert.is(code, -32602);
    assert.match(message, /logs` cannot be made writable: the audit log of this server is in it/);
    for (const folder of [join(logs, "ws"), join(home, "other")]) {
      const sandbox = managed([read, at(folder, "write")]);
      assert.is((await run(client, `echo x >${folder}/made && cat ${folder}/made`, sandbox)).stdout, "x\n");
    }
  } finally {
    await server.stop();
  }
  const floor = ["--sandbox-floor", "workspace-write", "--sandbox-root", logs];
  const ended = await runServer({ args: [...floor, "--audit-log", log] });
  assert.is(ended.code, 2);
  assert.match(ended.stderr, /--audit-log .* is in a --sandbox-root/);
});

test("a link that a sandbox could replace does not lead to it", async () => {
  const { home, logs } = place();
  const real = tempDir();
  writeFileSync(join(real, "x"), "");
  symlinkSync(real, join(home, "link"));
  const server = await startServer({ args: ["--audit-log", join(home, "link/audit.log")] });
  try {
    const client = await server.connect();
    const [, message] = await refusal(
      client.startProcess("p", ["/bin/true"], { sandbox: managed([read, at(home, "write")]) }),
    );
    assert.match(message, /link`, which the sandbox could replace/);
    assert.is((await run(client, "echo ran", managed([read, at(logs, "write")]))).stdout, "ran\n");
  } finally {
    await server.stop();
  }
});

test("a log that is a device protects nothing", async () => {
  const server = await startServer({ args: ["--audit-log", "/dev/null"] });
  try {
    const client = await server.connect();
    const all = managed([special("root", "write")]);
    assert.is((await run(client, "echo x >/dev/null && echo written", all)).stdout, "written\n");
    await client.call("fs/writeFile", { path: uri("/dev/null"), dataBase64: "", sandbox: all }).catch(String);
  } finally {
    await server.stop();
  }
});

test.run();
