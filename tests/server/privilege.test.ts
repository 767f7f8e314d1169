// Least privilege: --user, the warning to root, what a program of the same user sees of the server, and what children
// inherit of it.
import { chmodSync, chownSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { findCgroup } from "../../src/process/cgroup_tree.ts";
import { ROOT_WARNING } from "../../src/server/privileges.ts";
import { runInShell } from "../harness/cli.ts";
import { isRunning, until } from "../harness/proc.ts";
import { reachableProgram } from "../harness/reachable.ts";
import { runServer, type ServerOptions, startServer, type TestServer } from "../harness/server.ts";
import { tempDirIn } from "../harness/temp.ts";
import { type JsonObject, type WireClient } from "../harness/wire_client.ts";
import { at, managed, special } from "../sandbox/policies.ts";
import { linesOf } from "./audit_lines.ts";

const NOBODY = 65_534;
/** A number without an entry in passwd. */
const STRANGER = 54_321;
const isRoot = process.getuid?.() === 0;
const isCompiled = (process.env["EXEC_SERVER_FORM"] ?? "compiled") === "compiled";
/** What only root can do is tested where root runs the tests; that others cannot is tested for them. */
const canDrop = isRoot && process.env["EXEC_SERVER_FORM"] !== "deno"; // which has no setgroups
const rootTest = canDrop ? test : () => {};

async function withServer(
  options: ServerOptions,
  check: (server: TestServer, client: WireClient) => Promise<void>,
): Promise<void> {
  const server = await startServer(options);
  try {
    await check(server, await server.connect());
  } finally {
    await server.stop();
  }
}

/** What a script prints there. */
async function output(client: WireClient, script: string, more: JsonObject = {}): Promise<string> {
  const id = crypto.randomUUID();
  await client.startProcess(id, ["/bin/sh", "-c", script], more);
  const { stdout, stderr } = await client.collect(id);
  return stdout + stderr;
}

/** A folder that another user may write to: those below TMPDIR are ours alone. */
function folderOf(uid: number): string {
  const folder = tempDirIn("/tmp");
  chmodSync(folder, 0o755);
  chownSync(folder, uid, uid);
  return folder;
}

const inheritAll = {
  envPolicy: { inherit: "all", ignoreDefaultExcludes: true, exclude: [], set: {}, includeOnly: [] },
};

rootTest(
  "--user becomes that user for good, with its groups, in all threads, and children have its variables",
  () =>
    withServer(
      { args: ["--user", "nobody"], env: { HOME: "/root", USER: "root", LOGNAME: "root" } },
      async (server, client) => {
        assert.is(await output(client, "id -u; id -g; id -G; umask > /dev/null"), "65534\n65534\n65534\n");
        const script = 'echo "$HOME $USER $LOGNAME $SHELL"';
        assert.is(await output(client, script, inheritAll), "/nonexistent nobody nobody /usr/sbin/nologin\n");
        for (const task of readdirSync(`/proc/${server.pid}/task`)) {
          const status = readFileSync(`/proc/${server.pid}/task/${task}/status`, "utf8");
          assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
          assert.match(status, /^Gid:\t65534\t65534\t65534\t65534$/m);
          assert.match(status, /^CapPrm:\t0+$/m);
        }
      },
    ),
);

rootTest(
  "--user UID:GID needs no entry in passwd",
  () =>
    withServer({ args: ["--user", `${STRANGER}:${STRANGER + 1}`] }, async (_server, client) => {
      assert.is(
        await output(client, "id -u; id -g; id -G"),
        `${STRANGER}\n${STRANGER + 1}\n${STRANGER + 1}\n`,
      );
      const script = 'echo "$HOME $USER $SHELL"; pwd';
      assert.is(await output(client, script, inheritAll), `/ ${STRANGER} /bin/sh\n/\n`);
      // That of the tests is ours alone.
      assert.is(await output(client, "echo $TMPDIR", inheritAll), "\n");
    }),
);

rootTest(
  "--user: what needs root comes before; the server works in its folder, or where it may",
  async () => {
    const folder = folderOf(0);
    const log = join(folder, "audit.log");
    await withServer(
      { args: ["--user", "nobody", "--audit-log", log], cwd: folder },
      async (server, client) => {
        assert.is((await client.call("environment/info", {}))["cwd"], `file://${folder}`);
        await client.startProcess("p", ["true"]);
        await client.collect("p");
        await until("it is recorded", () => linesOf(log, "process.exit").length === 1);
        assert.equal([statSync(log).uid, statSync(log).mode & 0o777], [0, 0o600]);
        assert.is(linesOf(log, "server.started")[0]?.["uid"], NOBODY);
        const membership = readFileSync(`/proc/${server.pid}/cgroup`, "utf8");
        const cgroup = findCgroup(readFileSync("/proc/self/mountinfo", "utf8"), membership) ?? "";
        if (cgroup.includes("/exec-server-")) {
          for (const name of ["", "cgroup.procs", "cgroup.freeze"]) {
            assert.is(statSync(join(cgroup, name)).uid, NOBODY);
          }
        }
        assert.match(await output(client, `echo x >> ${log}`), /denied/i);
        assert.is(server.stderr(), "");
      },
    );
    chmodSync(folder, 0o700);
    await withServer({ args: ["--user", "nobody"], cwd: folder }, async (_server, client) => {
      assert.is((await client.call("environment/info", {}))["cwd"], "file:///");
    });
  },
);

rootTest("--user: nothing outlives the server, however it ends", async () => {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const server = await startServer({ args: ["--user", "nobody"] });
    const client = await server.connect();
    // Without an environment, a parent and a session of ours only the cgroup finds it, where there is one.
    const hasCgroup = readFileSync(`/proc/${server.pid}/cgroup`, "utf8").includes("/exec-server-");
    const orphan = `(${hasCgroup ? "env -i " : ""}setsid sh -c 'echo $$; exec sleep 1000' &)`;
    await client.startProcess("p", ["/bin/sh", "-c", `${orphan}; sleep 1000 & echo $!; echo $$; wait`]);
    const pids = () =>
      client.notifications.filter(({ method }) => method === "process/output").flatMap(({ params }) =>
        Buffer.from(String(params["chunk"]), "base64").toString().trim().split("\n").map(Number)
      );
    await until("all of it runs", () => pids().length === 3);
    await server.stop(signal);
    await until(`nothing is left after ${signal}`, () => !pids().some(isRunning));
  }
});

