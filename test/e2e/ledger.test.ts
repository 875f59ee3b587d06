import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { accountName } from '../../src/core/runtime/system/account-name.ts';
import { ledgerCheckProof } from '../../src/cli/ledger/ledger-check-proof.ts';
import { ledgerEvidence } from '../../src/cli/ledger/ledger-evidence.ts';
import { ledgerProve } from '../../src/cli/ledger/ledger-prove.ts';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import type { EvidenceReport } from '../../src/tools/evidence/report.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { callPayments, mustDeclare, scratchFolder, startDomain } from './domain.ts';
import { otlpReceiver, type OtlpReceiver } from './otlp-receiver.ts';

/** The ledger of real calls through a real Envoy, while it is written and afterwards. */
describeWith(envoyPart(), 'the ledger of a domain', (envoy) => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  let collector: OtlpReceiver;
  let domain: DevDomain | null = null;
  let taskId: string;
  let key: string;
  const lines: string[] = [];
  const ledger = (): string => join(scratch.folder, 'ledger');

  beforeAll(async () => {
    scratch = await scratchFolder('remit-ledger-');
    collector = await otlpReceiver();
    const environment = {
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: `${collector.endpoint}/v1/logs`,
      OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: 'http/json',
    };
    // The exporters read the environment of the process.
    Object.assign(process.env, environment);
    domain = await startDomain(envoy, { folder: scratch.folder, environment, log: (line) => lines.push(line) });
    const { planner, thief } = domain.stage;
    const declared = await mustDeclare(planner, domain);
    ({ taskId } = declared);
    expect(await callPayments(planner, domain, declared)).toEqual([200, null]);
    expect(await callPayments(thief, domain, declared)).toEqual([401, 'token.binding']);
    await domain.remit.flush();
    key = /verified with (\S+)/.exec(lines.join('\n'))?.[1] ?? '';
  });
  afterAll(async () => {
    await domain?.stop();
    await collector?.close();
    await scratch?.remove();
    for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
  });

  it('can be queried beside the running writer: the uses of the task with their decisions', async () => {
    const { exit, out } = await ran(
      ledgerQuery,
      '--ledger',
      ledger(),
      '--task',
      taskId,
      '--kind',
      'use',
      '--oldest-first',
    );
    expect(exit).toBe(0);
    const rows = out.split('\n').slice(1, -1);
    expect(rows).toHaveLength(2);
    expect(rows[0]).toMatch(
      /use 1: payments\.read GET payments\.acme\.test\/v1\/payments\/p-1 +spiffe:\/\/\S+ +allow +- +\S+ +[0-9a-f]{32}$/,
    );
    expect(rows[1]).toMatch(/ deny +token\.binding /);
  });

  it('is sound beside the running writer', async () => {
    expect([0, 2]).toContain((await ran(ledgerVerify, '--key', key, '--ledger', ledger())).exit);
  });

  describe('after the shutdown', () => {
    beforeAll(async () => {
      await domain?.stop();
      domain = null;
    });

    it('is whole, and anchored by its checkpoint file', async () => {
      const anchors = join(scratch.folder, 'checkpoints.txt');
      const { exit, out } = await ran(ledgerVerify, '--key', key, '--ledger', ledger(), '--anchors', anchors);
      expect([exit, out]).toEqual([0, expect.stringMatching(/^anchored {3}1 to \d+\nsigned {5}none\nbare {7}none$/m)]);
    });

    it('has sent each checkpoint to the collector as a log record, which is an anchor', async () => {
      const received = join(scratch.folder, 'collector.jsonl');
      await writeFile(received, collector.bodies.map((body) => `${body}\n`).join(''));
      const { exit, out } = await ran(ledgerVerify, '--key', key, '--ledger', ledger(), '--anchors', received);
      expect([exit, out]).toEqual([0, expect.stringMatching(/^anchored {3}1 to \d+\nsigned {5}none\n/m)]);
      const [first] = collector.bodies.map((body) => JSON.parse(body).resourceLogs[0].scopeLogs[0].logRecords[0]);
      expect(first).toMatchObject({ severityText: 'INFO', eventName: 'remit.ledger.checkpoint' });
      expect(first.attributes).toEqual([
        { key: 'remit.ledger.origin', value: { stringValue: key.split('+')[0] } },
        { key: 'remit.ledger.size', value: { intValue: expect.any(Number) } },
      ]);
    });

    it('gives evidence to an auditor, with the text of the deciding policies', async () => {
      const asked = ['--framework', 'owasp-asi-2026', '--from', '-1d', '--format', 'json'];
      const { exit, out } = await ran(ledgerEvidence, '--ledger', ledger(), '--key', key, ...asked);
      const report: EvidenceReport = JSON.parse(out);
      expect([exit, report.ledger.verdict]).toMatchObject([0, { kind: 'sound', bare: null }]);
      expect(report.controls.find(({ id }) => id === 'ASI03')?.exceptions).toContainEqual({
        code: 'token.binding',
        count: 1,
      });
      const [set] = report.policySets;
      expect(set).toMatchObject({ text: 'kept, and it has this hash', loads: [{ by: accountName() }] });
      expect(set?.files.map(({ name }) => name)).toContain('actions.yaml');
      expect(report.sample.every(({ proof }) => proof !== null)).toBe(true);
    });

    it('proves a use to somebody who has only the key', async () => {
      const found = await ran(
        ledgerQuery,
        '--ledger',
        ledger(),
        '--reason',
        'token.binding',
        '--kind',
        'use',
        '--json',
      );
      const { decisionId, seq } = JSON.parse(found.out);
      const { exit, out } = await ran(ledgerProve, '--ledger', ledger(), decisionId);
      expect(exit).toBe(0);
      const proof = join(scratch.folder, 'use.tlog-proof');
      await writeFile(proof, out);
      const checked = await ran(ledgerCheckProof, proof, '--key', key, '--json');
      expect([checked.exit, JSON.parse(checked.out)]).toMatchObject([
        0,
        { leaf: { seq, record: { decisionId, decision: 'deny', reason: 'token.binding', task: taskId } } },
      ]);
    });
  });
});
