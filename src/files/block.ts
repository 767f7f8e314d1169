/** The bounds of blocks, in the words of the wire. */
import { invalidParams, invalidRequest, osError } from "../protocol/error.ts";
import { MAX_BLOCK_BYTES } from "../protocol/limits.ts";

/** Just above the largest offset of a file (off_t has 63 bits). */
const END_OF_OFFSETS = 2 ** 63;

/** @throws ExecServerError `INVALID_REQUEST` */
export function requireReadLength(length: number): void {
  requireLength("read", length);
}

/** @throws ExecServerError `INVALID_REQUEST` */
export function requireWriteLength(length: number): void {
  requireLength("write", length);
}

function requireLength(what: string, length: number): void {
  if (Number.isInteger(length) && length >= 1 && length <= MAX_BLOCK_BYTES) return;
  throw invalidRequest(`file ${what} block length must be between 1 and ${MAX_BLOCK_BYTES}`);
}

/**
 * Checks where a block is to be read.
 * @returns false where no file has bytes: offsets that JavaScript cannot count (9 PB)
 * @throws ExecServerError `INVALID_PARAMS`; `EINVAL` as pread(2) does
 */
export function canBeRead(offset: number, length: number): boolean {
  requireOffset(offset);
  if (offset + length >= END_OF_OFFSETS) throw osError("EINVAL");
  return offset + length <= Number.MAX_SAFE_INTEGER;
}

/** Checks where a block is to be written. @throws ExecServerError `INVALID_PARAMS`, `INVALID_REQUEST`, `EFBIG` */
export function requireWritable(offset: number, length: number): void {
  requireOffset(offset);
  if (offset + length >= END_OF_OFFSETS) {
    throw invalidRequest("file write range exceeds the signed 64-bit file offset limit");
  }
  if (offset + length > Number.MAX_SAFE_INTEGER) throw osError("EFBIG");
}

function requireOffset(offset: number): void {
  if (!Number.isInteger(offset) || offset < 0) throw invalidParams("invalid number");
}
