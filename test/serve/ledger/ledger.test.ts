import { describe, expect, it } from '@jest/globals';
import { LogThread } from '../../../src/core/ledger/log/log-thread.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { Faults } from '../../../src/core/telemetry/faults.ts';
import { newMetrics } from '../../../src/core/telemetry/metrics/metrics.ts';
import { Closers } from '../../../src/serve/closers.ts';
import { openLedger } from '../../../src/serve/ledger/ledger.ts';
import { Waits } from '../../../src/serve/waits.ts';
import { mustConfig } from '../../builders/config.ts';
import { allowedUse } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';

const folder = testFolders();

describe('openLedger', () => {
  it('logs at its end how many accepted records it could not write, and why', async () => {
    const place = folder();
    const text = `trustDomains: [acme.test]\nstate: sqlite:${place}/state.db\nledger: { index: false }\n`;
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    const closers = new Closers(log);
    const thread = LogThread.start();
    const ledger = must(
      await openLedger(mustConfig(text, { folder: place }), {
        thread,
        outbox: null,
        shipped: null,
        ports: systemPorts,
        metrics: newMetrics(),
        log,
        faults: new Faults(log),
        onFatal: () => undefined,
        onCheckpoint: () => undefined,
        onUsed: () => undefined,
        waits: new Waits({ ports: systemPorts, after, log, stop: null }),
        closers,
      }),
    );
    expect([1, 2].map((n) => ledger.writer.take(allowedUse(n, 1_000)))).toEqual([true, true]);
    await thread.end();
    await closers.close();
    expect(lines).toContain('ledger: 2 records could not be written: the thread of the ledger exited with code 1');
  });
});
