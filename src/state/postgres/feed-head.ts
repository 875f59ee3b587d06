/** Where a feed is: an epoch, and the number of its last change. */
export interface FeedHead {
  readonly epoch: string;
  readonly seq: number;
}

/** The head in a row with `epoch` as text and `seq`. */
export const headFrom = (row: Readonly<Record<string, unknown>> | undefined): FeedHead => ({
  epoch: typeof row?.['epoch'] === 'string' ? row['epoch'] : '',
  seq: Number(row?.['seq'] ?? 0),
});
