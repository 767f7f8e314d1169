/**
 * Operating-system errors as the wire writes them: `<strerror> (os error N)`. The texts are musl's
 * (musl src/errno/__strerror.h), since the reference server is a musl build; the numbers are Linux's (errno(3)).
 */
const ERRORS: Record<string, readonly [number, string]> = {
  EPERM: [1, "Operation not permitted"],
  ENOENT: [2, "No such file or directory"],
  ESRCH: [3, "No such process"],
  EINTR: [4, "Interrupted system call"],
  EIO: [5, "I/O error"],
  ENXIO: [6, "No such device or address"],
  E2BIG: [7, "Argument list too long"],
  ENOEXEC: [8, "Exec format error"],
  EBADF: [9, "Bad file descriptor"],
  EAGAIN: [11, "Resource temporarily unavailable"],
  ENOMEM: [12, "Out of memory"],
  EACCES: [13, "Permission denied"],
  EFAULT: [14, "Bad address"],
  ENOTBLK: [15, "Block device required"],
  EBUSY: [16, "Resource busy"],
  EEXIST: [17, "File exists"],
  EXDEV: [18, "Cross-device link"],
  ENODEV: [19, "No such device"],
  ENOTDIR: [20, "Not a directory"],
  EISDIR: [21, "Is a directory"],
  EINVAL: [22, "Invalid argument"],
  ENFILE: [23, "Too many open files in system"],
  EMFILE: [24, "No file descriptors available"],
  ENOTTY: [25, "Not a tty"],
  ETXTBSY: [26, "Text file busy"],
  EFBIG: [27, "File too large"],
  ENOSPC: [28, "No space left on device"],
  ESPIPE: [29, "Invalid seek"],
  EROFS: [30, "Read-only file system"],
  EMLINK: [31, "Too many links"],
  EPIPE: [32, "Broken pipe"],
  ERANGE: [34, "Result not representable"],
  EDEADLK: [35, "Resource deadlock would occur"],
  ENAMETOOLONG: [36, "Filename too long"],
  ENOLCK: [37, "No locks available"],
  ENOSYS: [38, "Function not implemented"],
  ENOTEMPTY: [39, "Directory not empty"],
  ELOOP: [40, "Symbolic link loop"],
  ENODATA: [61, "No data available"],
  EOVERFLOW: [75, "Value too large for data type"],
  EOPNOTSUPP: [95, "Not supported"],
  // The same number; node:fs says ENOTSUP, and the name of a number is the last one.
  ENOTSUP: [95, "Not supported"],
  ENOTCONN: [107, "Socket not connected"],
  ETIMEDOUT: [110, "Operation timed out"],
  EHOSTDOWN: [112, "Host is down"],
  ESTALE: [116, "Stale file handle"],
  EDQUOT: [122, "Quota exceeded"],
  ENOMEDIUM: [123, "No medium found"],
};

const NAMES = new Map(Object.entries(ERRORS).map(([name, [errno]]) => [errno, name]));

/** `ENOENT` -> `No such file or directory (os error 2)`; an unknown name is returned as it is. */
export function osErrorText(code: string): string {
  const known = ERRORS[code];
  return known === undefined ? code : `${known[1]} (os error ${known[0]})`;
}

/** 2 -> `ENOENT`; undefined for a number that is not in the table. */
export function errnoName(errno: number): string | undefined {
  return NAMES.get(errno);
}
