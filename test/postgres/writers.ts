import type { NodeName, PostgresCluster } from './cluster.ts';

/** Writers that commit one number after another, and keep which commits were acknowledged. */
export interface Writers {
  /** Numbers whose COMMIT was answered, without a warning. */
  readonly acknowledged: ReadonlySet<number>;
  /** Ends the writers, and returns once none has a commit in flight. */
  stop(): Promise<void>;
}

/** How writers write. */
export interface WriterOptions {
  readonly count: number;
  readonly synchronousCommit?: 'on' | 'local';
}

/**
 * Starts writers into the table `written (n int)` on the primary. Each connects anew, to the primary of that moment, where its connection
 * fails; a commit without an answer is never tried again.
 */
export function startWriters(cluster: PostgresCluster, { count, synchronousCommit = 'on' }: WriterOptions): Writers {
  const acknowledged = new Set<number>();
  const stopping = new AbortController();
  let next = 0;
  const write = async (to: NodeName): Promise<void> => {
    const client = await cluster.connect({ to });
    const end = (): void => void client.end().catch(() => undefined);
    stopping.signal.addEventListener('abort', end, { once: true });
    let isWarned = false;
    client.on('notice', ({ severity }) => (isWarned ||= severity === 'WARNING'));
    try {
      await client.query(`SET synchronous_commit = ${synchronousCommit}`);
      // A promotion elsewhere is an operator's news, not an error of this connection.
      while (!stopping.signal.aborted && cluster.primary === to) {
        const n = next++;
        await client.query('INSERT INTO written VALUES ($1)', [n]);
        if (!isWarned) acknowledged.add(n);
      }
    } finally {
      stopping.signal.removeEventListener('abort', end);
      end();
    }
  };
  const writing = Array.from({ length: count }, async () => {
    while (!stopping.signal.aborted) {
      await write(cluster.primary).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  return {
    acknowledged,
    stop: async () => {
      stopping.abort();
      await Promise.all(writing);
    },
  };
}

/** Acknowledged numbers that the primary does not have. */
export async function lostOf(cluster: PostgresCluster, { acknowledged }: Writers): Promise<readonly number[]> {
  const kept = new Set((await cluster.sql('SELECT n FROM written')).map((row) => Number(row['n'])));
  return [...acknowledged].filter((n) => !kept.has(n));
}
