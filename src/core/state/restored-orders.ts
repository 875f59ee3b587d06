/** What a restored state has of the orders of operators. */
export interface RestoredOrders {
  /** Stops of the backup, which are in force. Orders to observe are not brought back: their time was for what went on then. */
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
