import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { packText, sectionsFrom } from '../../../../src/authority/records/pack.ts';
import { ledgerIndex } from '../../../../src/cli/ledger/ledger-index.ts';
import { ledgerQuery } from '../../../../src/cli/ledger/ledger-query.ts';
import { ledgerVerify } from '../../../../src/cli/ledger/ledger-verify.ts';
import { LogThread } from '../../../../src/core/ledger/log/log-thread.ts';
import { discardBefore } from '../../../../src/core/ledger/log/retention.ts';
import { segmentsIn } from '../../../../src/core/ledger/log/segment/segment-files.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { after } from '../../../../src/core/runtime/timers.ts';
import { Faults } from '../../../../src/core/telemetry/faults.ts';
import { newMetrics } from '../../../../src/core/telemetry/metrics/metrics.ts';
import { Closers } from '../../../../src/serve/closers.ts';
import { IndexThread } from '../../../../src/serve/ledger/indexing/index-thread.ts';
import type { IndexTiming } from '../../../../src/serve/ledger/indexing/index-thread.ts';
import { openLedger } from '../../../../src/serve/ledger/ledger.ts';
import { openReceivedRecords } from '../../../../src/serve/ledger/received-records.ts';
import { Waits } from '../../../../src/serve/waits.ts';
import { mustConfig } from '../../../builders/config.ts';
import { allowedUse } from '../../../builders/ledger-record.ts';
import { must, mustFind } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { connected, nameOf, partFrom, sidecarLog } from '../../../authority/records/receivers.ts';
import { addUse, diskLedger, ran, START_MS } from '../../../cli/ledgers.ts';
import { receivedFleet } from '../../../cli/received-fleet.ts';
import { until } from '../../../until.ts';

const folder = testFolders();

const SOON: IndexTiming = { firstMs: 0, everyMs: 20, retryMs: 20 };

/** What an index reports: its metrics, and lines of faults. */
function watched() {
  const metrics = newMetrics();
  const lines: string[] = [];
  const faults = new Faults((line) => void lines.push(line));
  const count = (of: string, state: string): number | null => {
    const found = new RegExp(`^remit_ledger_index_records\\{of="${of}",state="${state}"\\} (\\d+)$`, 'm').exec(
      metrics.scrape('text').body,
    );
    return found === null ? null : Number(found[1]);
  };
  return { metrics, faults, lines, count };
}

/** Bytes that this process has read from files so far. */
const readBytes = (): number => Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);

const NO_GROWTH = () => ({ records: 0, closed: 0 });

const verified = async (ledger: string, key: string): Promise<readonly [number, string]> => {
  const { exit, out } = await ran(ledgerVerify, '--ledger', ledger, '--key', key);
  return [exit, out];
};

