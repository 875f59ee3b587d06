import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { ledgerVerify } from '../../../../src/cli/ledger/ledger-verify.ts';
import { witnessKeyText } from '../../../../src/core/ledger/proof/note-key.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { startRemit } from '../../../../src/serve/remit.ts';
import { mustConfig } from '../../../builders/config.ts';
import { must } from '../../../builders/must.ts';
import { baseSchema, exampleCatalog } from '../../../builders/policy-folder.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { ran } from '../../../cli/ledgers.ts';
import { witnessNumber } from '../../../core/ledger/proof/witnesses.ts';
import { until } from '../../../until.ts';
import { WitnessServer } from './witness-server.ts';

const folder = testFolders();

/** A process with a ledger; each start notes what it logs. */
function process(at: string) {
  const policies = join(at, 'policies');
  mkdirSync(join(policies, 'policies'), { recursive: true });
  writeFileSync(join(policies, 'base.cedarschema'), baseSchema);
  writeFileSync(join(policies, 'actions.yaml'), exampleCatalog);
  writeFileSync(join(policies, 'policies/all.cedar'), '@id("all") permit (principal, action, resource);\n');
  return async (witnesses: readonly { readonly url: string; readonly key: string }[]) => {
    const log: string[] = [];
    const settings = {
      trustDomains: ['acme.test'],
      admin: { listen: '127.0.0.1:0' },
      extAuthz: { listen: `unix:${at}/check.sock` },
      policies,
      state: `sqlite:${at}/state.db`,
      ledger: { witnesses, witnessSeconds: 5 },
    };
    const remit = must(
      await startRemit(mustConfig(stringify(settings), { folder: at }), {
        ports: systemPorts,
        environment: {},
        log: (line) => log.push(line),
        onFatal: (error) => {
          throw new Error(error);
        },
      }),
    );
    const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${remit.adminPort}/metrics`)).text();
    return { remit, log, metrics };
  };
}

/** The verifier key of the ledger of a process, as its start prints it. */
const keyIn = (log: readonly string[]): string =>
  log.map((line) => /its checkpoints are verified with (\S+)/.exec(line)?.[1]).find((key) => key !== undefined) ?? '';

it('a process has its checkpoints cosigned, the last one too, and goes on while a witness is away', async () => {
  const at = folder();
  const start = process(at);
  const before = await start([]);
  const key = keyIn(before.log);
  await before.remit.close();
  const [one, two] = [await WitnessServer.start(key, 1), await WitnessServer.start(key, 2)];
  // The second witness is away, and comes back.
  let isAway = true;
  two.instead = () => (isAway ? { status: 503, body: '' } : null);
  const named = [one, two].map(({ witness }) => ({ url: witness.url, key: witnessKeyText(witness.key) }));
  const { remit, log, metrics } = await start(named);
  await until(() => one.size > 0, { what: 'the first cosignature' });
  await until(() => log.some((line) => line === 'ledger witness witness.test/w2: it answers with status 503'), {
    what: 'the fault of the second witness',
  });
  await until(async () =>
    /remit_ledger_witness_behind_seconds\{witness="witness\.test\/w1"\} 0\n/.test(await metrics()),
  );
  expect(await metrics()).toMatch(/remit_ledger_witness_behind_seconds\{witness="witness\.test\/w2"\} \d+\.?\d*\n/);
  expect(await metrics()).toContain('remit_ledger_witness_contradicts{witness="witness.test/w2"} 0\n');
  isAway = false;
  await until(() => log.some((line) => line.startsWith('ledger witness witness.test/w2: over')), { what: 'its end' });
  await remit.close();

  const verify = ['--key', key, '--ledger', join(at, 'ledger'), '--witnessed', join(at, 'witnessed.txt')];
  const witnesses = [1, 2].flatMap((n) => ['--witness', witnessKeyText(witnessNumber(n).key)]);
  const { exit, out } = await ran(ledgerVerify, ...verify, ...witnesses);
  const records = /^records {4}(\d+)$/m.exec(out)?.[1] ?? '';
  expect([exit, out]).toEqual([0, expect.stringContaining(`anchored   1 to ${records}\n`)]);
  expect(out).toContain(`witness    witness.test/w2: records 1 to ${records}, at 2027-01-15T08:00:00.000Z\n`);
  expect([one.size, two.size]).toEqual([Number(records), Number(records)]);
  await one.close();
  await two.close();
});

it('a process whose ledger the witness contradicts says so, and serves on', async () => {
  const at = folder();
  const start = process(at);
  const before = await start([]);
  const key = keyIn(before.log);
  await before.remit.close();
  const server = await WitnessServer.start(key);
  server.size = 1_000;
  const { remit, log, metrics } = await start([{ url: server.witness.url, key: witnessKeyText(server.witness.key) }]);
  await until(() =>
    log.some((line) => line.startsWith('ledger witness witness.test/w1: it has cosigned 1000 records')),
  );
  expect(await metrics()).toContain('remit_ledger_witness_contradicts{witness="witness.test/w1"} 1\n');
  await remit.close();
  expect(() => readFileSync(join(at, 'witnessed.txt'))).toThrow('ENOENT');
  await server.close();
});

const read = (witness: object) =>
  mustConfig(stringify({ trustDomains: ['acme.test'], state: 'sqlite:/s.db', ledger: { witnesses: [witness] } }));

it('the configuration refuses a key that is not that of a witness, and an address that is no URL', () => {
  const key = witnessKeyText(witnessNumber(1).key);
  const url = 'https://witness.test/w';
  expect(read({ url, key }).ledger.witnesses).toEqual([{ url, key }]);
  expect(() => read({ url, key: key.replace('witness.test/w1', 'witness.test/w2') })).toThrow(
    /it has the id `[0-9a-f]{8}`, but/,
  );
  expect(() => read({ url, key: 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW' })).toThrow(
    /it is a key of type 1, cosignatures have type 4/,
  );
  expect(() => read({ url: 'witness.test', key })).toThrow(/must be an `https:` or `http:` URL/);
  expect(() => read({ url: `${url}?a`, key })).toThrow(/must be an `https:` or `http:` URL/);
});
