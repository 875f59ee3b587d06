/** The head of a feed: an epoch, and the number of its last change. */
export interface FeedHead {
  readonly epoch: string;
  readonly seq: number;
  /** The mark of that change, which no other change has; `null` if there is none, or it is no longer kept. */
  readonly mark: string | null;
  /** Why the database is known to lack commits; `null` if it is not. */
  readonly lost: string | null;
  /** When this life of the database began; 0 if it was never restored. A later life has a later instant. */
  readonly bornMs: number;
}

/** The columns of a head, for a query that names `remit.feed_head` `h`. */
export const HEAD_COLUMNS = `h.epoch::text AS epoch, h.seq, h.lost, h.restored_ms, (SELECT mark FROM remit.feed WHERE part = 0 AND seq = h.seq) AS mark`;

/** The head in a row of `HEAD_COLUMNS`. */
export const headFrom = (row: Readonly<Record<string, unknown>> | undefined): FeedHead => ({
  epoch: typeof row?.['epoch'] === 'string' ? row['epoch'] : '',
  seq: Number(row?.['seq'] ?? 0),
  mark: typeof row?.['mark'] === 'string' ? row['mark'] : null,
  lost: typeof row?.['lost'] === 'string' ? row['lost'] : null,
  bornMs: Number(row?.['restored_ms'] ?? 0),
});
