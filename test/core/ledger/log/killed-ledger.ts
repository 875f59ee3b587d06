import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { Faults } from '../../../../src/core/telemetry/faults.ts';
import { newMetrics } from '../../../../src/core/telemetry/metrics/metrics.ts';
import { Closers } from '../../../../src/serve/closers.ts';
import { LogThread } from '../../../../src/core/ledger/log/log-thread.ts';
import { openLedger } from '../../../../src/serve/ledger/ledger.ts';
import { Waits } from '../../../../src/serve/waits.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { after } from '../../../../src/core/runtime/timers.ts';
import { directAuthority } from '../../../builders/direct-authority.ts';
import { openStore } from '../../../../src/authority/state/sqlite/open-store.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { endRecord, useRecord } from '../../../builders/ledger-record.ts';
import { taskNumber, tokenNumber } from '../../../builders/task.ts';
import type { UseRecord } from '../../../../src/core/ledger/record.ts';

/**
 * `killed-ledger.ts FOLDER FIRST [COUNT [LENGTH]]`: issues tokens and records uses with paths of LENGTH characters, from number FIRST on,
 * until it is killed or has done COUNT rounds and closed. It prints `opened KEY`, then: `batch N MS` once a use is accepted in batch mode,
 * with its time; `durable N` once a use is on disk; `issued N` once a task is in the state file; `failed WHAT N` for a refusal; `fatal
 * state` and `fatal ledger` when one of the two breaks; and `closed`.
 */

const [folder = '', first = '1', count = 'Infinity', length = '12'] = process.argv.slice(2);
const instant = new Int32Array(new SharedArrayBuffer(4));

/** Writes a line before it returns, however slow the reader: a stream would buffer what the pipe does not accept. */
function say(line: string): void {
  for (let rest = Buffer.from(`${line}\n`); rest.length > 0;) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(instant, 0, 0, 1);
    }
  }
}

let relay: (() => void) | null = null;
const store = openStore(join(folder, 'state.db'), {
  ...systemPorts,
  onFatal: () => say('fatal state'),
  onRecords: () => relay?.(),
});
if (isStoreFailure(store)) {
  say(`unopened ${store.detail}`);
} else {
  const closers = new Closers(() => undefined);
  const ledger = await openLedger(
    {
      ledger: {
        folder: join(folder, 'ledger'),
        name: 'main',
        keyFile: join(folder, 'ledger-key.pem'),
        checkpointFile: join(folder, 'checkpoints.txt'),
        others: [],
        witnesses: [],
        witnessEveryMs: 60_000,
        witnessedFile: join(folder, 'witnessed.txt'),
        // Little more than an empty segment: each checkpoint starts another.
        segment: { maxBytes: 32_000, maxAgeMs: 3_600_000 },
        copies: 1,
        index: false,
        retain: { maxBytes: 1024 ** 3, maxAgeMs: 86_400_000 },
      },
      trustDomains: [],
      state: { kind: 'sqlite', path: join(folder, 'state.db') },
    },
    {
      thread: LogThread.start(),
      shipped: null,
      outbox: { reader: store, authority: directAuthority(store).authority },
      ports: systemPorts,
      metrics: newMetrics(),
      log: () => undefined,
      faults: new Faults(() => undefined),
      onFatal: () => say('fatal ledger'),
      onCheckpoint: () => undefined,
      onUsed: () => undefined,
      waits: new Waits({ ports: systemPorts, after, log: () => undefined, stop: null }),
      closers,
    },
  );
  if ('problem' in ledger) {
    say(`unopened ${ledger.problem}`);
  } else {
    relay = ledger.relay;
    say(`opened ${ledger.notice.split(' ').at(-1)}`);
    for (let n = Number(first); n < Number(first) + Number(count); n++) {
      for (let part = 0; part < 5; part++) {
        const at = systemPorts.nowMs();
        const id = n * 10 + part;
        say(ledger.writer.append(useNumber(id, at)) ? `batch ${id} ${at}` : `failed batch ${id}`);
      }
      const failure = store.insertTask(taskNumber(n, { deadlineMs: 4_000_000_000_000 }), tokenNumber(n), [
        endRecord(n),
      ]);
      say(failure === null ? `issued ${n}` : `failed issue ${n}`);
      const id = n * 10 + 9;
      say((await ledger.writer.durable(useNumber(id, systemPorts.nowMs()))) ? `durable ${id}` : `failed durable ${id}`);
    }
    await closers.close();
    store.close();
    say('closed');
  }
}

function useNumber(id: number, at: number): UseRecord {
  return useRecord({
    at,
    decisionId: `use-${id}`,
    action: 'payments.create',
    method: 'POST',
    path: '/v1/payments'.padEnd(Number(length), '/'),
  });
}
