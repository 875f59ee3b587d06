import type { NodeName, PostgresNodes } from './nodes.ts';

/** What a failover did. */
export interface Failover {
  readonly from: NodeName;
  readonly to: NodeName;
  /** By how many bytes of the log the promoted standby was ahead of the other standby; negative after a wrong choice. */
  readonly aheadBytes: number;
}

/**
 * Replaces the primary, whatever state it is in, as an operator's failover manager does: it ends what both standbys receive, so that the
 * old primary can commit no more, and only then compares how far each has come. It promotes the standby that has the most of the log
 * (or the least, to test a wrong choice) and lets the other follow. The old primary is left as it is: `rejoin` brings it back.
 *
 * Rejects if a standby does not answer: a commit that only one standby confirmed may be on that standby alone.
 */
export async function failover(
  cluster: PostgresNodes,
  { promote = 'most' }: { readonly promote?: 'most' | 'least' } = {},
): Promise<Failover> {
  const from = cluster.primary;
  const received = await Promise.all(
    cluster.standbys.map(async (name) => {
      await cluster.follow(name, null);
      const [row] = await cluster.nodes[name].sql(RECEIVED);
      return { name, bytes: Number(row?.['bytes']) };
    }),
  );
  const [least, most] = received.toSorted((one, other) => one.bytes - other.bytes);
  if (least === undefined || most === undefined) throw new Error('a cluster has two standbys');
  const [to, other] = promote === 'most' ? [most, least] : [least, most];
  await cluster.promote(to.name);
  await cluster.follow(other.name, to.name);
  return { from, to: to.name, aheadBytes: to.bytes - other.bytes };
}

/** The end of the log that a standby has. After a restart it has received nothing yet. */
const RECEIVED = `SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn AS bytes`;
