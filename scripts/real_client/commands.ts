/** Scenarios of plain commands. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { command, exitCodeIn, expect, numbers, outputAt, type Scenario, sha256 } from "./scenario.ts";
import { receivedOutput } from "./received.ts";

const exit: Scenario = {
  name: "output and exit code",
  calls: [command("echo hi; exit 7")],
  check(evidence) {
    const output = outputAt(evidence, 0);
    expect(exitCodeIn(output) === 7, "exit code 7", output);
    expect(/^hi$/m.test(output), "the line hi", output);
    return "hi, 7";
  },
};

/** `seq 1 N` is a little more than 3 MB. */
const LINES = 450_000;

const large: Scenario = {
  name: "3 MB of output",
  calls: [command(`seq 1 ${LINES} | tee big.txt; echo END; sleep 0.3; echo oops >&2; exit 3`)],
  check(evidence) {
    const output = outputAt(evidence, 0);
    const stdout = receivedOutput(evidence.messages, "stdout");
    const stderr = receivedOutput(evidence.messages, "stderr");
    const written = readFileSync(join(evidence.workspace, "big.txt"));
    const expected = numbers(LINES);
    expect(written.toString() === expected, "the command to write every line", written.length);
    expect(sha256(stdout) === sha256(`${expected}END\n`), "every byte of stdout on the wire", stdout.length);
    expect(stderr.toString() === "oops\n", "stderr on the wire", stderr);
    expect(exitCodeIn(output) === 3, "exit code 3", output.slice(0, 300));
    expect(/^1\n2\n3$/m.test(output), "the first lines for the model", output.slice(0, 300));
    expect(
      /^END$/m.test(output) && /^oops$/m.test(output),
      "the last lines for the model",
      output.slice(-300),
    );
    return `${stdout.length} bytes of stdout, sha256 ${
      sha256(stdout).slice(0, 12)
    }, ${output.length} for the model`;
  },
};

const signals: Scenario = {
  name: "death by a signal",
  calls: [
    command("echo before; kill -9 $$"),
    command("kill -TERM $$"),
    command("sh -c 'kill -SEGV $$'; echo $?"),
  ],
  check(evidence) {
    const [killed, terminated, inner] = [0, 1, 2].map((i) => outputAt(evidence, i));
    expect(exitCodeIn(killed ?? "") === 137 && /^before$/m.test(killed ?? ""), "137 after kill -9", killed);
    expect(exitCodeIn(terminated ?? "") === 143, "143 after kill -TERM", terminated);
    expect(/^139$/m.test(inner ?? ""), "the shell to see 139", inner);
    return "137, 143, 139";
  },
};

/** The scenarios. */
export const commands: readonly Scenario[] = [exit, large, signals];
