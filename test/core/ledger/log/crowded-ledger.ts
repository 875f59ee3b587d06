import { join } from 'node:path';
import { LedgerWriter } from '../../../../src/core/ledger/writer.ts';
import { LogThread } from '../../../../src/core/ledger/log/log-thread.ts';
import { settingsIn } from './logs.ts';
import { must } from '../../../builders/must.ts';

/** `crowded-ledger.ts FOLDER COUNT`: COUNT uses at once that all wait for the disk. Prints `written N refused N` once each is answered. */

const [folder = '', count = '0'] = process.argv.slice(2);
const thread = must(
  await LogThread.open(
    { settings: { ...settingsIn(folder), folder: join(folder, 'ledger') }, fileId: 'f'.repeat(32) },
    { onFatal: (failure) => console.log(failure.detail), onCheckpoint: () => undefined },
  ),
);
const writer = new LedgerWriter(thread);
const answers = await Promise.all(
  Array.from({ length: Number(count) }, (_, n) =>
    writer.durable({
      kind: 'end',
      at: n,
      task: `t-${n}`,
      state: 'completed',
      cause: 'operator.completed',
      note: '',
      by: 'operator',
    }),
  ),
);
await writer.close();
await thread.close();
const written = answers.filter(Boolean).length;
console.log(`written ${written} refused ${answers.length - written}`);
