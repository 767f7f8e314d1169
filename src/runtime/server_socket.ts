/** What Bun's server sockets can do that its interface of `ws` does not hand on. */
import { runtime } from "./detect.ts";

/** What a socket can do besides what `ws` says. */
export interface SocketAbilities {
  /** Runs an action; what it sends leaves in one piece: one system call, and the peer wakes once. */
  together(action: () => void): void;
  /** What is sent is copied at once: its memory may be used again. */
  readonly copies: boolean;
}

/** The part of Bun's own socket that is used. */
interface NativeSocket {
  cork(action: () => void): unknown;
}

const PLAIN: SocketAbilities = { together: (action) => action(), copies: false };

/** Bun's interface of `ws` keeps its own socket under a symbol, unless something else is in between, such as TLS. */
export function abilitiesOf(socket: object): SocketAbilities {
  if (runtime !== "bun") return PLAIN;
  const native = Object.getOwnPropertySymbols(socket).map((key): unknown => Reflect.get(socket, key)).find(
    isNative,
  );
  return native ? { together: (action) => void native.cork(action), copies: true } : PLAIN;
}

function isNative(value: unknown): value is NativeSocket {
  return typeof value === "object" && value !== null && "cork" in value && typeof value.cork === "function" &&
    "getBufferedAmount" in value;
}
