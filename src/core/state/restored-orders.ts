/** The orders of operators that a restored state still has. */
export interface RestoredOrders {
  /** Stops of the backup, which are in force. Orders to observe are not restored: they were made for a situation that is over. */
  readonly stops: number;
  /**
   * The last instant that the backup knows of, in milliseconds since the Unix epoch by its floor. Stops that were given later are missing, and
   * those that were lifted later are in force again.
   */
  readonly stopsUntilMs: number;
}

/** The same in words. */
export const restoredOrdersText = ({ stops, stopsUntilMs }: RestoredOrders): string =>
  `${stops === 1 ? '1 stop' : `${stops} stops`} of the backup ${stops === 1 ? 'is' : 'are'} in force; what was stopped or lifted after ` +
  `${new Date(stopsUntilMs).toISOString()} is not known: stop it again`;