describe('IndexThread', () => {
  it('indexes the closed segments of a ledger after the start, and each segment that is closed later', async () => {
    const { folder: ledger, log, key } = diskLedger(folder(), 8, { isClosed: false });
    const { metrics, faults, count } = watched();
    let growth = { records: 0, closed: 0 };
    const index = new IndexThread(
      { of: 'ledger', folder: ledger },
      { metrics, faults, growth: () => growth, timing: SOON },
    );
    // Two segments of three uses and a checkpoint; the third is not closed.
    await until(() => count('ledger', 'indexed') === 8, { what: 'the closed segments are indexed' });
    expect(readdirSync(join(ledger, 'index'))).toHaveLength(2);
    addUse(log, 9);
    log.checkpoint();
    growth = { records: 1, closed: 1 };
    await until(() => count('ledger', 'indexed') === 12, { what: 'the third segment is indexed' });
    expect(count('ledger', 'left')).toBe(0);
    await index.close();
    log.close();
    expect(await verified(ledger, key)).toEqual([0, expect.not.stringContaining('its index')]);
  });

  it('makes parts of the newest segment once enough records have grown', async () => {
    const { folder: ledger, log } = diskLedger(folder(), 0, {
      isClosed: false,
      change: { segment: { maxBytes: 1024 ** 3, maxAgeMs: 3_600_000 } },
    });
    const { metrics, faults, count } = watched();
    const growth = () => ({ records: log.size, closed: 0 });
    const index = new IndexThread(
      { of: 'ledger', folder: ledger, partRecords: 5 },
      { metrics, faults, growth, timing: SOON },
    );
    await until(() => count('ledger', 'indexed') === 0, { what: 'the first run' });
    for (let n = 1; n <= 11; n += 1) addUse(log, n);
    log.checkpoint();
    await until(() => count('ledger', 'indexed') === 10, { what: 'two full parts' });
    expect(count('ledger', 'left')).toBe(2);
    await index.close();
    log.close();
  });

  it('indexes received records', async () => {
    const fleet = await receivedFleet(folder);
    const { metrics, faults, count } = watched();
    const index = new IndexThread(
      { of: 'received', folder: fleet.records, partRecords: 6 },
      { metrics, faults, growth: NO_GROWTH, timing: SOON },
    );
    await until(() => count('received', 'left') === 0, { what: 'all is indexed' });
    await index.close();
    expect(readdirSync(join(fleet.records, 'index'))).toHaveLength(3);
    const args = ['--ledger', fleet.ledger, '--received', fleet.records];
    expect(await ran(ledgerQuery, ...args, '--decision-id', 'use-21')).toMatchObject({ exit: 0, err: '' });
    expect(await ran(ledgerVerify, ...args, '--key', fleet.key)).toMatchObject({
      out: expect.not.stringContaining('its index'),
    });
  });

  it('indexes all, also if the retention deletes as much meanwhile', async () => {
    const { folder: ledger } = diskLedger(folder(), 60);
    const { metrics, faults, count } = watched();
    // Called at each report.
    const growth = () => {
      const [, second] = segmentsIn(ledger);
      if (second !== undefined) discardBefore(ledger, second.carriedSize + 1);
      return NO_GROWTH();
    };
    const index = new IndexThread({ of: 'ledger', folder: ledger }, { metrics, faults, growth, timing: SOON });
    await until(() => count('ledger', 'left') === 0, { what: 'all is indexed' });
    await index.close();
  });

  it('reads so much for each pack of received records, however many there are', async () => {
    const fleet = await receivedFleet(folder);
    const name = mustFind(readdirSync(fleet.records).find((file) => file.endsWith('.jsonl')));
    const { sections } = sectionsFrom(readFileSync(join(fleet.records, name)));
    const section = mustFind(sections.find(({ leaves }) => leaves.length > 0));
    const readFor = async (packs: number): Promise<number> => {
      const at = folder();
      const parts = Array.from({ length: packs }, (_, from) => ({
        ...section,
        from,
        leaves: section.leaves.slice(0, 1),
      }));
      writeFileSync(join(at, name), packText(parts));
      const { metrics, faults, count } = watched();
      const before = readBytes();
      const index = new IndexThread(
        { of: 'received', folder: at, partRecords: 1 },
        { metrics, faults, growth: NO_GROWTH, timing: SOON },
      );
      await until(() => count('received', 'left') === 0, { what: 'all is indexed' });
      await index.close();
      expect(count('received', 'indexed')).toBe(packs);
      return readBytes() - before;
    };
    const [few, many] = [await readFor(50), await readFor(400)];
    // Linear is 8 times, and reading all for each pack 64 times. The process reads other files too.
    expect(many).toBeLessThan(24 * few);
  });

  it('can be ended at any point, and the next goes on', async () => {
    const { folder: ledger, key, log } = diskLedger(folder(), 60);
    for (let delayMs = 0; delayMs <= 200; delayMs += 10) {
      const { metrics, faults, lines } = watched();
      const index = new IndexThread(
        { of: 'ledger', folder: ledger, partRecords: 2 },
        { metrics, faults, growth: NO_GROWTH, timing: SOON },
      );
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await index.close();
      expect(lines).toEqual([]);
    }
    const { metrics, faults, count } = watched();
    const index = new IndexThread(
      { of: 'ledger', folder: ledger, partRecords: 2 },
      { metrics, faults, growth: NO_GROWTH, timing: SOON },
    );
    await until(() => (count('ledger', 'left') ?? log.size) < 3, { what: 'what was left is made' });
    await index.close();
    expect((await verified(ledger, key))[0]).toBe(0);
  });

  it('says why nothing is indexed, and goes on once it can', async () => {
    const { folder: ledger } = diskLedger(folder(), 8);
    writeFileSync(join(ledger, 'index'), 'a file');
    const { metrics, faults, lines, count } = watched();
    const index = new IndexThread(
      { of: 'ledger', folder: ledger },
      { metrics, faults, growth: NO_GROWTH, timing: SOON },
    );
    await until(() => lines.length > 0, { what: 'a fault' });
    expect(lines[0]).toMatch(/^ledger index: the index of `.*` cannot be made: E(?:EXIST|NOTDIR): searches read/);
    rmSync(join(ledger, 'index'));
    await until(() => lines.at(-1)?.startsWith('ledger index: over') === true, { what: 'its end' });
    expect(count('ledger', 'indexed')).toBeGreaterThan(0);
    await index.close();
  });

  it('makes what `remit ledger index` makes', async () => {
    const one = diskLedger(folder(), 8).folder;
    const { metrics, faults, count } = watched();
    const index = new IndexThread({ of: 'ledger', folder: one }, { metrics, faults, growth: NO_GROWTH, timing: SOON });
    await until(() => count('ledger', 'left') === 0, { what: 'all is indexed' });
    await index.close();
    expect(await ran(ledgerIndex, '--ledger', one)).toMatchObject({ out: expect.stringContaining(' 0 of them made') });
  });
});