rootTest("--user: a sandbox works, for processes and for files", async () => {
  const folder = folderOf(NOBODY);
  const options = {
    args: ["--user", "nobody"],
    env: { XDG_STATE_HOME: folder },
    program: isCompiled ? reachableProgram() : undefined, // which the helper in the sandbox is, too
  };
  await withServer(options, async (_server, client) => {
    const sandbox = managed([special("root", "read"), at(folder, "write")], { cwd: `file://${folder}` });
    const script = `echo in > ${folder}/a; cat ${folder}/a; echo x > /tmp/no-such-place/x; id -u`;
    assert.match(await output(client, script, { sandbox }), /^in\n65534\n.*/);
    await client.call("fs/writeFile", { path: `file://${folder}/b`, dataBase64: "aGk=", sandbox });
    assert.equal([readFileSync(join(folder, "b"), "utf8"), statSync(join(folder, "b")).uid], ["hi", NOBODY]);
  });
  rmSync(join(folder, "exec-server"), { recursive: true, force: true });
});

test("wrong users are refused before anything is served", async () => {
  const wrong: [string, RegExp][] = [
    ["root", /that is root/],
    ["0", /that is root/],
    ["0:5", /that is root/],
    ["no-such-user", /there is no such user/],
    [`${STRANGER}`, /name its group too, as UID:GID/],
    ["nobody:group", /takes NAME, UID/],
    ["", /takes NAME, UID/],
    ["4294967295:1", /too large/],
  ];
  for (const [user, text] of wrong) {
    const { code, stdout, stderr } = await runServer({
      args: ["--user", user, "--listen", "ws://127.0.0.1:0"],
    });
    assert.equal([code, stdout], [2, ""], user);
    assert.match(stderr, text);
  }
  if (canDrop) return;
  const { code, stderr } = await runServer({ args: ["--user", "nobody"] });
  assert.is(code, 1);
  assert.match(stderr, isRoot ? /--user cannot be had under Deno/ : /--user needs root/);
});

