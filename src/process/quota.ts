/** How many processes may run at the same time. */
export interface ProcessQuota {
  /**
   * Takes a place for a process that is to be started.
   * @param ownRunning processes of the same session that have not ended
   * @returns what gives the place back, once
   * @throws ExecServerError `LIMIT_REACHED`
   */
  take(ownRunning: number): () => void;
}
