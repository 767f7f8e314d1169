/** A deadline that is put off again and again, at the cost of one timer now and then. */

/** Calls back when a deadline is over. */
export interface LazyTimer {
  /** From now on, in ms of `performance.now()`, instead of any deadline before. It does not keep the process alive. */
  set(deadline: number): void;
  clear(): void;
}

/** A timer that is not set. @param over called once for each deadline that came */
export function lazyTimer(over: () => void): LazyTimer {
  let deadline = Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let firesAt = Infinity;
  const arm = (at: number) => {
    clearTimeout(timer);
    firesAt = at;
    timer = setTimeout(fired, Math.max(0, at - performance.now()));
    timer.unref?.();
  };
  const fired = () => {
    timer = undefined;
    firesAt = Infinity;
    if (deadline === Infinity) return;
    if (performance.now() < deadline) return arm(deadline);
    deadline = Infinity;
    over();
  };
  return {
    set(at) {
      deadline = at;
      if (at < firesAt) arm(at); // a later one is found out when the timer fires
    },
    clear() {
      deadline = Infinity;
    },
  };
}
