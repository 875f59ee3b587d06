import { join } from 'node:path';
import { readLog } from '../../src/core/ledger/log/log-reader.ts';
import { recordBytesIn } from '../../src/core/ledger/proof/leaf.ts';
import { timelineFrom } from '../../src/core/ledger/timeline.ts';
import { mustFind } from './must.ts';

/** All records of the ledger of a process, which is in its folder. Flush the process first. */
export const ledgerTimeline = (folder: string): ReturnType<typeof timelineFrom> =>
  mustFind(
    readLog(join(folder, 'ledger'), (log) =>
      timelineFrom([...log.leaves()].map(({ seq, bytes }) => ({ seq, bytes: recordBytesIn(bytes) }))),
    ),
  );
