// docs/deploy: the unit is what systemd understands, and the server works under it.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { until } from "../harness/proc.ts";
import { tempDir } from "../harness/temp.ts";
import { bootSystemd, canBootSystemd, type Systemd } from "./systemd.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const UNIT = join(ROOT, "docs/deploy/exec-server.service");
const PROGRAM = join(ROOT, "dist/exec-server");
const TOKEN = "the token of the unit";
const TOKEN_FILE = "/media/token";
const WHERE = ["--url", "ws://127.0.0.1:9000", "--token-file", TOKEN_FILE];
const text = readFileSync(UNIT, "utf8");

/** All values of a directive, those that are commented out not among them. */
function directive(name: string): string[] {
  return [...text.replaceAll("\\\n", " ").matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, value]) =>
    value ?? ""
  );
}

test("systemd understands the unit, and thinks well of it", () => {
  const unit = join(tempDir(), "exec-server.service");
  writeFileSync(unit, text.replaceAll("/usr/local/bin/exec-server", PROGRAM));
  const verified = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" });
  assert.equal([verified.status, verified.stderr], [0, ""]);
  const security = spawnSync("systemd-analyze", ["security", "--offline=true", "--threshold=40", unit], {
    encoding: "utf8",
  });
  assert.is(security.status, 0, security.stdout);
});

test("the unit leaves what the runtime and the sandbox need", () => {
  assert.equal(directive("MemoryDenyWriteExecute"), []); // code is compiled at run time
  for (const covered of ["ProtectKernelTunables", "ProtectKernelLogs", "ProtectProc", "ProcSubset"]) {
    assert.equal(directive(covered), [], covered); // a covered /proc cannot be mounted again
  }
  assert.equal(directive("ProtectControlGroups"), []);
  assert.equal([directive("Delegate"), directive("KillMode"), directive("OOMPolicy")], [["yes"], ["mixed"], [
    "continue",
  ]]);
  assert.equal(directive("NoNewPrivileges"), ["yes"]);
  const families = directive("RestrictAddressFamilies").join(" ").split(" ");
  for (const family of ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"]) assert.ok(families.includes(family));
  const kinds = directive("RestrictNamespaces").join(" ").split(" ");
  for (const kind of ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"]) {
    assert.ok(kinds.includes(kind), kind);
  }
  const help = spawnSync(PROGRAM, ["serve", "--help"], { encoding: "utf8" }).stdout;
  for (const [, option = ""] of directive("ExecStart").join(" ").matchAll(/ (--[a-z-]+)/g)) {
    assert.match(help, `${option} `);
  }
});

if (canBootSystemd()) {
  let systemd: Systemd;
  test.before(async () => {
    const user = { name: "exec-server", id: 54_321, home: "/var/lib/exec-server" };
    const unit = join(tempDir(), basename(UNIT));
    writeFileSync(unit, text.replace("/etc/exec-server/token", TOKEN_FILE)); // else as it is
    systemd = await bootSystemd({
      unit,
      program: PROGRAM,
      user,
      files: { token: TOKEN },
    });
    await until("it listens", () => systemd.run("exec-server", "info", ...WHERE).status === 0);
  });
  test.after(async () => {
    await systemd.stop();
  });
  const there = (...argv: string[]) => {
    const { status, stdout, stderr } = systemd.run("exec-server", "run", ...WHERE, ...argv);
    return { status, text: `${stdout}${stderr}` };
  };
  const script = (text: string) => there("--", "sh", "-c", text).text;

  test("started by systemd it serves, as its user, with nothing it does not need", () => {
    const state = systemd.run("systemctl", "show", "-p", "ActiveState,SubState,NRestarts", "exec-server");
    assert.is(state.stdout, "NRestarts=0\nActiveState=active\nSubState=running\n", systemd.log());
    assert.is(script("id -u; pwd; echo $HOME"), "54321\n/var/lib/exec-server\n/var/lib/exec-server\n");
    assert.match(script("cat /proc/self/status"), /^CapBnd:\t0+\n[^]*^NoNewPrivs:\t1\nSeccomp:\t2$/m);
    assert.match(script("touch /etc/x /usr/x /opt/x"), /(?:Read-only file system[^]*){3}/);
    assert.is(
      script("echo x > file; cat file; ls -A /tmp; ls -A /root /home 2>&1 | grep -c denied"),
      "x\n2\n",
    );
    assert.match(script("cat /proc/self/cgroup"), /exec-server\.service\/exec-server-\d+-[0-9a-f]+\/main$/m);
    assert.is(script("echo $NOTIFY_SOCKET$CREDENTIALS_DIRECTORY"), "\n");
  });

  test("under the unit sandboxes, terminals and files work", () => {
    const doctor = there("--", "exec-server", "doctor");
    assert.is(doctor.status, 0, doctor.text);
    assert.equal(there("-t", "--", "sh", "-c", "stty size; test -t 0; exit 7").status, 7);
    const put = systemd.run(
      "sh",
      "-c",
      `echo hi | exec-server fs put /var/lib/exec-server/f ${WHERE.join(" ")}`,
    );
    assert.is(put.status, 0, put.stderr);
    assert.match(systemd.run("stat", "-c", "%U %a", "/var/lib/exec-server/f").stdout, /^exec-server 6/);
  });

  test("the audit log is there, for its owner only", () => {
    const log = "/var/log/exec-server/audit.log";
    assert.is(systemd.run("stat", "-c", "%U %a", log).stdout, "exec-server 600\n");
    assert.match(
      systemd.run("cat", log).stdout,
      /"event":"server.started".*"uid":54321[^]*"event":"process.exit"/,
    );
  });

  test("stopped, it ends by itself and nothing is left", () => {
    const { text } = there(
      "--detach",
      "--session-ttl",
      "1000",
      "--",
      "sh",
      "-c",
      "setsid sleep 1000 & sleep 1000",
    );
    assert.match(text, /^[0-9a-f-]{36} /);
    assert.is(systemd.run("systemctl", "stop", "exec-server").status, 0);
    const state = systemd.run("systemctl", "show", "-p", "ActiveState,Result,ExecMainStatus", "exec-server");
    assert.is(state.stdout, "Result=success\nExecMainStatus=0\nActiveState=inactive\n", systemd.log());
    assert.not.match(systemd.run("ps", "-e", "-o", "args").stdout, "sleep 1000");
  });
}

test.run();
