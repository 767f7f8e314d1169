// What is judged only from outside, after the sandbox has ended.
import type { Attack } from "./attack.ts";
import { leftProcesses, litter, litterName } from "./traces.ts";

const inFolder = (folder: string): Attack => ({
  id: `v-shared${folder.replaceAll("/", "-")}`,
  tries: `share ${folder} with the host`,
  stoppedBy: "an own file system there",
  program: (scene) => ({ sh: `echo x >${folder}/${litterName(scene)} || :\nsay TRIED` }),
  evidence: (scene) =>
    litter(scene).find((path) => path.startsWith(`${folder}/`)) && `the file is in ${folder}`,
  needsPrivateTmp: true,
});

const DAEMON_WAIT_MS = 2_000;
const LOOK_MS = 20;

/** Attacks that outlive their sandbox or are seen only outside. */
export const OUTSIDE_VIEW: readonly Attack[] = [
  inFolder("/tmp"),
  inFolder("/var/tmp"),
  { ...inFolder("/dev/shm"), bare: "machine" },
  {
    id: "v-no-litter",
    tries: "leave stubs of protected names behind",
    stoppedBy: "stubs are removed afterwards",
    program: () => ({ sh: "ls -la .codex >/dev/null 2>&1\nsay TRIED" }),
    bare: "closed",
  },
  {
    id: "v-daemon-dead",
    tries: "leave a daemon behind",
    stoppedBy: "a process namespace and --die-with-parent",
    program: () => ({
      perl: String.raw`
if (!fork) { POSIX::setsid(); if (!fork) { open(STDIN, "<", "/dev/null"); open(STDOUT, ">", "/dev/null"); open(STDERR, ">", "/dev/null"); $SIG{HUP} = "IGNORE"; $SIG{TERM} = "IGNORE"; sleep 60; } POSIX::_exit(0) }
wait; tried();`,
    }),
    evidence(scene) {
      for (let waited = 0; waited < DAEMON_WAIT_MS; waited += LOOK_MS) {
        if (leftProcesses(scene).length === 0) return undefined;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS); // a stranger's end gives no event
      }
      return "the daemon still runs";
    },
  },
];
