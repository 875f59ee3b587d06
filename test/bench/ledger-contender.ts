import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { LogReader } from '../../src/core/ledger/log/log-reader.ts';
import type { LogSettings } from '../../src/core/ledger/log/log-settings.ts';
import type { LogThread } from '../../src/core/ledger/log/log-thread.ts';
import { isStoreFailure } from '../../src/core/runtime/store-failure.ts';
import type { LedgerLoad } from './ledger-load.ts';

/** The cost of a record. */
export interface RecordCost {
  /** Microseconds of processor time of the thread. */
  readonly cpuUs: number;
  /** Write calls of the process, and their bytes; it does nothing else meanwhile. */
  readonly calls: number;
  readonly bytes: number;
}

/** The ledger of a checkout, open in its own thread. */
export interface LedgerContender {
  readonly name: string;
  /** Writes batches one after the other, with a pause after each. */
  readonly write: (batches: Batches, pauseMs: number) => Promise<RecordCost>;
  readonly reader: () => LogReader;
  readonly close: () => Promise<unknown>;
}

/** Batches of records. */
export type Batches = readonly ReturnType<LedgerLoad['next']>[];

/** Opens a new ledger with the code of a checkout, which must have the same names as this one. */
export async function ledgerContender(checkout: string, settings: LogSettings): Promise<LedgerContender> {
  // The others are those of older checkouts.
  const folder = ['src/core/ledger/log/', 'src/ledger/log/', 'src/store/ledger/']
    .map((room) => join(resolve(checkout), room))
    .find((room) => existsSync(room));
  if (folder === undefined) throw new Error(`no ledger in \`${checkout}\``);
  const room = pathToFileURL(folder).href;
  const threads = (await import(`${room}log-thread.ts`)) as { readonly LogThread: typeof LogThread };
  const readers = (await import(`${room}log-reader.ts`)) as { readonly LogReader: typeof LogReader };
  const before = new Set(readdirSync('/proc/self/task'));
  const thread = await threads.LogThread.open(
    { settings, fileId: 'f'.repeat(32) },
    { onFatal: ({ detail }) => process.stderr.write(`${detail}\n`), onCheckpoint: () => undefined },
  );
  if (isStoreFailure(thread)) throw new Error(thread.detail);
  const own = readdirSync('/proc/self/task').find(
    (id) => !before.has(id) && readFileSync(`/proc/self/task/${id}/comm`, 'utf8').startsWith('Worker'),
  );
  if (own === undefined) throw new Error('the thread of the ledger is not among those of the process');
  return {
    name: checkout,
    write: async (batches, pauseMs) => {
      const before = spentBy(own);
      for (const { records } of batches) {
        const failure = await thread.appendRecords(records);
        if (failure !== null) throw new Error(failure.detail);
        if (pauseMs > 0) await delay(pauseMs);
      }
      const after = spentBy(own);
      const count = batches.reduce((sum, { records }) => sum + records.length, 0);
      return {
        cpuUs: (after.cpuUs - before.cpuUs) / count,
        calls: (after.calls - before.calls) / count,
        bytes: (after.bytes - before.bytes) / count,
      };
    },
    reader: () => {
      const reader = readers.LogReader.open(settings.folder);
      if (reader === null || isStoreFailure(reader)) throw new Error('the ledger cannot be read');
      return reader;
    },
    close: () => thread.close(),
  };
}

function spentBy(thread: string): RecordCost {
  const figure = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(io)?.[1]);
  const io = readFileSync('/proc/self/io', 'utf8');
  const [nanoseconds] = readFileSync(`/proc/self/task/${thread}/schedstat`, 'utf8').split(' ');
  return { cpuUs: Number(nanoseconds) / 1_000, calls: figure('syscw'), bytes: figure('wchar') };
}
