/** Our server and the reference as contenders. */
import { Environment } from "../../../mod.ts";
import { startServer, type TestServer } from "../../../tests/harness/server.ts";
import { tempDirIn } from "../../../tests/harness/temp.ts";
import type { Contender, Measured, Open, Scene } from "../workload.ts";
import { openWire, type Wire } from "./wire.ts";

/** Which servers a plain JSON client is aimed at. A client of another kind (such as a binary one) is one more line. */
const SERVERS = { json: "ours", codex: "reference" } as const satisfies Partial<Record<Contender, string>>;
/** One of the two servers. */
export type ServerKind = typeof SERVERS[keyof typeof SERVERS];

/** One home for all starts: the reference unpacks into it once. It must not lie below TMPDIR. */
let codexHome: string | undefined;

/** Starts one of the two. */
export function startKind(kind: ServerKind, scene: Scene): Promise<TestServer> {
  if (kind === "ours" || scene.codex === undefined) return startServer();
  codexHome ??= tempDirIn("/var/tmp");
  return startServer({ codex: scene.codex, env: { CODEX_HOME: codexHome } });
}

/** The same work for each server, over a plain JSON client that stays connected. */
export function overWire(
  round: (wire: Wire, scene: Scene, server: TestServer) => Promise<Measured>,
): { readonly json: Open; readonly codex: Open } {
  const open = (kind: ServerKind): Open => async (scene) => {
    const server = await startKind(kind, scene);
    const wire = await openWire(server.url).catch((error: unknown) => stopped(server, error));
    return {
      pid: server.pid,
      round: () => round(wire, scene, server),
      close: () => ended(server, wire.end()),
    };
  };
  return { json: open(SERVERS.json), codex: open(SERVERS.codex) };
}

/** Work for each server that starts servers of its own, or connects by itself. */
export function eachServer(
  open: (kind: ServerKind) => Open,
): { readonly json: Open; readonly codex: Open } {
  return { json: open(SERVERS.json), codex: open(SERVERS.codex) };
}

/** Work for our library's client. */
export function overLibrary(round: (there: Environment, scene: Scene) => Promise<Measured>): Open {
  return async (scene) => {
    const server = await startServer();
    const there = await Environment.connect(server.url).catch((error: unknown) => stopped(server, error));
    return {
      pid: server.pid,
      round: () => round(there, scene),
      close: () => ended(server, there.close()),
    };
  };
}

/** A contender that needs nothing kept between rounds. */
export function eachTime(round: (scene: Scene) => Promise<Measured>): Open {
  return (scene) => Promise.resolve({ round: () => round(scene), close: () => Promise.resolve() });
}

/** Ends client and server together: a client that hangs is let go by the server's end. */
async function ended(server: TestServer, client: Promise<void>): Promise<void> {
  await Promise.all([client.catch(() => {}), server.stop()]);
}

async function stopped(server: TestServer, error: unknown): Promise<never> {
  await server.stop();
  throw error;
}
