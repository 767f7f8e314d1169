/** Scenarios of a connection that is cut while a command runs. */
import { receivedOutput } from "./received.ts";
import {
  command,
  type Evidence,
  exitCodeIn,
  expect,
  numbers,
  outputAt,
  type Scenario,
  sha256,
} from "./scenario.ts";
import type { WireMessage } from "./wire_message.ts";

/** True for the message with which so many bytes of output (in base64) have come by. */
function afterBytes(count: number): (message: WireMessage) => boolean {
  let seen = 0;
  return ({ method, params }) =>
    method === "process/output" && (seen += String(params["chunk"]).length) >= count;
}

/** @throws unless the client came back to its session and read what it had missed */
function expectResumed({ messages }: Evidence): void {
  const methods = messages.map(({ method }) => method ?? "answer").filter((name) => !name.startsWith("fs/"));
  const resumes = messages.filter(({ method, params }) =>
    method === "initialize" && typeof params["resumeSessionId"] === "string"
  );
  expect(resumes.length > 0, "the client to resume its session", methods.slice(-20));
  expect(methods.includes("process/read"), "the client to read what it missed", methods.slice(-20));
}

const slow: Scenario = {
  name: "a cut while a command prints slowly",
  calls: [command("for i in $(seq 1 20); do echo line $i; sleep 0.15; done; exit 5"), command("echo after")],
  disturb: (proxy) => proxy.cutWhen(afterBytes(70)),
  check(evidence) {
    expectResumed(evidence);
    const output = outputAt(evidence, 0);
    const lines = output.split("\n").filter((line) => line.startsWith("line "));
    const expected = Array.from({ length: 20 }, (_, i) => `line ${i + 1}`);
    expect(lines.join() === expected.join(), "every line once, in order", lines);
    expect(exitCodeIn(output) === 5, "exit code 5", output);
    expect(/^after$/m.test(outputAt(evidence, 1)), "the next command to run", outputAt(evidence, 1));
    return "20 lines, each once";
  },
};

/** `seq 1 N` is nearly 8 MB: much more than the server keeps of output that it has sent. */
const LINES = 1_100_000;

const fast: Scenario = {
  name: "a cut while a command prints 8 MB",
  calls: [command(`seq 1 ${LINES}; echo END; exit 6`)],
  disturb: (proxy) => proxy.cutWhen(afterBytes(3_000_000)),
  check(evidence) {
    expectResumed(evidence);
    const output = outputAt(evidence, 0);
    const stdout = receivedOutput(evidence.messages, "stdout");
    expect(exitCodeIn(output) === 6, "exit code 6", output.slice(0, 200));
    expect(/^END$/m.test(output), "the last line", output.slice(-200));
    expect(sha256(stdout) === sha256(`${numbers(LINES)}END\n`), "every byte", `${stdout.length} bytes`);
    return `${stdout.length} bytes, all there`;
  },
};

const ended: Scenario = {
  name: "a cut that hides the end of a command",
  calls: [command("echo only; exit 9")],
  disturb: (proxy) => proxy.cutWhen(({ method }) => method === "process/exited"),
  check(evidence) {
    expectResumed(evidence);
    const output = outputAt(evidence, 0);
    expect(exitCodeIn(output) === 9 && /^only$/m.test(output), "the line and exit code 9", output);
    return "only, 9";
  },
};

/** `seq 1 N` is 3 MB. */
const LATER_LINES = 450_000;

/** Small pieces that come meanwhile: more than the 256 that the client keeps out of order. */
const SMALL = 1_000;
const PIECES = `for i in $(seq 1 ${SMALL}); do echo $i; sleep 0.002; done`;

const outage: Scenario = {
  name: "an outage of two seconds, then 3 MB of output",
  calls: [command(`${PIECES}; seq 1 ${LATER_LINES}; echo END; exit 8`)],
  disturb: (proxy) => proxy.cutWhen(afterBytes(40), { outageMs: 2_000 }),
  check(evidence) {
    expectResumed(evidence);
    const output = outputAt(evidence, 0);
    const stdout = receivedOutput(evidence.messages, "stdout");
    const expected = `${numbers(SMALL)}${numbers(LATER_LINES)}END\n`;
    expect(exitCodeIn(output) === 8, "exit code 8", output.slice(0, 400));
    expect(sha256(stdout) === sha256(expected), "every byte", `${stdout.length} bytes`);
    return `${stdout.length} bytes, all there`;
  },
};

/** `seq 1 N` is 5 MB: more than the server lets an attached client have unacknowledged. */
const HIDDEN_LINES = 750_000;

const hidden: Scenario = {
  name: "an outage that hides 5 MB, then 3 MB more",
  calls: [command(`echo go; seq 1 ${HIDDEN_LINES}; sleep 3; seq 1 ${LATER_LINES}; exit 2`)],
  disturb: (proxy) => proxy.cutWhen(afterBytes(1), { outageMs: 2_000 }),
  check(evidence) {
    expectResumed(evidence);
    const output = outputAt(evidence, 0);
    const stdout = receivedOutput(evidence.messages, "stdout");
    const expected = `go\n${numbers(HIDDEN_LINES)}${numbers(LATER_LINES)}`;
    expect(exitCodeIn(output) === 2, "exit code 2", output.slice(0, 200));
    expect(sha256(stdout) === sha256(expected), "every byte", `${stdout.length} bytes`);
    return `${stdout.length} bytes, all there`;
  },
};

const unaware: Scenario = {
  name: "a cut that the server does not notice",
  calls: [command("for i in $(seq 1 10); do echo line $i; sleep 0.1; done; exit 4")],
  disturb: (proxy) => proxy.cutWhen(afterBytes(40), { isServerUnaware: true }),
  check(evidence) {
    expectResumed(evidence);
    const output = outputAt(evidence, 0);
    expect(exitCodeIn(output) === 4 && /^line 10$/m.test(output), "line 10 and exit code 4", output);
    return "10 lines, 4";
  },
};

/** The scenarios. */
export const recovery: readonly Scenario[] = [slow, fast, ended, outage, hidden, unaware];