test("root is warned, once, in one line, unless it asked for silence or for another user", async () => {
  const said = async (...args: string[]) => {
    const script =
      'coproc=$(mktemp -u); mkfifo "$coproc"; "$@" > "$coproc" & read -r url < "$coproc"; rm "$coproc"; ' +
      "kill -TERM $!; wait $!";
    const { code, stderr } = await runInShell(`set -- "$@" serve ${args.join(" ")}; ${script}`);
    assert.is(code, 0, stderr);
    return stderr;
  };
  const warning = await said();
  if (isRoot) {
    assert.match(warning, ` warn ${ROOT_WARNING}\n`);
    assert.is(warning.split("\n").length, 2);
    if (canDrop) assert.is(await said("--user", "nobody"), "");
  } else assert.is(warning, "");
  assert.is(await said("--log-level", "error"), "");
});

test("root of a user namespace, and PID 1, are not warned", async () => {
  const asRoot = isRoot ? "" : "--user --map-root-user";
  const script = (flags: string) =>
    `f=$(mktemp -u); mkfifo "$f"; unshare ${flags} "$@" serve > "$f" & read -r url < "$f"; rm "$f"; ` +
    "kill -TERM $(cat /proc/$!/task/$!/children) 2> /dev/null || kill -TERM $!; wait $!";
  for (const flags of ["--user --map-root-user", `${asRoot} --pid --fork --kill-child --mount-proc`]) {
    assert.is((await runInShell(script(flags))).stderr, "", flags);
  }
});

if (isRoot && isCompiled) {
  test("other programs of its user cannot look into the server, nor trace it, unless --traceable", async () => {
    for (const [args, owner] of [[[], 0], [["--traceable"], NOBODY]] as const) {
      const env = { EXEC_SERVER_TOKEN: "t0ken-of-this-server" };
      await withServer({ args: ["--user", "nobody", ...args], env }, async (server, client) => {
        assert.is(statSync(`/proc/${server.pid}/environ`).uid, owner);
        const seen = await output(client, `cat /proc/${server.pid}/environ; ls /proc/${server.pid}/fd`);
        if (owner === 0) assert.match(seen, /denied/);
        assert.is(seen.includes("t0ken-of-this-server"), owner !== 0);
        // What it starts is as it would be: traceable, and with the limit for cores that the server has.
        const [uid, limit] = (await output(client, "stat -c %u /proc/$$/environ; ulimit -c")).split("\n");
        const [, , ours] = /^Max core file size +(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ??
          [];
        assert.is(uid, String(NOBODY));
        assert.ok(ours === undefined || ours === limit);
      });
    }
  });
}

test("no secret and no door of the server's environment reaches a child that inherits everything", () => {
  const env = {
    EXEC_SERVER_TOKEN: "a",
    EXEC_SERVER_URL: "wss://me:b@host",
    CODEX_EXEC_SERVER_NOISE_AUTH_TOKEN: "c",
    CREDENTIALS_DIRECTORY: "/run/credentials/x",
    NOTIFY_SOCKET: "/run/no/such/socket",
    ORDINARY_TOKEN: "kept",
  };
  return withServer({ env }, async (_server, client) => {
    const names = (await output(client, "env", inheritAll)).split("\n").map((line) => line.split("=")[0]);
    assert.ok(names.includes("ORDINARY_TOKEN"));
    assert.equal(names.filter((name) => name !== "ORDINARY_TOKEN" && name !== undefined && name in env), []);
  });
});

test.run();
