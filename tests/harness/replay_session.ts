import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { replay, type ReplayHooks } from "./replay.ts";
import type { TestServer } from "./server.ts";
import { tempDir } from "./temp.ts";
import type { Recorded } from "./transcript.ts";
import { isObject, type WireClient } from "./wire_client.ts";

/** What a first connection does before the recorded one resumes its session. */
type Prelude = (first: WireClient, folder: string) => Promise<ReplayHooks | void>;

const base64 = (text: string) => btoa(text);
const output = (client: WireClient) => client.waitFor((m) => m["method"] === "process/output");

const preludes: Record<string, Prelude> = {
  "session/resume while attached is refused": async () => {},
  "session/resume: output made while detached is not pushed, later output is": async (first, folder) => {
    const [goB, madeB, goC] = [join(folder, "go-b"), join(folder, "made-b"), join(folder, "go-c")];
    const wait = (path: string) => `while [ ! -e ${path} ]; do sleep 0.02; done`;
    const script = `echo a; ${wait(goB)}; echo b; sleep 0.2; : >${madeB}; ${wait(goC)}; echo c`;
    await first.startProcess("p3", ["/bin/sh", "-c", script]);
    await output(first);
    await first.terminate();
    writeFileSync(goB, "");
    while (!existsSync(madeB)) await new Promise((ok) => setTimeout(ok, 20)); // made by a process that is not ours
    return { answered: (index) => index === 0 && writeFileSync(goC, "") };
  },
  "session/resume: writeId memory survives": async (first) => {
    const script = 'read x; echo "got $x"; read y; echo "got $y"';
    await first.startProcess("p5", ["/bin/sh", "-c", script], { pipeStdin: true });
    await first.call("process/write", { processId: "p5", chunk: base64("one\n"), writeId: "1" });
    await output(first);
  },
  "session/resume: exited process is still readable": async (first) => {
    await first.startProcess("p6", ["/bin/sh", "-c", "echo done; exit 9"]);
    await first.collect("p6");
  },
  "session/resume: file handles are gone": async (first, folder) => {
    writeFileSync(join(folder, "a"), "0123456789");
    await first.call("fs/open", { handleId: "h", path: `file://${folder}/a` });
  },
  "session/resume: repeated by a third connection": async (first) => {
    await first.startProcess("p8", ["/bin/sleep", "60"]);
  },
};

/** Opens a session, brings it into the state that the record starts from, and lets a second connection resume it. */
export async function replaySession(server: TestServer, record: Recorded): Promise<unknown[]> {
  const prelude = preludes[record.case];
  if (prelude === undefined) throw new Error("this session case has no prelude");
  let first = await server.connect();
  const { sessionId } = first;
  const hooks = await prelude(first, tempDir()) ?? {};
  const staysAttached = record.case.includes("while attached");
  if (!staysAttached) await first.terminate();
  if (record.case.includes("third connection")) {
    first = await server.connect({ resumeSessionId: sessionId });
    await first.terminate();
  }
  const send = record.send.map((item) =>
    isObject(item) && isObject(item["params"]) && "resumeSessionId" in item["params"]
      ? { ...item, params: { ...item["params"], resumeSessionId: sessionId } }
      : item
  );
  const second = await server.connect({ handshake: false });
  try {
    return await replay(second, { ...record, send }, hooks);
  } finally {
    await second.terminate();
    if (staysAttached) await first.terminate();
  }
}
