/** What can be enforced on this machine, and why not: facts for `exec-server doctor`. Nothing is changed. */
import { accessSync, constants, readFileSync } from "node:fs";
import process from "node:process";
import type { ProbeResult } from "./probe.ts";

/** One fact. */
export interface DoctorFact {
  /** Stable, for scripts. */
  readonly name: string;
  /** True when nothing has to be done. */
  readonly ok: boolean;
  /** What was found. */
  readonly detail: string;
  /** What to do, or what it means; empty when it is well. */
  readonly hint: string;
}

/** What the facts are read from; for tests. */
export interface DoctorSources {
  readonly read: (path: string) => string | undefined;
  readonly writable: (path: string) => boolean;
  readonly platform: NodeJS.Platform;
  readonly uid: number | undefined;
}

const ofThisMachine: DoctorSources = {
  read: (path) => {
    try {
      return readFileSync(path, "utf8").trim();
    } catch {
      return undefined;
    }
  },
  writable: (path) => {
    try {
      accessSync(path, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  },
  platform: process.platform,
  uid: process.getuid?.(),
};

/** All facts, the most important first. */
export function doctorFacts(probe: ProbeResult, sources: DoctorSources = ofThisMachine): DoctorFact[] {
  const facts = [sandboxFact(probe)];
  if (sources.platform !== "linux") return facts;
  return [
    ...facts,
    bwrapFact(probe),
    namespacesFact(probe, sources),
    seccompFact(sources),
    cgroupFact(sources),
    rootFact(sources),
    tiocstiFact(sources),
  ];
}

function sandboxFact(probe: ProbeResult): DoctorFact {
  return probe.available
    ? fact("sandbox", true, "a sandbox was made and held")
    : fact("sandbox", false, `${probe.reason}: ${probe.detail}`, probe.hint);
}

function bwrapFact(probe: ProbeResult): DoctorFact {
  if (probe.available) return fact("bubblewrap", true, `${probe.bwrap}, version ${probe.version}`);
  const ok = !probe.reason.startsWith("bwrap-");
  return fact("bubblewrap", ok, ok ? "found" : probe.detail, ok ? "" : probe.hint);
}

function namespacesFact(probe: ProbeResult, { read }: DoctorSources): DoctorFact {
  const limits: string[] = [];
  if (read("/proc/sys/user/max_user_namespaces") === "0") limits.push("user.max_user_namespaces is 0");
  if (read("/proc/sys/kernel/unprivileged_userns_clone") === "0") {
    limits.push("kernel.unprivileged_userns_clone is 0");
  }
  if (read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") === "1") {
    limits.push("kernel.apparmor_restrict_unprivileged_userns is 1: bwrap needs an AppArmor profile");
  }
  const refused = !probe.available && /^(userns|proc-mount|network-namespace)-/.test(probe.reason);
  const detail = limits.length > 0 ? limits.join("; ") : refused ? "refused" : "no limit is set";
  return fact("user-namespaces", !refused, detail, refused ? probe.hint : "");
}

function seccompFact({ read }: DoctorSources): DoctorFact {
  const actions = read("/proc/sys/kernel/seccomp/actions_avail") ?? "";
  const ok = actions.split(" ").includes("errno");
  return fact(
    "seccomp",
    ok,
    ok ? "filters are taken" : "no filter is taken",
    ok ? "" : "the kernel needs CONFIG_SECCOMP_FILTER",
  );
}

function cgroupFact({ read, writable }: DoctorSources): DoctorFact {
  const own = /^0::(.*)$/m.exec(read("/proc/self/cgroup") ?? "")?.[1] ?? "/";
  const mount = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(read("/proc/self/mountinfo") ?? "")?.[1];
  const folder = mount === undefined ? undefined : `${mount}${own === "/" ? "" : own}`;
  const controllers = folder === undefined ? "" : read(`${folder}/cgroup.controllers`) ?? "";
  const missing = ["memory", "pids"].filter((name) => !controllers.split(" ").includes(name));
  const canWrite = folder !== undefined && writable(folder);
  const ok = canWrite && missing.length === 0;
  const detail = folder === undefined
    ? "no cgroup2"
    : !canWrite
    ? `${folder} cannot be written`
    : missing.length > 0
    ? `${folder} has no controller ${missing.join(", ")}`
    : folder;
  return fact(
    "cgroup",
    ok,
    detail,
    ok ? "" : "limits of memory and processes hold for each process, not for all together",
  );
}

function rootFact({ uid }: DoctorSources): DoctorFact {
  return uid === 0
    ? fact(
      "not-root",
      false,
      "the server runs as root",
      "run it as a user of its own: every gap would be one of root's",
    )
    : fact("not-root", true, `the server runs as uid ${uid ?? "?"}`);
}

function tiocstiFact({ read }: DoctorSources): DoctorFact {
  const on = read("/proc/sys/dev/tty/legacy_tiocsti") !== "0";
  return fact(
    "legacy-tiocsti",
    !on,
    on ? "dev.tty.legacy_tiocsti is on" : "off",
    on ? "the filter refuses it in sandboxes; sysctl dev.tty.legacy_tiocsti=0 does so everywhere" : "",
  );
}

function fact(name: string, ok: boolean, detail: string, hint = ""): DoctorFact {
  return { name, ok, detail, hint };
}