/** The ledger of a process as `serve` opens it, with a segment for each checkpoint. */
async function servedLedger(at: string, isIndexed: boolean) {
  const { metrics, faults, count } = watched();
  const closers = new Closers(() => undefined);
  const config = mustConfig(
    `{ trustDomains: [acme.test], state: 'sqlite:${at}/s.db', ledger: { index: ${isIndexed} } }`,
  );
  const ledger = must(
    await openLedger(
      { ...config, ledger: { ...config.ledger, segment: { maxBytes: 1, maxAgeMs: 3_600_000 } } },
      {
        thread: LogThread.start(),
        outbox: null,
        shipped: null,
        ports: systemPorts,
        metrics,
        log: () => undefined,
        faults,
        onFatal: (detail) => {
          throw new Error(detail);
        },
        onCheckpoint: () => undefined,
        onUsed: () => undefined,
        waits: new Waits({ ports: systemPorts, after, log: () => undefined, stop: null }),
        indexTiming: SOON,
        closers,
      },
    ),
  );
  return { ledger, count, folder: config.ledger.folder, close: () => closers.close() };
}

describe('a process', () => {
  it('indexes its ledger as segments are closed', async () => {
    const own = await servedLedger(folder(), true);
    await until(() => own.count('ledger', 'indexed') === 0, { what: 'the run after the start' });
    expect(own.ledger.writer.take(allowedUse(1, START_MS))).toBe(true);
    // Its checkpoint is signed within five seconds, and closes the segment.
    await until(() => own.count('ledger', 'indexed') === 2, { what: 'the closed segment is indexed' });
    await own.close();
    expect(readdirSync(join(own.folder, 'index'))).toHaveLength(1);
  });

  it('indexes nothing with `ledger.index: false`', async () => {
    const own = await servedLedger(folder(), false);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(own.count('ledger', 'indexed')).toBeNull();
    await own.close();
    expect(existsSync(join(own.folder, 'index'))).toBe(false);
  });

  it('indexes the records that it receives', async () => {
    const at = folder();
    const { metrics, faults, count } = watched();
    const closers = new Closers(() => undefined);
    const config = mustConfig(
      [
        'trustDomains: acme.test',
        'svid: { certificate: c, key: k, bundle: b }',
        'issuer: { url: https://i.acme.test }',
        'authority: { listen: unix:/a, sidecars: { id: spiffe://acme.test/tools, audiences: a } }',
        'state: sqlite:state.db',
      ].join('\n'),
      { folder: at },
    );
    const { receiver } = must(
      await openReceivedRecords(config, {
        writer: { durable: () => Promise.resolve(true) },
        replica: null,
        ports: systemPorts,
        faults,
        metrics,
        log: () => undefined,
        indexTiming: SOON,
        closers,
      }),
    );
    await until(() => count('received', 'left') === 0, { what: 'the run after the start' });
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    const { stream } = await connected(receiver, nameOf(sidecar), sidecar.size);
    await stream.receive(partFrom(pod, 0));
    // Too few for a part.
    await until(() => count('received', 'left') === 11, { what: 'they are counted as left' });
    expect(count('received', 'indexed')).toBe(0);
    sidecar.close();
    await closers.close();
  });
});
