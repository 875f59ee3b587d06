import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { explainCommand } from '../../../src/cli/explain/explain.ts';
import { whyCommand } from '../../../src/cli/why/why-command.ts';
import type { Command } from '../../../src/cli/command.ts';
import { segmentsIn } from '../../../src/core/ledger/log/segment/segment-files.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpenLog, portsAt, settingsIn } from '../../core/ledger/log/logs.ts';
import { ran } from '../ledgers.ts';
import { decision, payment } from '../why/why-ledger.ts';

const folder = testFolders();

/** The hexadecimal trace id of payment number `n`. */
const traceOf = (n: number): string => String(n).padStart(32, 'a');

/** A ledger in `ledger` of a folder, with a payment in each of its segments. */
function ledgerOf(place: string, numbers: readonly number[]): string {
  const settings = settingsIn(place, { segment: { maxBytes: 1, maxAgeMs: 3_600_000 } });
  const log = mustOpenLog(settings, portsAt(1_000));
  for (const n of numbers) {
    const record = payment(n, { args: { reference: `p-${n}` }, traceId: traceOf(n) });
    const failure = log.append([{ bytes: encoded(record).bytes, outbox: null }], 'f'.repeat(32));
    expect(failure).toBeNull();
    must(log.checkpoint());
  }
  log.close();
  expect(segmentsIn(settings.folder).length).toBeGreaterThanOrEqual(numbers.length);
  return settings.folder;
}

/** A configuration with a state file, whose ledger is `ledger`, with earlier ledgers. */
function configOf(place: string, ledger: string, others: readonly string[]): string {
  const file = join(place, 'remit.yaml');
  const config = {
    trustDomains: ['acme.test'],
    extAuthz: { listen: `unix:${place}/check.sock` },
    policies: 'policies',
    state: 'sqlite:state.db',
    ledger: { folder: ledger, others },
  };
  writeFileSync(file, stringify(config));
  mustOpen(join(place, 'state.db')).close();
  return file;
}

const runs = async (command: Command, ...args: readonly string[]) =>
  ran(async (words, io) => command.run(words, io), ...args);

describe('commands about a single recorded call', () => {
  it.each([1, 2, 3, 4])('find payment %i in whichever segment of the ledger it is', async (n) => {
    const place = folder();
    const ledger = ledgerOf(place, [1, 2, 3, 4]);
    const of = ['--config', configOf(place, ledger, [])];
    const ids = [decision(n), traceOf(n)];
    for (const id of ids) {
      const { exit, out } = await runs(explainCommand, id, ...of, '--json');
      expect([exit, JSON.parse(out).decisionId]).toEqual([0, decision(n)]);
    }
    for (const value of [...ids, `p-${n}`]) {
      const { exit, out } = await runs(whyCommand, value, '--ledger', ledger, '--json');
      expect([exit, JSON.parse(out).found.call.decisionId]).toEqual([0, decision(n)]);
    }
  });

  it('explains a decision of an earlier ledger that the configuration names, as `remit why` does', async () => {
    const [place, earlier] = [folder(), folder()];
    const file = configOf(place, ledgerOf(place, [3]), [ledgerOf(earlier, [1, 2])]);
    for (const n of [1, 2, 3]) {
      const { exit, out } = await runs(explainCommand, decision(n), '--config', file, '--json');
      expect([exit, JSON.parse(out).decisionId]).toEqual([0, decision(n)]);
    }
    const none = await runs(explainCommand, decision(9), '--config', file);
    expect([none.exit, none.err]).toEqual([1, expect.stringContaining(`\`${join(earlier, 'ledger')}\``)]);
  });
});
