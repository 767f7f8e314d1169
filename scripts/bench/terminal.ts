/** How long a key takes to a terminal there and its echo back. */
import { Buffer } from "node:buffer";
import { openRawClient, type RawClient } from "../../tests/session/raw_client.ts";

const KEYS = 20;
const KEY = Buffer.from("x").toString("base64");

/** A program in a terminal, and keys for it. */
export interface Typist {
  /** Types a key; resolves with the ms until its echo came. */
  type(): Promise<number>;
}

/** Programs in terminals of one connection. `flooded` is told of the output of every other process. */
export async function openTypists(
  url: string,
  count: number,
  flooded: (bytes: number) => void = () => {},
): Promise<{ readonly client: RawClient; readonly typists: readonly Typist[] }> {
  const echoes = new Map<string, () => void>();
  const client = await openRawClient(url, {
    initialize: { acknowledgesOutput: true },
    onEvent(event, from) {
      if (event.type !== "output") return;
      if ("sessionTtlMs" in from.opened) from.acknowledge(event.processId, event.seq); // the reference knows no such thing
      const echoed = echoes.get(event.processId);
      if (echoed) echoed();
      else flooded(event.bytes.length);
    },
  });
  const typists: Typist[] = [];
  for (let index = 0; index < count; index++) {
    const processId = `typist ${index}`;
    echoes.set(processId, () => {});
    await client.start(processId, ["cat"], { tty: true });
    let writes = 0;
    typists.push({
      async type() {
        const from = performance.now();
        const echoed = new Promise<void>((resolve) => echoes.set(processId, resolve));
        await Promise.all([
          client.call("process/write", { processId, chunk: KEY, writeId: String(++writes) }),
          echoed,
        ]);
        return performance.now() - from;
      },
    });
  }
  return { client, typists };
}

/** The median of some keys, in ms. */
export async function keyToEcho(url: string): Promise<number> {
  const { client, typists: [typist] } = await openTypists(url, 1);
  const times: number[] = [];
  for (let key = 0; typist && key < KEYS; key++) times.push(await typist.type());
  await client.call("process/terminate", { processId: "typist 0" });
  await client.terminate();
  return times.sort((a, b) => a - b)[KEYS / 2] ?? NaN;
}
