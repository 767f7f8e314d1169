/** Tells whoever sits at the terminal that the server is out of reach; a short cut passes unnoticed. */
import type { RemoteOptions } from "../client/link.ts";

/** A cut that is mended within this time is not worth disturbing a screen for. */
const NOTICE_AFTER_MS = 1_000;

/** What is to be told. */
export interface ConnectionListener {
  /** It has been broken for a while. */
  broken(reason: string): void;
  /** It is back; only after {@link broken}. */
  back(): void;
}

/** The option for a connection, and the place of whoever listens later. */
export interface ConnectionNotice {
  readonly options: RemoteOptions;
  /** There is no connection now. */
  broken(): boolean;
  /** @returns stops it */
  listen(listener: ConnectionListener): () => void;
}

/** Nobody listens yet. */
export function connectionNotice(): ConnectionNotice {
  let listener: ConnectionListener | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let told = false;
  let broken = false;
  return {
    broken: () => broken,
    options: {
      onConnectionChange(state, reason) {
        clearTimeout(timer);
        broken = state !== "connected";
        if (state === "reconnecting") {
          timer = setTimeout(() => {
            told = true;
            listener?.broken(reason?.message ?? "");
          }, NOTICE_AFTER_MS);
        } else if (state === "connected" && told) {
          told = false;
          listener?.back();
        }
      },
    },
    listen(one) {
      listener = one;
      return () => {
        listener = undefined;
        clearTimeout(timer);
      };
    },
  };
}
