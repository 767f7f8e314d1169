/** How a server sees from outside that a sandbox stands, and is the one that was planned. */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { type ExecServerError, internalError } from "../protocol/error.ts";
import type { ByteSource } from "../runtime/child.ts";
import { mountProblem } from "./mount_check.ts";
import type { Plan } from "./plan.ts";
import type { StubClaim, StubJournal } from "./stubs.ts";

/** The disk may change between a plan and its stand-ins; whoever changes it all the time gets no sandbox. */
const MAX_PLANS = 5;

/**
 * The sandbox's init, from bwrap's status; undefined when that ends without it. Reads no further: the source stays the
 * caller's, who must keep it open, or bwrap dies of a broken pipe when it writes the exit code.
 */
export async function childPid(status: ByteSource): Promise<number | undefined> {
  for (let text = "";;) {
    const bytes = await status.read();
    if (bytes === null) return undefined;
    text += Buffer.from(bytes).toString("latin1");
    // With what follows: the number itself may come in two pieces.
    const found = /"child-pid"\s*:\s*(\d+)[^\d]/.exec(text)?.[1];
    if (found !== undefined) return Number(found);
  }
}

/** Whether a process has the mounts of a plan; says what is wrong. Mounts that cannot be read are wrong. */
export function mountProblemOf(plan: Plan, pid: number): string | undefined {
  try {
    return mountProblem(plan, mountinfo(pid), mountinfo("self"));
  } catch {
    return "its mounts cannot be checked";
  }
}

function mountinfo(process: number | "self"): string {
  return readFileSync(`/proc/${process}/mountinfo`, "utf8");
}

/**
 * A plan with its stand-ins made. The claim has to be released.
 * @param plan makes it anew; undefined: no sandbox is to be made
 */
export async function claimed(
  plan: () => Promise<Plan | undefined>,
  journal: StubJournal,
): Promise<{ readonly plan: Plan; readonly claim: StubClaim } | undefined> {
  for (let count = 0; count < MAX_PLANS; count++) {
    const made = await plan();
    if (!made) return undefined;
    const claim = await journal.claim(made);
    if (claim) return { plan: made, claim };
  }
  throw changing();
}

/** What a sandbox is about changes so quickly that none can be made. */
export function changing(): ExecServerError {
  return internalError("what the sandbox policy names changes all the time: no sandbox could be made");
}
