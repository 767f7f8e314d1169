/** Coming back to output that was printed in the meantime. */
import { mkdirSync, mkdtempSync, rmSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openRawClient, type RawClient, readOnce } from "../../../tests/session/raw_client.ts";
import { eachServer, type ServerKind, startKind } from "../peers/servers.ts";
import type { Workload } from "../workload.ts";

const BYTES = 10_000_000;

/** A process that prints when a file is there and then makes a folder; returns when that is there. */
async function printAlone(url: string, initialize: object, folder: string) {
  const before = await openRawClient(url, { initialize: { ...initialize } });
  const processId = `replay ${folder}`;
  mkdirSync(join(folder, "end"));
  const printed = new Promise<void>((resolve) => {
    const watcher = watch(join(folder, "end"), () => {
      watcher.close();
      resolve();
    });
  });
  const script = `while [ ! -e go ]; do sleep 0.01; done; head -c ${BYTES} /dev/zero; echo > end/now`;
  await before.start(processId, ["/bin/sh", "-c", `cd ${folder}; ${script}`]);
  await before.terminate();
  writeFileSync(join(folder, "go"), "");
  await printed;
  return { processId, resumeSessionId: before.sessionId };
}

/** Resumes; resolves when all of it has come. @throws when a part is missing */
async function comeBack(
  kind: ServerKind,
  url: string,
  { processId, resumeSessionId }: { readonly processId: string; readonly resumeSessionId: string },
): Promise<RawClient> {
  let bytes = 0;
  let complete = () => {};
  const replayed = new Promise<void>((resolve) => complete = resolve);
  const pushed = { acknowledgesOutput: true, cursors: { [processId]: 0 } };
  const client = await openRawClient(url, {
    initialize: { resumeSessionId, ...(kind === "ours" ? pushed : {}) },
    onEvent(event, from) {
      if (kind === "ours") from.acknowledge(event.processId, event.seq);
      bytes += event.bytes.length;
      if (bytes >= BYTES) complete();
    },
  });
  if (kind === "ours") await replayed;
  else {
    const { chunks } = await readOnce(client, { processId, afterSeq: 0 });
    for (const chunk of chunks) bytes += chunk.bytes.length;
    if (bytes < BYTES) throw new Error(`only ${bytes} of ${BYTES} bytes were kept`);
  }
  return client;
}

/** From the connection to the last byte. */
export const resume: Workload = {
  name: "resume",
  about:
    "A process prints 10 MB while no one is connected; from the new connection to the last of these bytes. Ours " +
    "pushes them; the reference is asked with `process/read`.",
  figures: [{ key: "time", title: "resume, 10 MB to replay", unit: "ms" }],
  rounds: 5,
  limitMs: 30_000,
  contenders: eachServer((kind) => async (scene) => {
    const server = await startKind(kind, scene);
    return {
      pid: server.pid,
      async round() {
        const folder = mkdtempSync(join(scene.scratch, "resume-"));
        try {
          const left = await printAlone(
            server.url,
            kind === "ours" ? { acknowledgesOutput: true } : {},
            folder,
          );
          const from = performance.now();
          const client = await comeBack(kind, server.url, left);
          const time = performance.now() - from;
          await client.terminate();
          return { time };
        } finally {
          rmSync(folder, { recursive: true });
        }
      },
      close: async () => void await server.stop(),
    };
  }),
};
