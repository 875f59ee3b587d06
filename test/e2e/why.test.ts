import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { pageCommands } from '../pages/page-commands.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { remit } from './process.ts';
import { madePayment } from './why-domain.ts';
import type { MadePayment } from './why-domain.ts';

const PAGE = 'deploy/guide/watch/investigate.md';

const ran = async (command: string, ...args: readonly string[]) => {
  const [program, ...words] = command.split(' ');
  expect(program).toBe('remit');
  const { out, err, exit } = remit([...words, ...args]);
  const code = await exit;
  return { code, out: out(), err: err() };
};

/** What a command printed, without what differs each time: instants, ids, digests, numbers of records and folders. */
const asOnPage = (out: string): string =>
  out
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-12-01T…Z')
    .replaceAll(/[\da-f]{8}-[\da-f]{4}-7[\da-f-]{21}/g, '01a2…')
    .replaceAll(/sha-256:[\w-]{43}/g, 'sha-256:…')
    .replaceAll(/token [\w-]{43} /g, 'token … ')
    .replaceAll(/\b[\da-f]{32}\b/g, '4bf9…')
    .replaceAll(/record \d+/g, 'record …')
    .replaceAll(/checkpoint of \d+ records/g, 'checkpoint of … records')
    .replaceAll(/folder \S+/g, 'folder /etc/remit/policies');

/** Issue 43, point 6: "payment p-77 looks wrong", as the guide has it. */
describeWith(envoyPart(), 'remit why', (envoy) => {
  const scratch = testFolder(() => made?.domain.stop());
  let made: MadePayment;
  let place: readonly string[] = [];
  let printed = '';
  /** The verifier key of the ledger, as it was logged at its start. */
  let key = '';

  beforeAll(async () => {
    made = await madePayment(envoy, {
      folder: scratch.folder,
      log: (line) => void (key = /verified with (\S+)/.exec(line)?.[1] ?? key),
    });
    place = ['--config', made.domain.places.get('configuration') ?? ''];
    const [command = ''] = pageCommands(PAGE, '1. One command');
    expect(command).toBe('remit why p-77');
    // Beside the running process. Envoy reports outcomes, and checkpoints follow, within seconds.
    const answer = await until(async () => {
      const said = await ran(command, ...place);
      const isWhole = said.out.includes('executed: ') && !said.out.includes('under no checkpoint yet');
      return isWhole && said;
    });
    expect([answer.code, answer.err]).toEqual([0, '']);
    printed = answer.out;
  });

  it('makes the payment by an agent to which a part was delegated, and whose token was stolen', () => {
    expect(made.statuses).toEqual([200, 200, 201, 401]);
  });

  it('prints what the page of the guide shows', async () => {
    const file = resolve(import.meta.dirname, '../..', PAGE);
    const page = await readFile(file, 'utf8');
    const block = /(?<=\$ remit why p-77\n)[^]*?(?=^```)/m;
    // `UPDATE_GOLDEN=1 npm run jest -- test/e2e/why` writes it again.
    if (process.env['UPDATE_GOLDEN'] === '1')
      await writeFile(
        file,
        page.replace(block, () => asOnPage(printed)),
      );
    expect(asOnPage(printed)).toBe(block.exec(await readFile(file, 'utf8'))?.[0]);
  });

  it('names tasks and agents as they were', () => {
    for (const text of [made.tasks.part, made.tasks.whole, '/sa/planner', '/sa/reporter', '/sa/thief'])
      expect(printed).toContain(text);
  });

  it('has the same as JSON, from a copy of the ledger alone, with proofs that the key checks', async () => {
    const ledger = join(scratch.folder, 'ledger');
    const proofs = join(scratch.folder, 'proofs');
    const args = ['--ledger', ledger, '--proofs', proofs, '--key', key];
    const { code, out, err } = await ran('remit why p-77 --json', ...args);
    expect([code, err]).toEqual([0, '']);
    const { found, faults } = JSON.parse(out);
    const chain = found.chain.map(({ task }: { readonly task: string }) => task);
    expect([faults, found.fate, chain]).toEqual([[], 'executed', [made.tasks.part, made.tasks.whole]]);
    expect(found.policies.policies[0].text).toContain('@id("payments-write")');
    expect(found.proofs.every(({ isProved }: { readonly isProved: boolean }) => isProved)).toBe(true);
    const checked = await ran('remit ledger check-proof', join(proofs, 'call.tlog-proof'), '--key', key);
    expect([checked.code, checked.out]).toEqual([0, expect.stringContaining('"reference": "p-77"')]);
  });

  it('says that no call has another value', async () => {
    expect(await ran('remit why p-78', ...place)).toMatchObject({ code: 1, err: '' });
  });
});
