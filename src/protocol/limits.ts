/** Every number of the wire that matters, in one place. Bytes and milliseconds unless the name says otherwise. */

/** Largest message either side accepts: 64 MiB (what the reference client and server take). */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
/** Largest message before `initialize` has succeeded: who has not said who they are yet has nothing large to say. */
export const MAX_EARLY_MESSAGE_BYTES = 1024 * 1024;
/** Messages above this leave in continuation frames: the reference client refuses frames above 16 MiB. */
export const MAX_FRAME_BYTES = 8 * 1024 * 1024;
/** Nesting of a message, counted with the envelope (126 levels inside `params`). */
export const MAX_JSON_DEPTH = 127;
/** JSON values in one message. */
export const MAX_JSON_VALUES = 262_144;
/** How much of the peer's input an error text may quote, in characters. */
export const MAX_QUOTED_CHARS = 200;
/** Largest chunk of one `process/output` notification, before base64. */
export const MAX_OUTPUT_CHUNK_BYTES = 64 * 1024;
/** Output that one answer to `process/read` carries when the client sets no limit. */
export const MAX_READ_ANSWER_BYTES = 4 * 1024 * 1024;
/** Largest file that `fs/readFile` answers in one message: 45 MiB become 60 MiB of base64. */
export const MAX_READ_FILE_BYTES = 45 * 1024 * 1024;
/** Largest block of `fs/readBlock` and `fs/writeBlock` (what the reference takes). */
export const MAX_BLOCK_BYTES = 1024 * 1024;
/** Files that one connection may have open with `fs/open`, unless `--max-file-handles` says otherwise (as in the reference). */
export const MAX_FILE_HANDLES = 128;
/** Longest `handleId`, in bytes of UTF-8 (as in the reference). */
export const MAX_HANDLE_ID_BYTES = 32;
/** Ordinary requests of one connection that are handled at the same time (`--concurrent-requests`). */
export const DEFAULT_CONCURRENT_REQUESTS = 64;
/** Requests of one connection that may wait for a place or for an event; more stop the reading of its socket. */
export const MAX_WAITING_REQUESTS = 1024;
/** Outgoing bytes that a connection may have waiting for its socket before it stops taking more work. */
export const SOCKET_HIGH_WATER_BYTES = 1024 * 1024;
/** Bytes that may wait for one child's standard input before its sender has to wait. */
export const STDIN_HIGH_WATER_BYTES = 1024 * 1024;
/** Writes that may wait for one child; a sender that does not wait for their answers is refused the next one. */
export const MAX_QUEUED_STDIN_WRITES = 1024;
/** Bytes that may wait for one child altogether; a single larger write is taken when nothing else waits. */
export const MAX_QUEUED_STDIN_BYTES = 8 * 1024 * 1024;
/** `writeId`s remembered for each process. */
export const MAX_REMEMBERED_WRITE_IDS = 4096;
/** `fs/walk`: deepest `maxDepth`. */
export const MAX_WALK_DEPTH = 64;
/** `fs/walk`: largest `maxDirectories`. */
export const MAX_WALK_DIRECTORIES = 10_000;
/** `fs/walk`: largest `maxEntries`. */
export const MAX_WALK_ENTRIES = 50_000;
/** The longest time that a timer can hold, in ms (setTimeout takes 31 bits): `timeoutMs`, `graceMs`. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
/** Rows of a terminal where the client does not say (what the reference server has). */
export const DEFAULT_TERMINAL_ROWS = 24;
/** Columns of a terminal where the client does not say. */
export const DEFAULT_TERMINAL_COLS = 80;
/** Most rows or columns of a terminal (`struct winsize` of ioctl_tty(2) has 16 bits). */
export const MAX_TERMINAL_SIDE = 65_535;
