/** Messages that leave in one piece: one system call, and the peer wakes once. */
import { runtime } from "./detect.ts";

/** The part of Bun's server socket that its `ws` does not hand on. */
interface Corking {
  cork(action: () => void): unknown;
}

/**
 * What runs an action so that all that it sends by a WebSocket leaves in one piece. Where the socket cannot do that the
 * action is just run: Bun's interface of `ws` keeps the socket that can under a symbol of its own.
 */
export function corkOf(socket: object): (action: () => void) => void {
  const found = runtime === "bun"
    ? Object.getOwnPropertySymbols(socket).map((key): unknown => Reflect.get(socket, key)).find(isCorking)
    : undefined;
  return found ? (action) => void found.cork(action) : (action) => action();
}

function isCorking(value: unknown): value is Corking {
  return typeof value === "object" && value !== null && "cork" in value && typeof value.cork === "function" &&
    "getBufferedAmount" in value;
}
