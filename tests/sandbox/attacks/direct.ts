// Starts programs without a server: under the engine's own command line, or under nothing at all, which shows that the
// attacks are attacks.
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import * as v from "valibot";
import { sandboxContext } from "../../../src/protocol/sandbox.ts";
import { type SealedDescriptor, sealedDescriptor } from "../../../src/runtime/memfd.ts";
import { bubblewrapCommand } from "../../../src/sandbox/bubblewrap.ts";
import { findBwrap } from "../../../src/sandbox/find_bwrap.ts";
import { planOf } from "../../../src/sandbox/plan.ts";
import { policyOf } from "../../../src/sandbox/policy.ts";
import { seccompFilter } from "../../../src/sandbox/seccomp.ts";
import { openStubJournal } from "../../../src/sandbox/stubs.ts";
import { tempDir } from "../../harness/temp.ts";
import type { AttackProcess, Start } from "./attack.ts";
import { startRelayed } from "./relay.ts";
import type { Scene } from "./scene.ts";
import { wireSandbox } from "./wire_policy.ts";

/** Nothing of the server's, as the policy of the environment demands. */
const ENVIRONMENT = { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LANG: "C.UTF-8", TERM: "xterm" };

/**
 * Limits that the server sets on every sandboxed process, here by the shell inside: dash calls the number of
 * processes `-p`, bash `-u`. RLIMIT_DATA and not RLIMIT_AS, which V8 does not survive.
 */
const LIMITS = [
  "command ulimit -t 600",
  "command ulimit -f 4000000", // of 512 bytes
  "command ulimit -d 1000000", // of 1024 bytes
  "command ulimit -n 4096",
  "command ulimit -u 400 2>/dev/null || command ulimit -p 400",
  'exec "$@"',
].join("; ");

/** Starts under bubblewrap, as `src/sandbox/` has it. */
export function directStart(scene: Scene): Start {
  const journal = openStubJournal(join(tempDir(), "stubs"));
  const found = findBwrap();
  return async (argv, { tty, policy, cwd }) => {
    if (!("path" in found)) throw new Error(`no bwrap: ${found.problem}`);
    const asked = policyOf(v.parse(sandboxContext, wireSandbox(policy, cwd)));
    if (asked === undefined) throw new Error("unreachable: the policy asks for a sandbox");
    const plan = await planOf(asked, { cwd, temporaryDirectories: [], privateTemp: true });
    const command = bubblewrapCommand(plan, {
      bwrap: found.path,
      program: { file: "/bin/sh", argv: ["/bin/sh", "-c", LIMITS, "limits", ...argv] },
      env: ENVIRONMENT,
      descriptors: { options: 3, seccomp: 4, status: 5, ready: 6 },
      terminal: tty,
    });
    const stubs = await journal.claim(plan);
    const made: SealedDescriptor[] = [];
    const descriptor = (bytes: Uint8Array) => {
      const one = sealedDescriptor(bytes);
      if (one === undefined) throw new Error("no descriptor could be made");
      made.push(one);
      return one.fd;
    };
    try {
      const started = startRelayed({
        argv: command.argv,
        uid: scene.uid,
        tty,
        cwd: "/",
        env: {},
        secret: scene.token,
        descriptors: [
          descriptor(command.options),
          descriptor(seccompFilter({
            network: plan.network,
            nestedNamespaces: plan.nestedNamespaces,
            unixSockets: plan.unixSockets || plan.network,
            arch: filterArch(),
          })),
          "pipe",
          "pipe",
        ],
      });
      return { ...started, ended: started.ended.finally(() => stubs?.release()) };
    } catch (error) {
      await stubs?.release();
      throw error;
    } finally {
      for (const one of made) one.close();
    }
  };
}

/** Starts without a sandbox; for root with mounts of its own, so that what an attack mounts goes with it. */
export function bareStart(scene: Scene): Start {
  return (argv, { tty, cwd }) => {
    const own = scene.uid === 0 && existsSync("/usr/bin/unshare")
      ? ["/usr/bin/unshare", "--mount", "--propagation", "private"]
      : [];
    const started: AttackProcess = startRelayed({
      argv: [...own, ...argv],
      uid: scene.uid,
      tty,
      cwd,
      env: ENVIRONMENT,
      secret: scene.token,
    });
    return Promise.resolve(started);
  };
}

function filterArch(): "x64" | "arm64" {
  if (process.arch !== "x64" && process.arch !== "arm64") throw new Error(`no filter for ${process.arch}`);
  return process.arch;
}
