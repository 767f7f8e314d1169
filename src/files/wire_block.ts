/** Blocks of open files on the wire: binary messages, or JSON with base64. */
import type * as v from "valibot";
import { encodeBase64 } from "../protocol/base64.ts";
import type { FsReadBlock, FsWriteBlock } from "../protocol/files.ts";
import { BytesAnswer, Framed } from "../rpc/caller.ts";
import { type Frame, FrameKind } from "../rpc/frame.ts";

const EOF = 1;

/** The answer to `fs/readBlock`, in whatever form the connection speaks. */
export class BlockAnswer extends BytesAnswer {
  readonly chunk: Uint8Array;
  readonly eof: boolean;

  /** Says what was read. */
  constructor(chunk: Uint8Array, eof: boolean) {
    super();
    this.chunk = chunk;
    this.eof = eof;
  }

  frame(): Omit<Frame, "id"> {
    return { kind: FrameKind.block, flags: this.eof ? EOF : 0, number: 0n, name: "", bytes: this.chunk };
  }

  toJSON(): v.InferInput<typeof FsReadBlock.result> {
    return { chunk: encodeBase64(this.chunk), eof: this.eof };
  }
}

/** The result of `fs/readBlock` that a binary message brought. */
export function blockOfFrame({ flags, bytes }: Frame): v.InferOutput<typeof FsReadBlock.result> {
  return { chunk: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), eof: (flags & EOF) !== 0 };
}

/** The params of `fs/writeBlock`, in the form that the connection speaks. */
export function writeBlockRequest(handleId: string, offset: number, bytes: Uint8Array) {
  const json = (): v.InferInput<typeof FsWriteBlock.params> => ({
    handleId,
    offset,
    chunk: encodeBase64(bytes),
  });
  if (!Number.isSafeInteger(offset) || offset < 0) return json(); // to be refused
  return new Framed(
    { kind: FrameKind.writeBlock, flags: 0, number: BigInt(offset), name: handleId, bytes },
    json,
  );
}

/** The same, as the server reads it. */
export function writeBlockOfFrame({ name, number, bytes }: Frame): v.InferOutput<typeof FsWriteBlock.params> {
  return { handleId: name, offset: Number(number), chunk: bytes };
}
